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

func TestTarget(t *testing.T) {
	for _, c := range []struct{ members, policy, want int }{
		{1, 0, 1}, {2, 0, 1}, {3, 0, 3}, {4, 0, 3}, {5, 0, 5}, {6, 0, 5}, {100, 0, 5},
		{9, 7, 7}, {7, 6, 5}, {4, 1, 1}, {4, 2, 1}, {0, 0, 1},
	} {
		if got := Target(c.members, Policy{TargetVoters: c.policy}); got != c.want {
			t.Errorf("Target(%d, %d) = %d, want %d", c.members, c.policy, got, c.want)
		}
	}
}

// anything is a cluster in any state; its leader has a quorum, as leaders do.
func anything(r *rand.Rand) (Seen, Policy) {
	for {
		s := Seen{LastIndex: 1000}
		for i := range 1 + r.IntN(9) {
			m := MemberSeen{
				Member: cluster.Member{ID: cluster.NodeID(i + 1), Role: cluster.Learner},
				Match:  uint64(r.IntN(1001)), Active: r.IntN(4) > 0, CaughtUp: r.IntN(3) > 0, Snapshotting: r.IntN(6) == 0,
			}
			if m.Active {
				m.ActiveTicks = r.IntN(40)
			} else {
				m.SilentTicks, m.Unseen = r.IntN(200), r.IntN(2) == 0
			}
			if r.IntN(2) == 0 {
				m.Member.Role = cluster.Voter
			}
			s.Members = append(s.Members, m)
		}
		v := newView(s, Policy{})
		if len(v.voters) == 0 {
			continue
		}
		s.Leader = v.voters[r.IntN(len(v.voters))].Member.ID
		v = newView(s, Policy{})
		if active(v.voters) < majority(len(v.voters)) {
			continue
		}
		p := Policy{TargetVoters: r.IntN(8), StabilityTicks: r.IntN(20), LearnerExpiryTicks: 100 * r.IntN(2)}
		return s, p
	}
}

// wrong says what a change breaks, "" if nothing.
func wrong(s Seen, p Policy, c Change) string {
	before, after := newView(s, p), newView(apply(s, c), p)
	all := slices.Concat(c.Promote, c.Demote, c.Remove)
	slices.Sort(all)
	switch {
	case len(slices.Compact(all)) != len(c.Promote)+len(c.Demote)+len(c.Remove):
		return "a member is in the change twice"
	case len(after.voters) == 0:
		return "no voter is left"
	case len(after.voters)%2 == 0 && len(after.voters) != len(before.voters):
		return "an even number of voters"
	case slices.Contains(c.Demote, s.Leader):
		return "the leader is demoted"
	}
	kept := slices.DeleteFunc(slices.Clone(after.voters), func(m MemberSeen) bool { return slices.Contains(c.Promote, m.Member.ID) })
	lost := len(c.Promote) // how many newcomers die
	switch len(kept) {
	case 0:
		lost = 0
	case 1:
		lost = min(1, lost)
	}
	if active(kept)+len(c.Promote)-lost < majority(len(after.voters)) {
		return "no quorum if the newcomers die"
	}
	for _, m := range before.learners {
		if slices.Contains(c.Promote, m.Member.ID) && (!m.Active || !m.CaughtUp || m.Snapshotting) {
			return "a learner that isn't ready is promoted"
		}
	}
	return ""
}

// TestPlanIsSafe: each change that is planned is safe by itself, and they come
// to rest; a role is not given and taken back.
func TestPlanIsSafe(t *testing.T) {
	for seed := range uint64(race.Share(30000)) {
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
			if c.Empty() {
				checkRest(t, seed, s, p, why)
				break
			}
			bad := wrong(s, p, c)
			for _, id := range slices.Concat(c.Promote, c.Demote) {
				if touched[id] {
					bad = fmt.Sprintf("n%d goes back and forth", id)
				}
				touched[id] = true
			}
			if bad != "" || steps > 10 {
				t.Fatalf("seed %d: %s after %d changes:\n%s%+v %+v", seed, bad, steps, story, start, p)
			}
			s = apply(s, c)
		}
	}
}

// checkRest: where the roster does nothing, each member that isn't what it
// should be has a reason with a way out.
func checkRest(t *testing.T, seed uint64, s Seen, p Policy, why Why) {
	v := newView(s, p)
	for _, m := range s.Members {
		at := slices.IndexFunc(why, func(r event.Reason) bool { return r.Peer == m.Member.ID })
		odd := m.Member.Role == cluster.Learner || m.Member.ID != s.Leader && !m.Active
		if odd && (at < 0 || why[at].WayOut == "" || strings.TrimSpace(why[at].Text) == "") {
			t.Fatalf("seed %d: no reason for n%d: %+v\n%+v", seed, m.Member.ID, why, v)
		}
	}
}

// TestRemoveIsSafe: what a removal takes with it is safe, or it is refused.
func TestRemoveIsSafe(t *testing.T) {
	refused, done := 0, 0
	for seed := range uint64(race.Share(30000)) {
		r := rand.New(rand.NewPCG(seed, 3))
		s, p := anything(r)
		id := s.Members[r.IntN(len(s.Members))].Member.ID
		c, why := PlanRemove(s, p, id, true)
		if why != nil {
			refused++
			if !c.Empty() || why.Code == "" || why.WayOut == "" {
				t.Fatalf("seed %d: refused and done: %+v %+v", seed, c, why)
			}
			continue
		}
		done++
		if !slices.Equal(c.Remove, []cluster.NodeID{id}) {
			t.Fatalf("seed %d: n%d is not removed: %s", seed, id, c.words())
		}
		voter := slices.ContainsFunc(s.Members, func(m MemberSeen) bool { return m.Member.ID == id && m.Member.Role == cluster.Voter })
		if bad := wrong(s, p, c); bad != "" && voter {
			t.Fatalf("seed %d: remove n%d: %s: %s\n%+v", seed, id, c.words(), bad, s)
		}
	}
	if refused == 0 || done == 0 {
		t.Fatalf("%d refused, %d done: the test tries too little", refused, done)
	}
}

// TestGrowsToTarget: when all are well, a cluster of any size founded by any
// number ends at its target, two founders without a third member excepted.
func TestGrowsToTarget(t *testing.T) {
	for members := 1; members <= 9; members++ {
		for founders := 1; founders <= members; founders++ {
			s := Seen{Leader: 1}
			for i := range members {
				m := MemberSeen{Member: cluster.Member{ID: cluster.NodeID(i + 1), Role: cluster.Learner}, Active: true, ActiveTicks: 10, CaughtUp: true}
				if i < founders {
					m.Member.Role = cluster.Voter
				}
				s.Members = append(s.Members, m)
			}
			for {
				c, _ := Plan(s, Policy{})
				if c.Empty() {
					break
				}
				s = apply(s, c)
			}
			got, want := len(newView(s, Policy{}).voters), Target(members, Policy{})
			if got != want && (members != 2 || founders != 2) {
				t.Errorf("%d members, %d founders: %d voters, want %d", members, founders, got, want)
			}
		}
	}
}
