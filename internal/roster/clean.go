package roster

// expire removes learners that were added and never showed up.
func (v *view) expire() (Change, Why) {
	if v.policy.LearnerExpiryTicks <= 0 {
		return Change{}, nil
	}
	var gone []MemberSeen
	for _, m := range v.learners {
		if m.Unseen && !m.Active && m.SilentTicks >= v.policy.LearnerExpiryTicks {
			gone = append(gone, m)
		}
	}
	return Change{Remove: ids(gone)}, v.each(gone, codeExpired)
}

// clean removes learners that have been silent for too long, when the cluster
// is as strong as it should be without them.
func (v *view) clean() (Change, Why) {
	if !v.healthy() {
		return Change{}, nil
	}
	var gone []MemberSeen
	for _, m := range v.learners {
		if v.overdue(m) && !v.needed(append(gone, m)) {
			gone = append(gone, m)
		}
	}
	return Change{Remove: ids(gone)}, v.each(gone, codeCleaning)
}

func (v *view) overdue(m MemberSeen) bool {
	return !m.Active && v.policy.RemoveTicks > 0 && m.SilentTicks >= v.policy.RemoveTicks
}

// healthy says that there are voters enough, and that all of them answer.
func (v *view) healthy() bool {
	return len(v.voters) >= v.target && active(v.voters) == len(v.voters)
}

// needed says whether there are so many voters only because these members are
// there: without them some would be demoted.
func (v *view) needed(gone []MemberSeen) bool {
	left := Target(heads(without(v.Members, gone)), v.policy)
	return left < v.target && left < len(v.voters)
}
