package formation

import (
	"fmt"
	"testing"

	"github.com/musterhq/muster/internal/wire"
)

// trio is three founders, not started; the incarnations rise with the names.
func trio() *world {
	w := newWorld()
	for i, h := range []string{"a", "b", "c"} {
		w.add(h, Static, []string{"a", "b", "c"}, byte(i+1))
	}
	return w
}

func (w *world) startAll() {
	for _, n := range w.nodes {
		w.start(n)
	}
}

// one fails the test unless everybody is in the same cluster.
func (w *world) one(t *testing.T, story string) {
	t.Helper()
	if bad := w.check(); bad != "" {
		t.Fatalf("%s: %s", story, bad)
	}
	for _, n := range w.nodes {
		if !n.member() || n.disk.ClusterID != w.nodes[0].disk.ClusterID {
			t.Fatalf("%s: %s is not in the one cluster: %s", story, n.host, describe(n.disk))
		}
	}
}

// TestJoinerBootstrapsItself is SCENARIOS 2: told to join, it waits for ever,
// whoever answers or doesn't, and takes no part in any founding.
func TestJoinerBootstrapsItself(t *testing.T) {
	w := trio()
	w.add("d", JoinOnly, []string{"a", "d", "e"}, 4)
	w.add("e", JoinOnly, []string{"d", "e"}, 5)
	for _, h := range []string{"d", "e", "a"} {
		w.start(w.at(h))
		w.run(2000)
	}
	for _, n := range w.nodes {
		if n.disk.stage() != wire.Blank {
			t.Fatalf("%s is %s", n.host, describe(n.disk))
		}
	}
	w.startAll()
	w.run(10 * slow * defaultRetryTicks)
	w.one(t, "founders came up")
	for _, h := range []string{"d", "e"} {
		if w.at(h).disk.Founded {
			t.Fatalf("%s founded", h)
		}
	}
}

// TestFormationCrashAtEveryStep is SCENARIOS 22: each node, at each of its
// steps, before and after it saves.
func TestFormationCrashAtEveryStep(t *testing.T) {
	crashes := 0
	for _, victim := range []string{"a", "b", "c"} {
		for _, fate := range []int{1, 2} {
			for at := 0; ; at++ {
				w := trio()
				if !crashAt(w, victim, fate, at) {
					break // the node had no so many steps
				}
				crashes++
				story := fmt.Sprintf("%s crashed at step %d, fate %d", victim, at, fate)
				if bad := w.check(); bad != "" {
					t.Fatalf("%s: %s", story, bad)
				}
				w.startAll()
				w.run(200)
				w.one(t, story)
			}
		}
	}
	if crashes < 50 {
		t.Errorf("only %d crashes were tried", crashes)
	}
}

// crashAt runs the trio with one crash, and says whether it came to that.
func crashAt(w *world, victim string, fate, at int) bool {
	step, crashed := 0, false
	w.crash = func(n *node) int {
		if crashed || n.host != victim {
			return 0
		}
		if step++; step <= at {
			return 0
		}
		crashed = true
		return fate
	}
	w.startAll()
	w.run(10)
	w.crash = nil
	return crashed
}

// TestTwoCoordinatorsRace is SCENARIOS 21: all begin at once, again and again.
func TestTwoCoordinatorsRace(t *testing.T) {
	w := trio()
	w.lose = "accept"
	w.startAll()
	for range 30 {
		for _, n := range w.nodes {
			n.f.try, n.f.quiet, n.f.yields = nil, 1<<20, false
			w.tick(n)
		}
		w.run(1)
		if bad := w.check(); bad != "" {
			t.Fatal(bad)
		}
	}
	w.lose = ""
	w.run(200)
	w.one(t, "after the race")
}

// TestMinorityPartitionDuringFormation is SCENARIOS 25: nothing forms with one
// founder cut off at any moment, unless it was told already; healing gives one cluster.
func TestMinorityPartitionDuringFormation(t *testing.T) {
	for _, kind := range []string{"prepare", "promise", "accept", "accepted", "commit"} {
		w := trio()
		w.lose = kind
		w.startAll()
		w.run(300)
		founded := len(w.genesis) > 0
		if founded != (kind == "commit") {
			t.Fatalf("%s lost: founded is %v", kind, founded)
		}
		w.lose = ""
		w.run(200)
		w.one(t, kind+" was lost")
	}
}

// TestWrongClusterContact is SCENARIOS 28: a cluster of another name at a seed
// address is neither joined nor founded with.
func TestWrongClusterContact(t *testing.T) {
	w := newWorld()
	w.add("a", Single, nil, 1).cfg.Cluster = "other"
	w.add("b", Static, []string{"a", "b"}, 2)
	w.add("c", JoinOnly, []string{"a"}, 3)
	w.startAll()
	w.run(500)
	for _, h := range []string{"b", "c"} {
		n := w.at(h)
		why := n.f.Why()
		found := false
		for _, r := range why {
			found = found || r.Code == whyNameDiffers && r.Addr == "a"
		}
		if n.disk.stage() != wire.Blank || !found {
			t.Errorf("%s is %s and says %v", h, describe(n.disk), why)
		}
	}
}
