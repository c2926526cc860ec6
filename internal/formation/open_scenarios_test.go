package formation

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/race"
)

// meeting is so many nodes that expect so many, each with the seeds that the
// function gives it; not started.
func meeting(hosts, expect int, seeds func(host int, all []string) []string) *world {
	w := newWorld()
	all := make([]string, hosts)
	for i := range all {
		all[i] = string(rune('a' + i))
	}
	for i, h := range all {
		w.add(h, Dynamic, seeds(i, all), byte(i+1)).cfg.Expect = expect
	}
	return w
}

func everybody(_ int, all []string) []string { return all }

// clusters are those on disks.
func (w *world) clusters() []cluster.ClusterID {
	var ids []cluster.ClusterID
	for _, n := range w.nodes {
		if n.member() && !slices.Contains(ids, n.disk.ClusterID) {
			ids = append(ids, n.disk.ClusterID)
		}
	}
	return ids
}

// part runs a world in which nodes of different sides don't reach each other.
func (w *world) part(ticks int, side func(host string) int) {
	for range ticks {
		for len(w.flying) > 0 {
			m := w.flying[0]
			w.flying = w.flying[1:]
			if m.req != nil && side(m.from) != side(m.to) {
				w.fail(w.at(m.from), m, nil, "timed out")
				continue
			}
			w.deliver(m)
		}
		for _, n := range w.nodes {
			w.tick(n)
		}
	}
}

// TestOpenRosterSplit2of4 is SCENARIOS 19: of four nodes that expect three, two
// never found without the others, whoever of the others they see and whenever,
// and three do. Two groups of three have nodes in common, and never both found.
func TestOpenRosterSplit2of4(t *testing.T) {
	exploreScope(t, scope{open: 4, expect: 3, attempts: 2})
	for split := range 8 {
		w := meeting(4, 3, everybody)
		side := func(host string) int { return split >> (host[0] - 'a') & 1 }
		w.startAll()
		w.part(300, side)
		large := 0
		for _, n := range w.nodes {
			large += side(n.host)
		}
		if got, want := len(w.clusters()), max(large, 4-large)/3; got != want {
			t.Fatalf("split %04b: %d clusters, want %d\n%s", split, got, want, w.state())
		}
		w.run(100)
		w.one(t, fmt.Sprintf("healed from split %04b", split))
	}
}

// TestMoreNodesThanExpected is SCENARIOS 24: with twice as many nodes as are
// expected none founds, and says why, unless enough have found each other
// before the rest came. With fewer one cluster comes of it.
func TestMoreNodesThanExpected(t *testing.T) {
	exploreScope(t, scope{open: 5, expect: 3, attempts: 2, limit: 1 << 17})
	for seed := range uint64(race.Share(300)) {
		r := rand.New(rand.NewPCG(seed, 3))
		expect := 2 + r.IntN(3)
		w := meeting(expect+r.IntN(2*expect), expect, func(_ int, all []string) []string {
			seeds := slices.Clone(all)
			r.Shuffle(len(seeds), func(i, j int) { seeds[i], seeds[j] = seeds[j], seeds[i] })
			return seeds
		})
		spread := []int{1, 3, 30}[r.IntN(3)] // ticks between two starts, at most
		for _, i := range r.Perm(len(w.nodes)) {
			w.start(w.nodes[i])
			w.run(r.IntN(spread))
		}
		w.run(200)
		switch {
		case w.check() != "" || len(w.clusters()) > 1:
			t.Fatalf("seed %d: %s, clusters %v\n%s", seed, w.check(), w.clusters(), w.state())
		case w.allIn():
		case len(w.clusters()) > 0 || len(w.nodes) < 2*expect:
			t.Fatalf("seed %d: not all in a cluster\n%s", seed, w.state())
		default:
			for _, n := range w.nodes {
				if why := n.f.Why(); len(why) != 1 || why[0].Code != whyTooMany {
					t.Fatalf("seed %d: %s says %+v", seed, n.host, why)
				}
			}
		}
	}
}

// TestDiscoveryReturnsSelfOrPart is SCENARIOS 47: whatever part of three nodes,
// itself among them or not, each is told of. All found if one is known to one of
// the others, and nobody does if not.
func TestDiscoveryReturnsSelfOrPart(t *testing.T) {
	for lists := range 1 << 9 {
		knows := func(i, j int) bool { return lists>>(3*i+j)&1 == 1 }
		w := meeting(3, 3, func(i int, all []string) []string {
			var seeds []string
			for j, h := range all {
				if knows(i, j) {
					seeds = append(seeds, h)
				}
			}
			return seeds
		})
		w.startAll()
		w.run(100)
		links := 0
		for _, pair := range [][2]int{{0, 1}, {1, 2}, {0, 2}} {
			if knows(pair[0], pair[1]) || knows(pair[1], pair[0]) {
				links++
			}
		}
		if links >= 2 {
			w.one(t, fmt.Sprintf("lists %09b", lists))
		} else if len(w.clusters()) > 0 {
			t.Fatalf("lists %09b: a cluster of some\n%s", lists, w.state())
		}
	}
}

// TestDiscoveryReturnsPartOfStatic: with fixed seeds nobody founds unless all
// were told the same.
func TestDiscoveryReturnsPartOfStatic(t *testing.T) {
	for lists := range 1 << 9 {
		w := newWorld()
		for i, h := range []string{"a", "b", "c"} {
			var seeds []string
			for j, o := range []string{"a", "b", "c"} {
				if lists>>(3*i+j)&1 == 1 {
					seeds = append(seeds, o)
				}
			}
			w.add(h, Static, seeds, byte(i+1))
		}
		w.startAll()
		w.run(100)
		pairs := map[int]int{} // how many have each list
		for i := range 3 {
			pairs[lists>>(3*i)&7]++
		}
		founds := pairs[7] == 3
		for list, two := range map[int][2]int{3: {0, 1}, 5: {0, 2}, 6: {1, 2}} {
			founds = founds || lists>>(3*two[0])&7 == list && lists>>(3*two[1])&7 == list
		}
		if bad := w.check(); bad != "" || len(w.clusters()) > 1 || (len(w.clusters()) == 1) != founds {
			t.Fatalf("lists %09b: %s, clusters %v\n%s", lists, bad, w.clusters(), w.state())
		}
	}
}
