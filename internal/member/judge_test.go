package member

import (
	"strings"
	"testing"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/formation"
	"github.com/musterhq/muster/internal/wire"
)

// someone is a node whose disk has been booted so often, with words of that
// history.
func someone(name string, epoch uint64, boots ...string) wire.Hello {
	inc := cluster.Incarnation{15: 1}
	copy(inc[:], name)
	return wire.Hello{
		Protocol: wire.Protocol, Purpose: wire.ForMessages, Cluster: "c", ClusterID: cluster.ClusterID{7}, Stage: wire.InCluster,
		Self:  wire.Identity{Incarnation: inc, NodeID: inc.NodeID(), Name: name, PeerAddr: name + ":1"},
		Epoch: epoch, Boots: boots,
	}
}

// view is that of n1, which is in a cluster with n2 and n3, and has met epoch 5
// of n2, at its present address. n9 was removed.
func view() *View {
	me := someone("n1", 4, "me")
	v := &View{cfg: &Config{Self: me.Self, Epoch: 4, Boots: me.Boots, Cluster: "c"}, Stage: wire.InCluster}
	v.Status.ClusterID = me.ClusterID
	for _, name := range []string{"n1", "n2", "n3"} {
		v.Membership.Members = append(v.Membership.Members, someone(name, 0).Self.Member(cluster.Voter))
	}
	v.Membership.Removed = []cluster.Tombstone{{ID: someone("n9", 0).Self.NodeID, Name: "n9", Index: 3}}
	v.known = acquainted(map[cluster.NodeID]wire.Run{someone("n2", 0).Self.NodeID: {Epoch: 5, Boot: "five"}})
	return v
}

// A founder shows with whom it founds, and nobody else does: what a node that
// only joins was told is nothing that others could differ from.
func TestHelloShowsHowANodeFounds(t *testing.T) {
	for _, c := range []struct {
		mode   formation.Mode
		stage  wire.Stage
		seeds  bool
		expect int
	}{
		{formation.Static, wire.Blank, true, 0},
		{formation.Static, wire.InCluster, false, 0},
		{formation.Dynamic, wire.Accepted, false, 3},
		{formation.Dynamic, wire.InCluster, false, 0},
		{formation.JoinOnly, wire.Blank, false, 0},
	} {
		v := &View{cfg: &Config{Mode: c.mode, Seeds: []string{"a:1"}, Expect: 3}, Stage: c.stage}
		if h := v.Hello(); len(h.Seeds) > 0 != c.seeds || h.Expect != c.expect {
			t.Errorf("%s, %s: seeds %q, expect %d", c.mode, c.stage, h.Seeds, h.Expect)
		}
	}
}

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		name   string
		peer   wire.Hello
		change func(*wire.Hello)
		want   wire.RefusalCode
		news   bool
	}{
		{"the run that was met", someone("n2", 5, "five", "four"), nil, "", false},
		{"its next run", someone("n2", 6, "six", "five"), nil, "", true},
		{"a later run", someone("n2", 8, "eight", "seven", "six", "five"), nil, "", true},
		{"a run much later", someone("n2", 99, "99", "98"), nil, "", true},
		{"an older image", someone("n2", 4, "four"), nil, wire.RefusedRolledBack, false},
		{"an older image of when it was no member", someone("n2", 2, "two"), func(h *wire.Hello) {
			h.ClusterID, h.Stage, h.Purpose = cluster.ClusterID{}, wire.Blank, wire.ForControl
		}, wire.RefusedRolledBack, false},
		{"a copy that counts alike", someone("n2", 5, "5", "four"), nil, wire.RefusedRolledBack, false},
		{"an older image, started often since", someone("n2", 7, "7", "6", "5", "four"), nil, wire.RefusedRolledBack, false},
		{"without boots", someone("n2", 4), nil, wire.RefusedRolledBack, false},
		{"the same run at another address", someone("n2", 5, "five"), func(h *wire.Hello) { h.Self.PeerAddr = "x:1" }, "", true},
		{"the next run at another address", someone("n2", 6, "six", "five"), func(h *wire.Hello) { h.Self.PeerAddr = "x:1" }, wire.RefusedMoving, true},
		{"its question", someone("n2", 6, "six", "five"), func(h *wire.Hello) { h.Self.PeerAddr, h.Purpose = "x:1", wire.ForControl }, "", true},
		{"somebody never met", someone("n3", 1, "a"), nil, "", true},
		{"somebody unknown", someone("n4", 1, "a"), nil, "", true},
		{"of another cluster", someone("n2", 6, "six", "five"), func(h *wire.Hello) { h.ClusterID[0]++ }, wire.RefusedClusterID, false},
		{"removed", someone("n9", 1, "a"), nil, wire.RefusedRemoved, true},
		{"itself", someone("n1", 4, "me"), nil, wire.RefusedSelf, false},
		{"a copy of itself", someone("n1", 4, "not me"), nil, wire.RefusedCopy, false},
		{"an older image of itself", someone("n1", 3, "i was"), nil, wire.RefusedCopy, false},
	} {
		if c.change != nil {
			c.change(&c.peer)
		}
		v := view()
		var code wire.RefusalCode
		r := v.Judge(c.peer, true)
		if r != nil {
			code = r.Code
		}
		if code != c.want {
			t.Errorf("%s: %v, want %q", c.name, r, c.want)
		}
		if got := v.News(c.peer, r); c.want != wire.RefusedRemoved && got != c.news {
			t.Errorf("%s: news %v, want %v", c.name, got, c.news)
		}
		if late := v.RolledBack(c.peer); (late != nil) != (c.want == wire.RefusedRolledBack) {
			t.Errorf("%s, let in before: %v", c.name, late)
		}
	}
}

