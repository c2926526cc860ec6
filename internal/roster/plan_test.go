package roster

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/race"
)

// maxChanges is how many changes lead from anything to rest, at most.
const maxChanges = 12

// TestPlanIsSafe: each change that is planned is safe by itself, and they come
// to rest; a role is not given and taken back.
func TestPlanIsSafe(t *testing.T) {
	kinds := map[string]int{}
	for seed := range uint64(race.Share(40000)) {
		s, p := anything(rand.New(rand.NewPCG(seed, 2)))
		start, story := s, ""
		touched := map[cluster.NodeID]bool{}
		for steps := 0; ; steps++ {
			c, why := Plan(s, p)
			again, whyAgain := Plan(s, p)
			if !reflect.DeepEqual(c, again) || !reflect.DeepEqual(why, whyAgain) {
				t.Fatalf("seed %d: two answers to one question", seed)
			}
			story += c.words() + "\n"
			checkReasons(t, seed, s, c, why)
			for _, r := range why {
				kinds[r.Code]++
			}
			if c.Empty() {
				if bad := restless(s, p, why); bad != "" {
					t.Fatalf("seed %d: at rest, %s:\n%s%s", seed, bad, story, described(s, p))
				}
				break
			}
			bad := wrong(s, p, c, false)
			for _, id := range slices.Concat(c.Promote, c.Demote) {
				if touched[id] {
					bad = fmt.Sprintf("n%d goes back and forth", id)
				}
				touched[id] = true
			}
			if bad != "" || steps > maxChanges {
				t.Fatalf("seed %d: %s after %d changes:\n%s%s", seed, bad, steps, story, described(start, p))
			}
			s = apply(s, c)
		}
	}
	for _, code := range []string{codePromoting, codeDemoting, codeDropping, codeReplacing, codeSwapping, codeSpreading, codeBurying, codeCleaning,
		codeExpired, codeLeaderZone, codeKeptForFloor, codeZoneHalf, codeSpreadQuorum, codeReplacesLiving, codeRemovalWaits, codeLeaderZoneWaits, codeLeaderZoneEmpty} {
		if kinds[code] == 0 {
			t.Errorf("%s never came: the test tries too little", code)
		}
	}
}

// checkReasons: each member that isn't what it should be has a reason, and where
// it isn't the change itself, with a way out.
func checkReasons(t *testing.T, seed uint64, s Seen, c Change, why Why) {
	for _, m := range s.Members {
		at := slices.IndexFunc(why, func(r event.Reason) bool { return r.Peer == m.Member.ID })
		odd := m.Member.Role == cluster.Learner || m.Member.ID != s.Leader && !m.Active
		if (odd || c.touches(m.Member.ID)) && (at < 0 || strings.TrimSpace(why[at].Text) == "") {
			t.Fatalf("seed %d: no reason for n%d: %+v\n%+v", seed, m.Member.ID, why, s)
		}
		if odd && !c.touches(m.Member.ID) && why[at].WayOut == "" {
			t.Fatalf("seed %d: no way out for n%d: %+v\n%+v", seed, m.Member.ID, why, s)
		}
	}
}

// restless says what is still to be done, "" if nothing.
func restless(s Seen, p Policy, why Why) string {
	v := newView(s, p)
	spare := v.standbys
	for _, m := range v.voters {
		dead := !m.Active && p.DeadTicks > 0 && m.SilentTicks >= p.DeadTicks
		switch {
		case dead && len(spare) > 0:
			return fmt.Sprintf("n%d is dead, and isn't replaced by n%d", m.Member.ID, spare[0].Member.ID)
		case v.wiped(m):
			return fmt.Sprintf("n%d is wiped, and its successor is ready", m.Member.ID)
		case m.Active && m.CaughtUp && !m.Snapshotting && !m.Stopping && m.ActiveTicks >= v.policy.StabilityTicks && v.rank(m) < v.rank(v.leader()):
			return fmt.Sprintf("n%d should lead", m.Member.ID)
		}
	}
	switch n := len(v.voters); {
	case n < v.target && len(spare) >= 1+n%2 && holds(v.voters, 1+n%2):
		return "voters are missing, and learners are ready"
	case n > 2 && n > v.target && n-1-n%2 >= v.floor:
		return "there are too many voters"
	case p.Floor > 0 && len(v.dead()) >= 2 && n-2 >= p.Floor:
		return "two dead count against the quorum"
	}
	return lopsided(v, why)
}

// lopsided says that a zone has half of the votes although another choice of
// members that are ready, with the same leader, would avoid it.
func lopsided(v view, why Why) string {
	coming := slices.ContainsFunc(v.learners, func(m MemberSeen) bool { return m.Active && v.unready(m) != "" })
	n := len(v.voters)
	if n < 3 || !half(v.voters) || n < v.target && coming {
		return ""
	}
	if active(v.voters)-1 < majority(n) && slices.ContainsFunc(why, func(r event.Reason) bool { return r.Code == codeSpreadQuorum || r.Code == codeQuorum }) {
		return ""
	}
	pool := slices.Concat(v.voters, v.standbys)
	for set := range 1 << len(pool) {
		var chosen []MemberSeen
		for i, m := range pool {
			if set>>i&1 == 1 {
				chosen = append(chosen, m)
			}
		}
		if _, leads := find(chosen, v.Leader); leads && len(chosen) == n && !half(chosen) {
			return fmt.Sprintf("a zone has half of the votes, and needn't: %v", ids(chosen))
		}
	}
	return ""
}

func half(voters []MemberSeen) bool {
	for _, m := range voters {
		n := 0
		for _, o := range voters {
			if m.Member.Zone != "" && o.Member.Zone == m.Member.Zone {
				n++
			}
		}
		if 2*n >= len(voters) {
			return true
		}
	}
	return false
}

// TestPaused: nothing is done while it is paused, whatever there is to do, and
// who would be touched is told so.
func TestPaused(t *testing.T) {
	for seed := range uint64(race.Share(5000)) {
		s, p := anything(rand.New(rand.NewPCG(seed, 4)))
		would, _ := Plan(s, p)
		s.Paused = "for lunch"
		c, why := Plan(s, p)
		if !c.Empty() {
			t.Fatalf("seed %d: %s", seed, c.words())
		}
		checkReasons(t, seed, s, c, why)
		for _, m := range s.Members {
			told := slices.ContainsFunc(why, func(r event.Reason) bool { return r.Peer == m.Member.ID && r.Code == codeHeldByPause })
			if told != would.touches(m.Member.ID) {
				t.Fatalf("seed %d: n%d: told %v of %s", seed, m.Member.ID, told, would.words())
			}
		}
	}
}
