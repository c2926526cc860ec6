package kv

import (
	"context"
	"errors"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

func (d *driver) hashKV(rev int64) KeysHash {
	d.Helper()
	h, err := d.HashKV(context.Background(), rev)
	must(d, err)
	return h
}

// TestHashKV: the hash as of a revision doesn't see what came after, and sees
// everything before; what is compacted is in none.
func TestHashKV(t *testing.T) {
	d := newDriver(t)
	d.put("a", "1") // 2
	d.put("a", "2") // 3
	d.put("b", "1") // 4
	at3 := d.hashKV(3)
	if at3.Revision != 3 || at3.Current != 4 || at3.Compacted != -1 {
		t.Errorf("got %+v", at3)
	}
	d.put("a", "3") // 5
	d.delete("b")   // 6
	if again := d.hashKV(3); again.Sum != at3.Sum || again.Current != 6 {
		t.Errorf("hash of revision 3: %+v, and before later writes %+v", again, at3)
	}
	if now, last := d.hashKV(0), d.hashKV(6); now != last || now.Sum == d.hashKV(5).Sum {
		t.Errorf("hash of now %+v, of revision 6 %+v, of revision 5 %+v", now, last, d.hashKV(5))
	}
	other := newDriver(t)
	other.put("a", "not 1")
	other.put("a", "2")
	if h := other.hashKV(3); h.Sum == at3.Sum {
		t.Error("the hash doesn't see a version that is not the newest")
	}

	d.do(&pb.CompactionRequest{Revision: 4})
	if _, err := d.HashKV(context.Background(), 3); !errors.Is(err, ErrCompacted) {
		t.Errorf("a compacted revision: %v, want %v", err, ErrCompacted)
	}
	if _, err := d.HashKV(context.Background(), 7); !errors.Is(err, ErrFutureRev) {
		t.Errorf("a future revision: %v, want %v", err, ErrFutureRev)
	}
	other.put("b", "1")
	other.put("a", "3")
	other.delete("b")
	other.do(&pb.CompactionRequest{Revision: 4})
	if got, want := other.hashKV(5), d.hashKV(5); got != want || got.Compacted != 4 {
		t.Errorf("stores that differ in compacted history alone: %+v and %+v", got, want)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	d.hashing <- struct{}{} // somebody else takes one
	if _, err := d.HashKV(ctx, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled while another was taken: %v", err)
	}
	<-d.hashing
}

// TestHashCoversFacts: alarms and their like are part of the state.
func TestHashCoversFacts(t *testing.T) {
	d := newDriver(t)
	d.put("a", "1")
	before, _, err := d.Hash(context.Background())
	must(t, err)
	keys := d.hashKV(0)
	d.do(&pb.AlarmRequest{Action: pb.AlarmRequest_ACTIVATE, MemberID: 1, Alarm: pb.AlarmType_NOSPACE})
	after, _, err := d.Hash(context.Background())
	must(t, err)
	if after == before {
		t.Error("an alarm doesn't change the hash")
	}
	if d.hashKV(0) != keys {
		t.Error("an alarm changes the hash of the keys")
	}
	_, err = d.Apply(d.index+1, nil) // an entry that is none of the machine's
	must(t, err)
	if again, _, err := d.Hash(context.Background()); err != nil || again != after {
		t.Errorf("the index of the log changes the hash from %08x to %08x (%v)", after, again, err)
	}
}
