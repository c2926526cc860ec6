package host

import (
	"strings"
	"testing"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/member"
	"github.com/musterhq/muster/internal/transport"
	"github.com/musterhq/muster/internal/wire"
)

// TestWhyPassing: of a refusal that ends by itself nothing is said at first, and
// never that the member can't be reached or should be removed.
func TestWhyPassing(t *testing.T) {
	v := &member.View{}
	v.Membership.Members = []cluster.Member{{ID: 2, Name: "n2", PeerAddr: "n2:1", Role: cluster.Learner}}
	for _, c := range []struct {
		code wire.RefusalCode
		own  bool
		is   string
	}{
		{wire.RefusedNotMember, true, "peer_joining"},
		{wire.RefusedNotMember, false, "peer_joining"},
		{wire.RefusedMoving, true, "peer_moving"},
		{wire.RefusedMoving, false, "peer_moving"},
	} {
		p := transport.PeerStatus{ID: 2, Addr: "n2:1", Err: "refused", Refusal: &wire.Refusal{Code: c.code, Reason: "so it is"}, OwnRefusal: c.own}
		if r := whyLink(v, p, cluster.Link{Peer: 2, For: settled - 1, Heard: -1}); r.Code != "" {
			t.Errorf("%s: told at once: %+v", c.code, r)
		}
		r := whyLink(v, p, cluster.Link{Peer: 2, For: settled, Heard: -1})
		if r.Code != c.is || strings.Contains(r.WayOut, "remove") || r.WayOut == "" {
			t.Errorf("%s: %+v, want %s", c.code, r, c.is)
		}
	}
}

// TestSuccessorAtTheAddress: who came back with a new disk, and is a member, is
// nobody's intruder.
func TestSuccessorAtTheAddress(t *testing.T) {
	v := &member.View{}
	v.Membership.Members = []cluster.Member{{ID: 2, Name: "n2", PeerAddr: "n2:1", Role: cluster.Voter}}
	p := transport.PeerStatus{ID: 2, Addr: "n2:1", Refusal: &wire.Refusal{Code: wire.RefusedNotMe}}
	if r := whyLink(v, p, cluster.Link{Peer: 2}); r.Code != "other_node_there" {
		t.Errorf("%+v", r)
	}
	v.Membership.Members = append(v.Membership.Members, cluster.Member{ID: 3, Name: "n2", PeerAddr: "n2:1", Role: cluster.Learner, Replaces: 2})
	if r := whyLink(v, p, cluster.Link{Peer: 2}); r.Code != "" {
		t.Errorf("%+v", r)
	}
}

// TestMissingWayOut: to start what runs is no way out.
func TestMissingWayOut(t *testing.T) {
	for _, c := range []struct {
		missing, refused int
		start, end       bool
	}{
		{2, 0, true, false},
		{2, 1, true, true},
		{2, 2, false, true},
	} {
		got := missingWayOut(1, c.missing, c.refused)
		if strings.Contains(got, "start 1 of") != c.start || strings.Contains(got, "refused for") != c.end {
			t.Errorf("%d missing, %d refused: %s", c.missing, c.refused, got)
		}
	}
}

// TestGoneForGood: a voter's place has to be taken before it is removed.
func TestGoneForGood(t *testing.T) {
	v := &member.View{}
	v.Membership.Members = []cluster.Member{{ID: 2, Name: "n2", Role: cluster.Voter}, {ID: 3, Name: "n3", Role: cluster.Learner}}
	for id, needs := range map[cluster.NodeID]bool{2: true, 3: false} {
		if got := goneForGood(v, id); strings.Contains(got, "take its place") != needs || !strings.Contains(got, "muster remove "+v.Name(id)) {
			t.Errorf("%s: %s", v.Name(id), got)
		}
	}
}
