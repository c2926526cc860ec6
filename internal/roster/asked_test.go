package roster

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/race"
)

// TestRemoveIsSafe: what a removal takes with it is safe, or it is refused; and
// it leaves no fewer voters than the floor unless it is told to.
func TestRemoveIsSafe(t *testing.T) {
	refused, done, below := 0, 0, 0
	for seed := range uint64(race.Share(30000)) {
		r := rand.New(rand.NewPCG(seed, 3))
		s, p := anything(r)
		id, anyhow := s.Members[r.IntN(len(s.Members))].Member.ID, r.IntN(2) == 0
		c, why := PlanRemove(s, p, id, anyhow)
		if why != nil {
			refused++
			if !c.Empty() || why.Code == "" || why.WayOut == "" {
				t.Fatalf("seed %d: refused and done: %+v %+v", seed, c, why)
			}
			if more, _ := PlanRemove(s, p, id, true); why.Code == codeBelowFloor && (anyhow || more.Empty()) {
				t.Fatalf("seed %d: the floor has nothing to do with it: %+v", seed, why)
			}
			continue
		}
		done++
		if !slices.Equal(c.Remove, []cluster.NodeID{id}) {
			t.Fatalf("seed %d: n%d is not removed: %s", seed, id, c.words())
		}
		before, after := newView(s, p), newView(apply(s, c), p)
		if len(after.voters) < min(len(before.voters), floorOf(s, p)) {
			if below++; !anyhow {
				t.Fatalf("seed %d: remove n%d: %s: below the floor\n%+v %+v", seed, id, c.words(), s, p)
			}
		}
		if bad := wrong(s, p, c, true); bad != "" && slices.Contains(ids(before.voters), id) {
			t.Fatalf("seed %d: remove n%d: %s: %s\n%+v", seed, id, c.words(), bad, s)
		}
	}
	if refused == 0 || done == 0 || below == 0 {
		t.Fatalf("%d refused, %d done, %d below the floor: the test tries too little", refused, done, below)
	}
}

// TestStandDownIsSafe: a voter's role goes to exactly one that is ready, or
// stays with it.
func TestStandDownIsSafe(t *testing.T) {
	refused, done := 0, 0
	for seed := range uint64(race.Share(30000)) {
		r := rand.New(rand.NewPCG(seed, 5))
		s, p := anything(r)
		m := s.Members[r.IntN(len(s.Members))]
		id := m.Member.ID
		c, why := PlanStandDown(s, p, id)
		if why != nil {
			refused++
			if !c.Empty() || why.Code == "" || why.WayOut == "" {
				t.Fatalf("seed %d: refused and done: %+v %+v", seed, c, why)
			}
			continue
		}
		done++
		if m.Member.Role != cluster.Voter || len(c.Promote) != 1 || !slices.Equal(c.Demote, []cluster.NodeID{id}) || len(c.Remove) > 0 || c.Lead != 0 {
			t.Fatalf("seed %d: n%d stands down: %s", seed, id, c.words())
		}
		if bad := wrong(s, p, c, true); bad != "" || squares(newView(apply(s, c), p)) > fewest(s, p, id) {
			t.Fatalf("seed %d: n%d stands down: %s: %s\n%+v", seed, id, c.words(), bad, s)
		}
	}
	if refused == 0 || done == 0 {
		t.Fatalf("%d refused, %d done: the test tries too little", refused, done)
	}
}

// TestPromoteIsSafe: one whose promotion is asked for is promoted as the planner
// would have done it, or goes on standby, or it is said why not.
func TestPromoteIsSafe(t *testing.T) {
	refused, done, standby := 0, 0, 0
	for seed := range uint64(race.Share(30000)) {
		r := rand.New(rand.NewPCG(seed, 7))
		s, p := anything(r)
		m := &s.Members[r.IntN(len(s.Members))]
		id, was := m.Member.ID, m.Member.Wanted
		c, why := PlanPromote(s, p, id)
		if m.Member.Wanted != was {
			t.Fatalf("seed %d: what was seen was changed", seed)
		}
		m.Member.Wanted = 0
		ready := newView(s, p)
		switch bad := wrong(s, p, c, false); {
		case why != nil:
			refused++
			if !c.Empty() || why.Code == "" || why.WayOut == "" || why.Code == codeAnnounced {
				t.Fatalf("seed %d: refused and done: %+v %+v", seed, c, why)
			}
		case ready.unready(*m) != "" || m.Member.Role == cluster.Voter:
			t.Fatalf("seed %d: n%d isn't ready or votes, and is let through\n%s", seed, id, described(s, p))
		case c.Empty():
			standby++
		case bad != "" || !slices.Contains(c.Promote, id):
			t.Fatalf("seed %d: promote n%d: %s: %s\n%s", seed, id, c.words(), bad, described(s, p))
		default:
			done++
		}
	}
	if refused == 0 || done == 0 || standby == 0 {
		t.Fatalf("%d refused, %d done, %d on standby: the test tries too little", refused, done, standby)
	}
}

// fewest is the smallest sum of squares that a learner in place of id gives.
func fewest(s Seen, p Policy, id cluster.NodeID) int {
	best, v := 1<<30, newView(s, p)
	for _, m := range v.standbys {
		best = min(best, squares(newView(apply(s, Change{Promote: []cluster.NodeID{m.Member.ID}, Demote: []cluster.NodeID{id}}), p)))
	}
	return best
}
