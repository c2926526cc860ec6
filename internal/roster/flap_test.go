package roster

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/race"
)

// TestReplaceDeadFlapping: a member, or two, come and go as they like, their
// leadership with them. The voters are never fewer than the floor, and each time costs a few
// changes and no more.
func TestReplaceDeadFlapping(t *testing.T) {
	flaps, changes := 0, 0
	for seed := range uint64(race.Share(200)) {
		r := rand.New(rand.NewPCG(seed, 6))
		w := flapper{r: r, p: Policy{DeadTicks: 30, RemoveTicks: 100000, StabilityTicks: 5}}
		for i, n := 0, 3+r.IntN(6); i < n; i++ {
			w.s.Members = append(w.s.Members, MemberSeen{
				Member: cluster.Member{ID: cluster.NodeID(i + 1), Role: cluster.Learner, Zone: []string{"", "a", "b", "c"}[r.IntN(4)]},
				Active: true, ActiveTicks: 10, CaughtUp: true,
			})
		}
		w.s.Members[0].Member.Role, w.s.Leader = cluster.Voter, 1
		if r.IntN(3) == 0 {
			w.p.Floor = 3
		}
		w.p.LeaderZones = [][]string{nil, {"a"}}[r.IntN(2)]
		w.settle(t, seed, 20)
		whom := r.Perm(len(w.s.Members))[:1+r.IntN(2)*(len(w.s.Members)/5)]
		for flap := range 10 {
			w.flap(whom, false)
			w.flap(whom, true)
			if w.changes > 8 {
				t.Fatalf("seed %d: flap %d cost %d changes:\n%s", seed, flap, w.changes, described(w.s, w.p))
			}
			flaps, changes, w.changes = flaps+1, changes+w.changes, 0
			if w.bad != "" {
				t.Fatalf("seed %d: flap %d: %s", seed, flap, w.bad)
			}
		}
	}
	if changes < flaps/4 || changes > 3*flaps {
		t.Errorf("%d flaps, %d changes: the test tries too little, or too much is done", flaps, changes)
	}
}

// flapper is a cluster of which some members come and go.
type flapper struct {
	r       *rand.Rand
	s       Seen
	p       Policy
	changes int
	bad     string
}

// flap makes members fall silent or come back, for a while.
func (w *flapper) flap(whom []int, up bool) {
	for _, i := range whom {
		m := &w.s.Members[i]
		m.Active, m.ActiveTicks, m.SilentTicks, m.CaughtUp = up, 0, 0, false
	}
	if leader, _ := find(w.s.Members, w.s.Leader); !leader.Active {
		for _, o := range w.s.Members {
			if o.Active && o.Member.Role == cluster.Voter {
				w.s.Leader = o.Member.ID
			}
		}
	}
	for range w.r.IntN(80) {
		for i := range w.s.Members {
			m := &w.s.Members[i]
			if m.Active {
				m.ActiveTicks++
				m.CaughtUp = m.CaughtUp || m.ActiveTicks > 3
			} else {
				m.SilentTicks++
			}
		}
		w.plan()
	}
}

func (w *flapper) plan() {
	c, _ := Plan(w.s, w.p)
	if c.Empty() {
		return
	}
	if bad := wrong(w.s, w.p, c, false); bad != "" {
		w.bad = c.words() + ": " + bad + "\n" + described(w.s, w.p)
	}
	w.s = apply(w.s, c)
	w.changes++
}

// settle plans until there is nothing to do.
func (w *flapper) settle(t *testing.T, seed uint64, most int) {
	for range most {
		w.plan()
	}
	if c, _ := Plan(w.s, w.p); !c.Empty() {
		t.Fatalf("seed %d: no rest: %s", seed, c.words())
	}
	w.changes = 0
	voters := slices.DeleteFunc(slices.Clone(w.s.Members), func(m MemberSeen) bool { return m.Member.Role == cluster.Learner })
	if len(voters) != Target(len(w.s.Members), w.p) {
		t.Fatalf("seed %d: %d voters of %d", seed, len(voters), len(w.s.Members))
	}
}
