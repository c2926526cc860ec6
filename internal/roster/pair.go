package roster

// A pair is two members of one name: one whose disk is gone, and the successor
// that replaces it. At most one of them is a voter.

// succeeds says whether a takes b's place.
func succeeds(a, b MemberSeen) bool {
	return a.Member.Replaces == b.Member.ID && a.Member.ID != b.Member.ID
}

// heirs lists the successors of a silent voter that are ready to vote.
func (v *view) heirs(gone MemberSeen) []MemberSeen {
	var out []MemberSeen
	for _, m := range v.learners {
		if !gone.Active && succeeds(m, gone) && v.unready(m) == "" {
			out = append(out, m)
		}
	}
	return out
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

// bound says whether a learner is one of a pair, and not to be promoted beside
// the other: a successor, until the other is out; and the other, from when its
// successor votes.
func (v *view) bound(m MemberSeen) bool {
	for _, o := range v.Members {
		if succeeds(m, o) {
			return true
		}
	}
	for _, o := range v.voters {
		if succeeds(o, m) {
			return true
		}
	}
	return false
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
