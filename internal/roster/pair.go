package roster

import (
	"slices"

	"github.com/musterhq/muster/cluster"
)

// A pair is two members of one name: one whose disk is gone, and the successor
// that replaces it. At most one of them is a voter.

// succeeds says whether a takes b's place.
func succeeds(a, b MemberSeen) bool {
	return a.Member.Replaces == b.Member.ID && a.Member.ID != b.Member.ID
}

// bound says whether a learner is one of a pair, and not to be promoted beside
// the other: a successor, until the other is out; and the other, from when its
// successor votes. The member besides doesn't matter.
func bound(ms []MemberSeen, m MemberSeen, besides cluster.NodeID) bool {
	return slices.ContainsFunc(ms, func(o MemberSeen) bool {
		return o.Member.ID != besides && (succeeds(m, o) || o.Member.Role == cluster.Voter && succeeds(o, m))
	})
}

// takers lists the learners that are ready to take a voter's place when that one
// is silent or leaves: standbys, and the other of its pair.
func (v *view) takers(out MemberSeen) []MemberSeen {
	return slices.DeleteFunc(slices.Clone(v.learners), func(m MemberSeen) bool {
		return v.unready(m) != "" || bound(v.Members, m, out.Member.ID)
	})
}

// wiped says whether a voter is silent and its successor is ready.
func (v *view) wiped(m MemberSeen) bool {
	return !m.Active && slices.ContainsFunc(v.takers(m), func(s MemberSeen) bool { return succeeds(s, m) })
}

// successor finds a member that replaces m and answers.
func (v *view) successor(m MemberSeen) (MemberSeen, bool) {
	for _, s := range v.Members {
		if s.Active && succeeds(s, m) {
			return s, true
		}
	}
	return MemberSeen{}, false
}

// rival finds the other of m's pair that answers although m does, which keeps
// the learner m from being promoted.
func (v *view) rival(m MemberSeen) (MemberSeen, bool) {
	if !m.Active {
		return MemberSeen{}, false
	}
	for _, o := range v.Members {
		if o.Active && succeeds(m, o) {
			return o, true
		}
	}
	for _, o := range v.voters {
		if o.Active && succeeds(o, m) {
			return o, true
		}
	}
	return MemberSeen{}, false
}

// bury removes learners that are silent and have a successor that answers. No
// time has to pass: what they knew is lost with their disk.
func (v *view) bury() (Change, Why) {
	var gone []MemberSeen
	for _, m := range v.learners {
		if _, ok := v.successor(m); ok && !m.Active {
			gone = append(gone, m)
		}
	}
	return Change{Remove: ids(gone)}, v.each(gone, codeBurying)
}
