package roster

import (
	"cmp"
	"slices"
)

// leadLag is by how many entries a voter may lag that is to lead: raft sends it
// the rest first, while nothing new is taken.
const leadLag = 64

// lead hands leadership to a voter in a better zone.
func (v *view) lead() (Change, Why) {
	var best MemberSeen
	for _, m := range v.preferred() {
		if v.unfit(m) != "" {
			continue
		}
		if best.Member.ID == 0 || cmp.Or(v.rank(m)-v.rank(best), cmp.Compare(best.Match, m.Match)) < 0 {
			best = m
		}
	}
	if best.Member.ID == 0 {
		return Change{}, nil
	}
	return Change{Lead: best.Member.ID}, v.each([]MemberSeen{best}, codeLeaderZone)
}

// preferred lists the voters in better zones than the leader's, sorted by ID.
func (v *view) preferred() []MemberSeen {
	return slices.DeleteFunc(slices.Clone(v.voters), func(m MemberSeen) bool { return v.rank(m) >= v.rank(v.leader()) })
}

// rank is how far a member's zone is from the best one to lead from. Zones that
// nobody named come last, all alike.
func (v *view) rank(m MemberSeen) int {
	if i := slices.Index(v.policy.LeaderZones, m.Member.Zone); i >= 0 {
		return i
	}
	return len(v.policy.LeaderZones)
}

// unfit is why a voter isn't given leadership yet, or "".
func (v *view) unfit(m MemberSeen) string {
	switch {
	case !m.Active:
		return codeNotActive
	case m.Stopping:
		return codeStopping
	case m.ActiveTicks < v.policy.StabilityTicks:
		return codeNotStable
	case m.Snapshotting || !m.CaughtUp && m.Match+leadLag < v.LastIndex:
		return codeCatchingUp
	}
	return ""
}
