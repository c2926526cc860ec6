package roster

import (
	"slices"

	"github.com/musterhq/muster/cluster"
)

// view is Seen, sorted out.
type view struct {
	Seen
	policy   Policy
	voters   []MemberSeen // sorted by ID
	learners []MemberSeen // sorted by ID
	heads    int          // how many members count, see heads
	target   int          // how many voters there should be
	floor    int          // no change leaves fewer voters than this
	standbys []MemberSeen // learners that are ready to take anybody's place, sorted by ID
}

func newView(s Seen, p Policy) view {
	v := view{Seen: s, policy: p.withDefaults(), heads: heads(s.Members)}
	v.target = Target(v.heads, p)
	for _, m := range s.Members {
		m.Active = m.Active || m.Member.ID == s.Leader
		if m.Member.Role == cluster.Voter {
			v.voters = append(v.voters, m)
		} else {
			v.learners = append(v.learners, m)
		}
	}
	v.standbys = v.takers(MemberSeen{})
	v.floor = v.policy.Floor
	if v.floor <= 0 {
		v.floor = v.target
	}
	return v
}

// heads is how many members count when the target is chosen: a pair counts as
// one, so a learner that is bound doesn't; nor does one that is kept a learner.
func heads(ms []MemberSeen) int {
	n := 0
	for _, m := range ms {
		if m.Member.Role == cluster.Voter || !bound(ms, m, 0) && m.Member.Wanted != cluster.Learner {
			n++
		}
	}
	return n
}

// unready is the code of why a learner can't be promoted yet, going by itself
// alone, or "".
func (v *view) unready(m MemberSeen) string {
	switch {
	case !m.Active:
		return codeNotActive
	case m.Stopping:
		return codeStopping
	case m.Snapshotting:
		return codeSnapshotting
	case !m.CaughtUp:
		return codeCatchingUp
	case m.ActiveTicks < v.policy.StabilityTicks:
		return codeNotStable
	case m.Member.Wanted == cluster.Learner:
		return codeAnnounced
	}
	return ""
}

// holds says whether a configuration of the kept voters and the newcomers has
// a quorum when the newcomers are dead. Where at most one voter is kept, that
// can't be: then all newcomers but one must do, or the only one.
func holds(kept []MemberSeen, newcomers int) bool {
	have := active(kept)
	switch {
	case len(kept) == 0:
		have = newcomers
	case len(kept) == 1 && newcomers > 1:
		have += newcomers - 1
	}
	return have >= majority(len(kept)+newcomers)
}

func majority(voters int) int { return voters/2 + 1 }

func active(ms []MemberSeen) int {
	n := 0
	for _, m := range ms {
		if m.Active {
			n++
		}
	}
	return n
}

func find(ms []MemberSeen, id cluster.NodeID) (MemberSeen, bool) {
	for _, m := range ms {
		if m.Member.ID == id {
			return m, true
		}
	}
	return MemberSeen{}, false
}

// ids lists the members' IDs, sorted.
func ids(ms []MemberSeen) []cluster.NodeID {
	var out []cluster.NodeID
	for _, m := range ms {
		out = append(out, m.Member.ID)
	}
	slices.Sort(out)
	return out
}

// without is ms less those in gone.
func without(ms, gone []MemberSeen) []MemberSeen {
	return slices.DeleteFunc(slices.Clone(ms), func(m MemberSeen) bool {
		_, ok := find(gone, m.Member.ID)
		return ok
	})
}
