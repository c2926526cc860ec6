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

// TestMemberAdd: a member that is to come is listed as etcd lists one that has
// not started, in the order of IDs, whether or not this member knows of it yet.
func TestMemberAdd(t *testing.T) {
	for _, behind := range []bool{false, true} {
		r := newRig(t)
		r.node.behind = behind
		got, err := r.client(t).MemberAddAsLearner(testContext(t), []string{"https://h4:2380 ", "http://h4:1"})
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"http://h4:1", "https://h4:2380"}
		if m := got.Member; m.ID != 2+1<<60 || m.Name != "" || len(m.ClientURLs) != 0 || !m.IsLearner || !slices.Equal(m.PeerURLs, want) {
			t.Errorf("added %v", m)
		}
		if h := got.Header; h.Revision != 0 || h.MemberId != 1 || h.RaftTerm != 5 {
			t.Errorf("header %v: etcd's Cluster gives no revision", h)
		}
		if n := len(got.Members); n != 4 || got.Members[3].ID != got.Member.ID {
			t.Errorf("behind: %v; members %v", behind, got.Members)
		}
		if got, err := r.client(t).MemberRemove(testContext(t), got.Member.ID); !behind && (err != nil || len(got.Members) != 3) {
			t.Errorf("taken back: %v, %v", got, err)
		}
	}
}

func TestPeerURLs(t *testing.T) {
	r := newRig(t)
	c := pb.NewClusterClient(r.conn(t))
	for _, bad := range [][]string{
		nil, {""}, {"h4:2380"}, {"http://h4"}, {"http://h4:2380/"}, {"http://h4:2380/x"}, {"ftp://h4:1"}, {"unix://h4:1"},
		{"http://:2380"}, {"http://h4:"}, {"http://u@h4:1"}, {"http://h4:1?x"}, {"http://h4:1", "nonsense"},
	} {
		_, add := c.MemberAdd(testContext(t), &pb.MemberAddRequest{PeerURLs: bad})
		_, update := c.MemberUpdate(testContext(t), &pb.MemberUpdateRequest{ID: 2, PeerURLs: bad})
		for _, err := range []error{add, update} {
			if rpctypes.ErrorDesc(err) != rpctypes.ErrorDesc(rpctypes.ErrGRPCMemberBadURLs) || status.Code(err) != codes.InvalidArgument {
				t.Errorf("%q: %v", bad, err)
			}
		}
	}
	if _, err := c.MemberAdd(testContext(t), &pb.MemberAddRequest{PeerURLs: []string{"http://[::1]:2380"}}); err != nil {
		t.Errorf("IPv6: %v", err)
	}
}

// TestAlias: a member that was announced is known by the ID of then, everywhere,
// and answers to both.
func TestAlias(t *testing.T) {
	r := newRig(t)
	r.node.status.Members[0].Alias, r.node.status.Self.Alias, r.node.status.Members[1].Alias, r.node.status.Members[2].Alias = 101, 101, 102, 50
	c, ctx := r.client(t), testContext(t)
	got, err := c.MemberList(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got.Header.MemberId != 101 || got.Members[0].ID != 50 || got.Members[1].ID != 101 || got.Members[2].ID != 102 {
		t.Errorf("%v", got)
	}
	if st, err := c.Status(ctx, "passthrough:///rig"); err != nil || st.Leader != 101 || st.Header.MemberId != 101 {
		t.Errorf("%v, %v", st, err)
	}
	for _, id := range []uint64{50, 3} {
		if _, err := c.MoveLeader(ctx, id); err != nil {
			t.Errorf("move leadership to %d: %v", id, err)
		}
	}
	if !slices.Equal(r.node.moved, []cluster.NodeID{3, 3}) {
		t.Errorf("moved to %v", r.node.moved)
	}
	r.node.behind = true
	for _, id := range []uint64{102, 2} {
		if got, err := c.MemberPromote(ctx, id); err != nil || got.Members[2].ID != 102 || got.Members[2].IsLearner {
			t.Errorf("promote %d: %v, %v", id, got, err)
		}
		if got, err := c.MemberRemove(ctx, id); err != nil || len(got.Members) != 2 {
			t.Errorf("remove %d: %v, %v", id, got, err)
		}
	}
}

// TestAlarmNamesTheAlias: clients look in the list for the member whose alarm it is.
func TestAlarmNamesTheAlias(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Quota = &fixedQuota{} })
	r.node.status.Self.Alias = 101
	if err := put(t, r.client(t), "a", "1"); !errors.Is(err, rpctypes.ErrNoSpace) {
		t.Errorf("beyond the quota: %v", err)
	}
	if all := r.node.store.Alarms(); len(all) != 1 || all[0].MemberID != 101 {
		t.Errorf("alarms %v", all)
	}
}