// What a challenge has found is so for the run that it was about, and for those
// that go back to it.
func TestJudgeChallenged(t *testing.T) {
	moved, next := someone("n2", 6, "six", "five"), someone("n2", 7, "seven", "six", "five")
	moved.Self.PeerAddr, next.Self.PeerAddr = "x:1", "x:1"
	home := someone("n2", 6, "home", "five")
	id := moved.Self.NodeID
	v := view()
	k := v.known[id]
	k.cleared = "six"
	v.known = v.known.with(id, k)
	if r := v.Judge(moved, true); r != nil {
		t.Errorf("nobody answered at its old address: %v", r)
	}
	if r := v.Judge(next, true); r == nil || r.Code != wire.RefusedMoving {
		t.Errorf("a run that was not asked for: %v", r)
	}
	k.cleared, k.copied = "", "six"
	v.known = v.known.with(id, k)
	for _, copied := range []wire.Hello{moved, next} {
		if r := v.Judge(copied, true); r == nil || r.Code != wire.RefusedRolledBack {
			t.Errorf("somebody answered at its old address: %v", r)
		}
	}
	if r := v.Judge(home, true); r != nil {
		t.Errorf("the member itself, after its restart: %v", r)
	}
}

// The words say which epochs, and what can be done.
func TestJudgeSays(t *testing.T) {
	v := view()
	r := v.Judge(someone("n2", 3, "three"), true)
	for _, word := range []string{"epoch is 3", "epoch 5", "older image", "copy"} {
		if !strings.Contains(r.Reason, word) {
			t.Errorf("%q does not say %q", r.Reason, word)
		}
	}
	if out := r.Code.WayOut("n2"); !strings.Contains(out, "start n2 with an empty data directory") {
		t.Errorf("the way out is %q", out)
	}
	if r := v.Judge(someone("n1", 3, "i was"), false); !strings.Contains(r.Reason, "copy") || !strings.Contains(r.Reason, "n1:1") {
		t.Errorf("of a copy of itself: %q", r.Reason)
	}
}

