package formation

// What can't be promised, shown to happen, and how far it goes. A test that fails
// here says that a limit is gone, or has moved; docs/formation.md tells of each.

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/musterhq/muster/internal/wire"
)

// movedWhileForming is three founders of which a was founded, and was cut off
// before it could tell; its disk went to address d, and a blank one came up at
// its old address.
func movedWhileForming(t *testing.T) (w *world, old *node) {
	t.Helper()
	w = trio()
	w.crash = func(n *node) int {
		if n.host == "a" && n.f.done {
			return 2
		}
		return 0
	}
	w.startAll()
	w.run(5)
	w.crash = nil
	a := w.at("a")
	if a.up || !a.disk.Founded {
		t.Fatalf("a is %s", describe(a.disk))
	}
	for _, h := range []string{"b", "c"} {
		if n := w.at(h); n.disk.Stage != wire.Accepted {
			t.Fatalf("%s is %s", h, describe(n.disk))
		}
		w.stop(w.at(h))
	}
	moved := *a
	moved.host, moved.cfg.Self.PeerAddr = "d", "d"
	w.wipe(a)
	delete(w.wiped, moved.cfg.Self.Incarnation) // it is not: it is at d
	w.nodes = append(w.nodes, &moved)
	return w, &moved
}

// TestMovedFounderIsTakenForGone is a limit: that another disk answers at a
// founder's seed address is taken for proof that the founder's own is no more. If
// it was only moved, it is left behind in a cluster of its own, which nobody else
// was founded by, and which decides nothing.
func TestMovedFounderIsTakenForGone(t *testing.T) {
	w, old := movedWhileForming(t)
	for _, h := range []string{"a", "b", "c"} {
		w.start(w.at(h))
	}
	w.run(200)
	id := w.at("b").disk.ClusterID
	for _, h := range []string{"a", "b", "c"} {
		if n := w.at(h); !n.member() || n.disk.ClusterID != id {
			t.Fatalf("%s is %s", h, describe(n.disk))
		}
	}
	if id == old.disk.ClusterID || w.members(old.disk.ClusterID, false) != 1 {
		t.Fatalf("the moved one was to be left behind\n%s", w.state())
	}
}

// movedFoundsAlone goes on where movedWhileForming ends: the moved founder finds
// c, which has promised to found without it, and has not accepted that yet. The
// two are a quorum, and may hold data. Then c's disk is lost, and the moved one is
// down. b accepted to found without it.
func movedFoundsAlone(t *testing.T) (w *world, old *node) {
	t.Helper()
	w, old = movedWhileForming(t)
	w.hold = "accept"
	for _, h := range []string{"a", "b", "c"} {
		w.start(w.at(h))
	}
	a, b, c := w.at("a"), w.at("b"), w.at("c")
	for i := 0; bytes.Equal(b.disk.Genesis, old.disk.Genesis) && i < 50; i++ {
		w.run(1)
	}
	w.hold, w.held = "", nil
	w.stop(a)
	w.stop(b)
	w.start(old)
	c.f.Met(old.hello()) // as a member dials those that it was founded with
	w.drain(c)
	w.run(20)
	if w.members(old.disk.ClusterID, true) != 2 {
		t.Fatalf("c and the moved one are no quorum\n%s", w.state())
	}
	w.stop(old)
	w.wipe(c)
	return w, old
}

// TestMovedFounderDoesNotFork: those that accepted to found without the moved one
// know of both who are missing.
func TestMovedFounderDoesNotFork(t *testing.T) {
	w, old := movedFoundsAlone(t)
	first := old.disk.ClusterID
	for _, h := range []string{"a", "b", "c"} {
		w.start(w.at(h))
	}
	w.run(300)
	if len(w.genesis) > 1 || w.members(first, false) != 1 {
		t.Fatalf("a second cluster\n%s", w.state())
	}
	var says []string
	for _, n := range w.nodes[:3] {
		for _, r := range n.f.Why() {
			says = append(says, r.Code+" "+r.Text)
		}
	}
	want := func(s string) bool {
		return strings.HasPrefix(s, whyBlocked+" ") && strings.Contains(s, "a (incarnation 01") && strings.Contains(s, "c (incarnation 03")
	}
	if !slices.ContainsFunc(says, want) {
		t.Errorf("nobody says for whom they wait: %v", says)
	}
	w.start(old)
	w.run(200)
	if len(w.genesis) > 1 || w.members(first, false) != 1 {
		t.Errorf("a second cluster with the moved one back\n%s", w.state())
	}
}

// TestAllWipedFoundAgain is a limit: of a cluster all of whose disks are gone
// nobody knows. One that is left is enough.
func TestAllWipedFoundAgain(t *testing.T) {
	for left := range 2 {
		w := trio()
		w.startAll()
		w.run(20)
		w.one(t, "founded")
		first := w.at("a").disk.ClusterID
		for _, n := range w.nodes {
			w.stop(n)
		}
		for _, n := range w.nodes[left:] {
			w.wipe(n)
		}
		w.startAll()
		w.run(300)
		if got := w.members(first, true); got != left {
			t.Fatalf("%d are in the first cluster", got)
		}
		if again := len(w.genesis) > 1; again != (left == 0) {
			t.Fatalf("%d disks left: founded again is %v\n%s", left, again, w.state())
		}
	}
}

// TestSingleFoundsAgain is a limit: --single asks nobody, so that a node which
// is started with it on a new disk founds again, whoever is there.
func TestSingleFoundsAgain(t *testing.T) {
	w := newWorld()
	a := w.add("a", Single, nil, 1)
	w.startAll()
	first := a.disk.ClusterID
	w.wipe(a)
	w.start(a)
	if !a.disk.Founded || a.disk.ClusterID == first {
		t.Fatalf("a is %s", describe(a.disk))
	}
}

// TestGroupsThatNeverMetBothFound is a limit of Dynamic: two groups as large as
// expected, neither of which reaches the other.
func TestGroupsThatNeverMetBothFound(t *testing.T) {
	w := meeting(6, 3, everybody)
	w.startAll()
	w.part(100, func(host string) int { return int(host[0]-'a') / 3 })
	if got := len(w.clusters()); got != 2 {
		t.Fatalf("%d clusters\n%s", got, w.state())
	}
	late := w.add("g", Dynamic, []string{"a", "f"}, 9)
	late.cfg.Expect = 3
	w.start(late)
	w.run(100)
	if why := late.f.Why(); late.disk.stage() != wire.Blank || len(why) != 1 || why[0].Code != whyTwoClusters {
		t.Fatalf("the one that sees both is %s and says %+v", describe(late.disk), why)
	}
}
