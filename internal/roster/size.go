package roster

// grow promotes learners until there are as many voters as there should be: a
// pair, or one where the number of voters is even.
func (v *view) grow() (Change, Why) {
	want, ready := v.step(), v.standbys
	if len(v.voters) >= v.target || len(ready) < want || !holds(v.voters, want) {
		return Change{}, nil
	}
	chosen := crowdOf(v.voters).fill(ready, want)
	return Change{Promote: ids(chosen)}, v.each(chosen, codePromoting)
}

// step is how many voters are added at a time, so that their number is odd.
func (v *view) step() int { return 1 + len(v.voters)%2 }

// shrink demotes voters above the target, all in one change, so that their
// number is odd afterwards. Two voters stay: see the package's doc.
func (v *view) shrink() (Change, Why) {
	chosen := crowdOf(v.voters).thin(v.voters, v.Leader, v.surplus())
	return Change{Demote: ids(chosen)}, v.each(chosen, codeDemoting)
}

// surplus is how many voters to demote: those above the target, or as many as
// the floor lets go. Those that are left are a quorum: as many answer as before,
// or all of them do.
func (v *view) surplus() int {
	if len(v.voters) <= 2 {
		return 0
	}
	left := max(v.target, v.floor+1-v.floor%2)
	return max(0, len(v.voters)-left)
}

// drop demotes voters that are dead and that nobody is there to replace, in
// pairs, as long as the floor leaves room: two dead of five count against a
// quorum of three, and none of three against one of two.
func (v *view) drop() (Change, Why) {
	dead := v.dead()
	n := min(len(dead), len(v.voters)-v.floor)
	n -= (len(v.voters) - n + 1) % 2 // so that an odd number is left
	if n <= 0 {
		return Change{}, nil
	}
	chosen := crowdOf(v.voters).thin(dead, v.Leader, n)
	return Change{Demote: ids(chosen)}, v.each(chosen, codeDropping)
}
