package member

import (
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/wire"
)

// Whoever isn't who it says, or what this node speaks with, is not heard; nor
// is anything but a question from a node that is in no cluster yet.
func TestJudgeIdentity(t *testing.T) {
	forming := view()
	forming.Stage, forming.Status.ClusterID = wire.Blank, cluster.ClusterID{}
	for _, c := range []struct {
		name    string
		v       *View
		inbound bool
		peer    func(h *wire.Hello)
		want    wire.RefusalCode
	}{
		{"a member", view(), true, func(*wire.Hello) {}, ""},
		{"a member that is dialled", view(), false, func(*wire.Hello) {}, ""},
		{"another version", view(), true, func(h *wire.Hello) { h.Protocol++ }, wire.RefusedProtocol},
		{"another name", view(), true, func(h *wire.Hello) { h.Cluster = "d" }, wire.RefusedCluster},
		{"for somebody else", view(), true, func(h *wire.Hello) { h.To = someone("n3", 0).Self.NodeID }, wire.RefusedNotMe},
		{"a made-up ID", view(), true, func(h *wire.Hello) { h.Self.NodeID++ }, wire.RefusedIncarnation},
		{"another cluster that is dialled", view(), false, func(h *wire.Hello) { h.ClusterID[0]++ }, wire.RefusedClusterID},
		{"another cluster, a question", view(), true, func(h *wire.Hello) { h.ClusterID[0]++; h.Purpose = wire.ForControl }, wire.RefusedClusterID},
		{"one without a cluster", view(), true, func(h *wire.Hello) { h.ClusterID = cluster.ClusterID{} }, wire.RefusedUnknown},
		{"one without a cluster, a question", view(), true, func(h *wire.Hello) { h.ClusterID, h.Purpose = cluster.ClusterID{}, wire.ForControl }, ""},
		{"a member that doesn't know it yet", view(), false, func(h *wire.Hello) { h.ClusterID = cluster.ClusterID{} }, wire.RefusedNotMember},
		{"messages to a node without a cluster", forming, true, func(*wire.Hello) {}, wire.RefusedNotMember},
		{"an image to a node without a cluster", forming, true, func(h *wire.Hello) { h.Purpose = wire.ForSnapshot }, wire.RefusedNotMember},
		{"a question to a node without a cluster", forming, true, func(h *wire.Hello) { h.Purpose = wire.ForControl }, ""},
	} {
		h := someone("n2", 5, "five", "four")
		c.peer(&h)
		r := c.v.Judge(h, c.inbound)
		switch {
		case r == nil && c.want != "", r != nil && r.Code != c.want:
			t.Errorf("%s: %v, want %q", c.name, r, c.want)
		case r != nil && (r.Reason == "" || r.From.NodeID != c.v.cfg.Self.NodeID):
			t.Errorf("%s: %+v lacks something", c.name, r)
		}
	}
	v := view()
	gone := someone("n9", 1, "a")
	v.Membership.Leaving = []cluster.Member{gone.Self.Member(cluster.Voter)}
	if r := v.Judge(gone, true); r != nil {
		t.Errorf("removed, and counted until the joint configuration is left: %v", r)
	}
}

// A raft message counts only from the very peer that sent it, and only when it
// is for this member.
func TestMessagesFitTheirConnection(t *testing.T) {
	s := newStill(t, 1<<20)
	self := uint64(s.m.cfg.Self.NodeID)
	_, term := s.m.Leader()
	rises := func(connection cluster.NodeID, from, to uint64) bool {
		s.m.Messages(connection, &wire.Batch{Raft: []*raftpb.Message{{
			Type: raftpb.MsgHeartbeat.Enum(), From: &from, To: &to, Term: new(term + 1), Commit: new(uint64(0)),
		}}})
		s.rest()
		_, now := s.m.Leader()
		return now > term
	}
	switch {
	case rises(6, 5, self):
		t.Error("a peer speaks for another")
	case rises(5, 5, self+1):
		t.Error("a message for somebody else was taken")
	case !rises(5, 5, self):
		t.Error("a message that is right was not taken")
	}
}
