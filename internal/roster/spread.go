package roster

import (
	"cmp"
	"slices"
)

// spread moves one vote from a crowded zone to an emptier one, when there are
// voters enough, or nobody is about to become one.
func (v *view) spread() (Change, Why) {
	best, ok := v.relief(func(t trade) bool { return v.affordable(t) })
	if !ok || !v.settled() {
		return Change{}, nil
	}
	c := Change{}
	c.Promote, c.Demote = ids([]MemberSeen{best.in}), ids([]MemberSeen{best.out})
	return c, Why{
		say(best.in, codeSpreading, "", "becomes a voter in place of %s: %s", name(best.out), v.crowding(best.out)),
		say(best.out, codeSpreading, "", "becomes a learner: %s, and %s takes its place", v.crowding(best.out), name(best.in)),
	}
}

// settled says that nobody is on its way to become a voter.
func (v *view) settled() bool {
	if len(v.voters) >= v.target {
		return true
	}
	for _, m := range v.learners {
		if m.Active && v.unready(m) != "" {
			return false
		}
	}
	return true
}

// affordable says whether the vote can be moved, the newcomer counted dead.
func (v *view) affordable(t trade) bool {
	return holds(without(v.voters, []MemberSeen{t.out}), 1)
}

// relief is the trade that spreads the votes best, of those that are wanted:
// none if none makes them spread better than they are.
func (v *view) relief(wanted func(trade) bool) (best trade, found bool) {
	zones := crowdOf(v.voters)
	for _, out := range without(v.voters, []MemberSeen{v.leader()}) {
		takers := v.standbys
		if !out.Active {
			takers = v.takers(out)
		}
		for _, in := range takers {
			t := trade{out, in}
			gain := zones.gain(t)
			if gain <= 0 || !wanted(t) {
				continue
			}
			if !found || cmp.Or(zones.gain(best)-gain, answers(out)-answers(best.out), lesser(out, best.out)) < 0 {
				best, found = t, true
			}
		}
	}
	return best, found
}

// relieves says whether the votes would be spread better with this learner.
func (v *view) relieves(m MemberSeen) bool {
	zones := crowdOf(v.voters)
	_, ready := find(v.standbys, m.Member.ID)
	return ready && slices.ContainsFunc(v.voters, func(out MemberSeen) bool {
		return out.Member.ID != v.Leader && zones.gain(trade{out, m}) > 0
	})
}

func (v *view) leader() MemberSeen {
	m, _ := find(v.Members, v.Leader)
	return m
}

// crowded names a zone that has half of the votes, if that is a zone of several
// members.
func (v *view) crowded() (string, int) {
	zones := crowdOf(v.voters)
	for _, m := range v.voters {
		if n := zones[zone(m)]; m.Member.Zone != "" && len(v.voters) > 2 && 2*n >= len(v.voters) {
			return m.Member.Zone, n
		}
	}
	return "", 0
}
