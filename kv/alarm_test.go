package kv

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/musterhq/muster/statemachine"
)

func TestAlarms(t *testing.T) {
	disk := vfs.NewMem()
	if err := disk.MkdirAll("store", 0o755); err != nil {
		t.Fatal(err)
	}
	s := New(Options{FS: disk})
	if _, err := s.Open("store"); err != nil {
		t.Fatal(err)
	}
	index := uint64(0)
	ask := func(action pb.AlarmRequest_AlarmAction, member uint64, kind pb.AlarmType, want int) {
		t.Helper()
		cmd, err := EncodeAlarm(&pb.AlarmRequest{Action: action, MemberID: member, Alarm: kind})
		if err != nil {
			t.Fatal(err)
		}
		index++
		got, err := s.Apply(index, []statemachine.Entry{{Index: index, Command: cmd, Wanted: true}})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(got[0].(Reply).Response.(*pb.AlarmResponse).Alarms); n != want {
			t.Errorf("%v %v of %d answered with %d alarms, want %d", action, kind, member, n, want)
		}
	}
	ask(pb.AlarmRequest_DEACTIVATE, 1, pb.AlarmType_NOSPACE, 0)
	ask(pb.AlarmRequest_ACTIVATE, 2, pb.AlarmType_NOSPACE, 1)
	ask(pb.AlarmRequest_ACTIVATE, 2, pb.AlarmType_NOSPACE, 1) // is raised already
	ask(pb.AlarmRequest_ACTIVATE, 1, pb.AlarmType_CORRUPT, 1)
	ask(pb.AlarmRequest_ACTIVATE, 1, pb.AlarmType_NONE, 0)
	ask(pb.AlarmRequest_GET, 0, pb.AlarmType_NONE, 2)
	ask(pb.AlarmRequest_GET, 0, pb.AlarmType_CORRUPT, 1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := len(s.Alarms()); n != 0 {
		t.Errorf("a closed store shows %d alarms", n)
	}

	s = New(Options{FS: disk})
	if _, err := s.Open("store"); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if n := len(s.Alarms()); n != 2 {
		t.Errorf("%d alarms after a restart, want 2", n)
	}
	ask(pb.AlarmRequest_DEACTIVATE, 1, pb.AlarmType_CORRUPT, 1)
	ask(pb.AlarmRequest_GET, 0, pb.AlarmType_NONE, 1)
}