// Two lives of one cluster don't mix: whoever is of the older one is refused
// before anything else of it is looked at, or stops when it meets the newer one.
func TestJudgeGeneration(t *testing.T) {
	of := func(name string, generation uint64) wire.Hello {
		h := someone(name, 1, "a")
		h.Generation = generation
		if generation > 0 {
			h.ReformedBy = 7
		}
		return h
	}
	twice := of("n3", 2)
	twice.ReformedBy = 8
	blank := of("n4", 0)
	blank.ClusterID, blank.Stage, blank.Purpose = cluster.ClusterID{}, wire.Blank, wire.ForControl
	foreign := of("n3", 3)
	foreign.ClusterID[0]++
	for _, c := range []struct {
		name string
		peer wire.Hello
		want wire.RefusalCode
	}{
		{"the same", of("n3", 2), ""},
		{"an older one", of("n3", 1), wire.RefusedOldGeneration},
		{"an older one, given up", of("n9", 1), wire.RefusedOldGeneration},
		{"a newer one", of("n3", 3), wire.RefusedNewGeneration},
		{"the same number, but around another member", twice, wire.RefusedGenerationConflict},
		{"in no cluster yet", blank, ""},
		{"of another cluster", foreign, wire.RefusedClusterID},
	} {
		for _, inbound := range []bool{true, false} {
			v := view()
			v.Status.Generation, v.reformedBy = 2, 7
			var code wire.RefusalCode
			r := v.Judge(c.peer, inbound)
			if r != nil {
				code = r.Code
			}
			if code != c.want {
				t.Errorf("%s, inbound %v: %v, want %q", c.name, inbound, r, c.want)
			}
			if c.want == wire.RefusedNewGeneration && !v.News(c.peer, r) {
				t.Errorf("%s, inbound %v: the member doesn't hear of it", c.name, inbound)
			}
		}
	}
}

// Where a token is asked for, whoever doesn't prove to have it is refused before
// anything else of it is looked at, member or not.
func TestJudgeToken(t *testing.T) {
	first, second := []byte("the first token there is"), []byte("the second token there is")
	with := func(h wire.Hello, token []byte) wire.Hello {
		if token != nil {
			h.Token = h.Proof(token)
		}
		return h
	}
	blank := someone("n4", 1, "a")
	blank.ClusterID, blank.Stage, blank.Purpose = cluster.ClusterID{}, wire.Blank, wire.ForControl
	stolen := someone("n3", 1, "a")
	stolen.Token = with(someone("n2", 5, "five"), first).Token
	for _, c := range []struct {
		name string
		mine [][]byte
		peer wire.Hello
		want wire.RefusalCode
	}{
		{"the same", [][]byte{first}, with(someone("n3", 1, "a"), first), ""},
		{"the second of two", [][]byte{first, second}, with(someone("n3", 1, "a"), second), ""},
		{"a joiner with it", [][]byte{first}, with(blank, first), ""},
		{"none is asked for", nil, with(blank, first), ""},
		{"a member without", [][]byte{first}, someone("n3", 1, "a"), wire.RefusedToken},
		{"a joiner without", [][]byte{first}, blank, wire.RefusedToken},
		{"a joiner with another", [][]byte{first}, with(blank, second), wire.RefusedToken},
		{"the proof of another node", [][]byte{first}, stolen, wire.RefusedToken},
		{"a removed one without", [][]byte{first}, someone("n9", 1, "a"), wire.RefusedToken},
	} {
		for _, stage := range []wire.Stage{wire.InCluster, wire.Blank} {
			v := view()
			v.Stage, v.cfg.Tokens = stage, c.mine
			var code wire.RefusalCode
			if stage == wire.Blank {
				c.peer.Purpose = wire.ForControl
			}
			r := v.Judge(c.peer, true)
			if r != nil {
				code = r.Code
			}
			if code != c.want {
				t.Errorf("%s, seen by one that is %s: %v, want %q", c.name, stage, r, c.want)
			}
		}
	}
	v := view()
	v.cfg.Tokens = [][]byte{first, second}
	if h := v.Hello(); !h.Proven([][]byte{first}) || h.Proven([][]byte{second}) {
		t.Error("a node proves another token than its first")
	}
}