func TestMemberPromoteAndUpdate(t *testing.T) {
	r := newRig(t)
	c, ctx := r.client(t), testContext(t)
	if got, err := c.MemberPromote(ctx, 2); err != nil || got.Members[1].IsLearner || r.node.status.Members[1].Role != cluster.Learner {
		t.Errorf("%v, %v: a standby of which nothing is left to ask is no learner to clients", got, err)
	}
	if _, err := c.MemberPromote(ctx, 1); !errors.Is(err, rpctypes.ErrMemberNotLearner) {
		t.Errorf("promote a voter: %v", err)
	}
	if _, err := c.MemberPromote(ctx, 99); !errors.Is(err, rpctypes.ErrMemberNotFound) {
		t.Errorf("promote nobody: %v", err)
	}
	r.node.status.Members[2].MovesTo = "h9:2380"
	got, err := c.MemberUpdate(ctx, 3, []string{"http://h9:2380"})
	if err != nil || !slices.Equal(r.node.moving, []string{"3 [http://h9:2380]"}) || !slices.Equal(got.Members[2].PeerURLs, []string{"http://h9:2380"}) {
		t.Errorf("%v, %v; %v", got, err, r.node.moving)
	}
}

// TestRefusalsAreEtcds: scripts go by etcd's errors.
func TestRefusalsAreEtcds(t *testing.T) {
	r := newRig(t)
	c, ctx := r.client(t), testContext(t)
	for code, want := range map[coded]error{
		"peer_addr_taken": rpctypes.ErrPeerURLExist, "id_taken": rpctypes.ErrMemberExist, "unknown_member": rpctypes.ErrMemberNotFound,
		"already_removed": rpctypes.ErrMemberNotFound, "not_learner": rpctypes.ErrMemberNotLearner, "catching_up": rpctypes.ErrMemberLearnerNotReady,
		"not_there": rpctypes.ErrMemberLearnerNotReady, "would_lose_quorum": rpctypes.ErrUnhealthy, "last_voter": rpctypes.ErrMemberNotEnoughStarted,
	} {
		r.node.onOp = code
		_, add := c.MemberAdd(ctx, []string{"http://h4:2380"})
		_, remove := c.MemberRemove(ctx, 2)
		_, promote := c.MemberPromote(ctx, 2)
		_, update := c.MemberUpdate(ctx, 2, []string{"http://h4:2380"})
		for _, err := range []error{add, remove, promote, update} {
			if !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", code, err, want)
			}
		}
	}
	r.node.onOp = errUnknown
	if _, err := c.MemberAdd(ctx, []string{"http://h4:2380"}); !errors.Is(err, rpctypes.ErrTimeout) {
		t.Errorf("unknown outcome: %v", err)
	}
}

func TestSchemes(t *testing.T) {
	r := newRig(t, func(c *Config) { c.PeerScheme = "https" })
	r.node.status.Members[2].ClientAddr = "https://h3:2379"
	got, err := r.client(t).MemberList(testContext(t))
	if err != nil || got.Members[0].PeerURLs[0] != "https://h1:2380" || got.Members[0].ClientURLs[0] != "http://h1:2379" || got.Members[2].ClientURLs[0] != "https://h3:2379" {
		t.Errorf("%v, %v", got, err)
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
	if resp, err := c.MoveLeader(ctx, 3); err != nil || resp.Header != nil || !slices.Equal(r.node.moved, []cluster.NodeID{3}) {
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
