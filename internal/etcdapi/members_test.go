package etcdapi

import (
	"errors"
	"slices"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/musterhq/muster/cluster"
)

func TestMemberList(t *testing.T) {
	r := newRig(t)
	got, err := r.client(t).MemberList(testContext(t))
	if err != nil || len(got.Members) != 3 || r.node.reads != 1 {
		t.Fatalf("%v, %v after %d reads", got, err, r.node.reads)
	}
	a, b := got.Members[0], got.Members[1]
	if a.ID != 1 || a.Name != "a" || !slices.Equal(a.PeerURLs, []string{"http://h1:2380"}) || !slices.Equal(a.ClientURLs, []string{"http://h1:2379"}) || a.IsLearner {
		t.Errorf("member a: %v", a)
	}
	if !b.IsLearner || len(b.ClientURLs) != 0 {
		t.Errorf("learner b: %v", b)
	}
	if _, err := pb.NewClusterClient(r.conn(t)).MemberList(testContext(t), &pb.MemberListRequest{}); err != nil || r.node.reads != 1 {
		t.Errorf("list that need not be linearizable: %v after %d reads, want 1", err, r.node.reads)
	}
}

func TestMemberRemove(t *testing.T) {
	r := newRig(t)
	c, ctx := r.client(t), testContext(t)
	got, err := c.MemberRemove(ctx, 3)
	if err != nil || !slices.Equal(r.node.removed, []cluster.NodeID{3}) || len(got.Members) != 2 {
		t.Errorf("%v, %v; removed %v", got, err, r.node.removed)
	}
	if _, err := c.MemberRemove(ctx, 99); !errors.Is(err, rpctypes.ErrMemberNotFound) {
		t.Errorf("remove an unknown member: %v, want %v", err, rpctypes.ErrMemberNotFound)
	}
	r.node.onOp = errRefused
	if _, err := c.MemberRemove(ctx, 2); status.Code(err) != codes.FailedPrecondition && !strings.Contains(err.Error(), "refused") {
		t.Errorf("refused removal: %v", err)
	}
}

func TestMembersJoinByThemselves(t *testing.T) {
	r := newRig(t)
	c, ctx := pb.NewClusterClient(r.conn(t)), testContext(t)
	_, add := c.MemberAdd(ctx, &pb.MemberAddRequest{PeerURLs: []string{"http://x:1"}})
	_, update := c.MemberUpdate(ctx, &pb.MemberUpdateRequest{ID: 1})
	_, promote := c.MemberPromote(ctx, &pb.MemberPromoteRequest{ID: 2})
	for _, err := range []error{add, update, promote} {
		if st := status.Convert(err); st.Code() != codes.Unimplemented || !strings.HasPrefix(st.Message(), "muster: ") {
			t.Errorf("%v, want Unimplemented with what to do instead", err)
		}
	}
}

func TestStatusAndHealthOfEtcdctl(t *testing.T) {
	r := newRig(t)
	c, ctx := r.client(t), testContext(t)
	if _, err := c.Put(ctx, "k", "v"); err != nil {
		t.Fatal(err)
	}
	st, err := c.Status(ctx, "passthrough:///rig")
	if err != nil || st.Version != "3.7.3-test" || st.Leader != 1 || st.RaftIndex != 1 || st.RaftAppliedIndex != 1 || st.RaftTerm != 5 || len(st.Errors) != 0 {
		t.Errorf("%v, %v", st, err)
	}
	if alarms, err := c.AlarmList(ctx); err != nil || len(alarms.Alarms) != 0 {
		t.Errorf("alarms: %v, %v", alarms, err)
	}
}

func TestMoveLeader(t *testing.T) {
	r := newRig(t)
	c, ctx := r.client(t), testContext(t)
	if _, err := c.MoveLeader(ctx, 3); err != nil || !slices.Equal(r.node.moved, []cluster.NodeID{3}) {
		t.Errorf("%v; moved to %v", err, r.node.moved)
	}
	if _, err := c.MoveLeader(ctx, 2); !errors.Is(err, rpctypes.ErrBadLeaderTransferee) {
		t.Errorf("to a learner: %v, want %v", err, rpctypes.ErrBadLeaderTransferee)
	}
	r.node.status.Leader = 3
	if _, err := c.MoveLeader(ctx, 3); !errors.Is(err, rpctypes.ErrNotLeader) {
		t.Errorf("asked of a follower: %v, want %v", err, rpctypes.ErrNotLeader)
	}
}

func TestNodeThatIsNoMemberYetExplainsItself(t *testing.T) {
	r := newRig(t)
	waiting(r.node)
	r.node.status = cluster.Status{}
	st, err := pb.NewMaintenanceClient(r.conn(t)).Status(testContext(t), &pb.StatusRequest{})
	if err != nil || len(st.Errors) != 2 || st.Errors[1] != "waiting for seed c" {
		t.Errorf("%v, %v", st, err)
	}
	_, err = pb.NewClusterClient(r.conn(t)).MemberList(testContext(t), &pb.MemberListRequest{})
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "waiting for seed c") {
		t.Errorf("member list: %v", err)
	}
}
