package sim

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/musterhq/muster/cluster"
)

// atRest says what the cluster has still to do by itself when everybody is well
// again, or "". Nobody removes a wiped member for it.
func (w *World) atRest(l *process) string {
	m := &l.view.Membership
	if m.Policy.Paused != "" {
		if w.ops.waiting() == 0 {
			w.ops.set(l.node.member(), map[string]string{"paused": ""})
		}
		return "changes are paused"
	}
	if lost := w.ops.lost(); len(lost) > 0 {
		return fmt.Sprintf("%s is a member, but its disk is lost", lost[0].Name)
	}
	for _, s := range w.stops {
		if s.open() {
			return fmt.Sprintf("%s is being stopped", s.p.node.host)
		}
	}
	for _, x := range m.Members {
		if x.Wanted == cluster.Learner {
			if w.ops.waiting() == 0 {
				w.ops.promote(l, x)
			}
			return fmt.Sprintf("%s is to be promoted by name", x.Name)
		}
		if _, there := m.Member(x.Replaces); there {
			return fmt.Sprintf("%s replaces a member that is still there", x.Name)
		}
	}
	return cmp.Or(w.strength(m), w.spread(l, m), w.leads(l, m), w.planned(l))
}

// strength: there are as many voters as there should be. Two that founded
// together stay two until there is a third.
func (w *World) strength(m *cluster.Membership) string {
	voters, want, floor := len(m.Voters()), w.targetOf(m), w.floorOf(m)
	if pair := voters == 2 && want == 1; voters < want || voters > max(want, floor+1-floor%2) && !pair {
		return fmt.Sprintf("%d members vote, and %d should, with a floor of %d", voters, want, floor)
	}
	return ""
}

// spread: no vote is better in another zone, but for the leader's. Of two voters
// neither can be moved: should the newcomer fail, there would be no quorum.
func (w *World) spread(l *process, m *cluster.Membership) string {
	if len(m.Voters()) == 2 {
		return ""
	}
	zone := func(x cluster.Member) string { return cmp.Or(x.Zone, x.ID.String()) }
	votes := map[string]int{}
	for _, x := range m.Members {
		if x.Role == cluster.Voter {
			votes[zone(x)]++
		}
	}
	for _, out := range m.Members {
		for _, in := range m.Members {
			if out.Role == cluster.Voter && out.ID != l.self.NodeID && in.Role == cluster.Learner && votes[zone(out)] > votes[zone(in)]+1 {
				return fmt.Sprintf("%s, in a zone with %d votes, votes, and %s, in one with %d, doesn't", out.Name, votes[zone(out)], in.Name, votes[zone(in)])
			}
		}
	}
	return ""
}

// leads: no voter is in a zone that is better to lead from.
func (w *World) leads(l *process, m *cluster.Membership) string {
	zones := m.Policy.Or(w.plan.policy).LeaderZones
	rank := func(x cluster.Member) int {
		if i := slices.Index(zones, x.Zone); i >= 0 {
			return i
		}
		return len(zones)
	}
	self, _ := m.Member(l.self.NodeID)
	for _, x := range m.Members {
		if x.Role == cluster.Voter && rank(x) < rank(self) {
			return fmt.Sprintf("%s leads from zone %q, and %s in %q votes", self.Name, self.Zone, x.Name, x.Zone)
		}
	}
	return ""
}

// planned: the roster itself says that nothing is to be done.
func (w *World) planned(l *process) string {
	f, err := l.m.Foresee("")
	switch {
	case err != nil:
		return err.Error()
	case len(f.Changes) > 0:
		return "the roster has something to do: " + f.Changes[0].Text
	}
	return ""
}

// quiet holds the cluster to what it has come to: nothing moves any more.
func (w *World) quiet() {
	if w.failure != "" {
		return
	}
	at, term := w.truth.committed(), w.truth.term
	w.runUntil(w.now + 2*second)
	if w.failure == "" && (at != w.truth.committed() || term != w.truth.term) {
		w.fail("all was at rest at index %d in term %d, and %d s later it is at %d in term %d\n%s", at, term, 2, w.truth.committed(), w.truth.term, w)
	}
}
