package roster

import (
	"fmt"
	"slices"
	"strings"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
)

// Plan is the next change that brings the cluster nearer to its policy, or an
// empty one. Why has a reason for each member that is not what it should be,
// and for each that the change is about.
func Plan(s Seen, p Policy) (Change, Why) {
	v := newView(s, p)
	if r := v.standstill(); r != nil {
		return Change{}, Why{*r}
	}
	c, why := v.grow()
	for _, next := range []func() (Change, Why){v.shrink, v.expire} {
		if c.Empty() {
			var more Why
			c, more = next()
			why = append(why.less(c.Remove), more...)
		}
	}
	why = append(why, v.silentVoters(c)...)
	return c, why.sorted()
}

// standstill says why nothing at all may be changed now.
func (v *view) standstill() *event.Reason {
	r := v.stuck()
	if r == nil && v.Paused != "" {
		r = &event.Reason{Code: codePaused, Text: "automatic changes of the membership are paused: " + v.Paused, WayOut: "`muster resume`"}
	}
	return r
}

// stuck says why no change could be carried out now, whoever asks for it.
func (v *view) stuck() *event.Reason {
	switch n := len(v.voters); {
	case v.Leader == 0:
		return &event.Reason{Code: codeNoLeader, Text: "only a leader changes the membership", WayOut: "wait until one is elected"}
	case v.Joint, v.Pending:
		return &event.Reason{Code: codePending, Text: "another change of the membership is under way", WayOut: "wait until it is done"}
	case active(v.voters) < majority(n):
		return &event.Reason{Code: codeNoQuorum,
			Text:   fmt.Sprintf("only %d of %d voters answer: nothing can be decided", active(v.voters), n),
			WayOut: "start the voters that are down"}
	}
	return nil
}

// grow promotes learners until there are as many voters as there should be: a
// pair, or one where the number of voters is even.
func (v *view) grow() (Change, Why) {
	missing := v.target - len(v.voters)
	if missing <= 0 {
		return Change{}, v.standby()
	}
	want := 1 + len(v.voters)%2
	ready := v.readyLearners()
	switch {
	case len(ready) < want:
		return Change{}, append(v.waiting(), v.each(ready, codeNeedsPair)...)
	case !holds(v.voters, want):
		return Change{}, append(v.waiting(), v.each(ready, codeQuorum)...)
	}
	rest := codeNext
	if missing <= want {
		rest = codeStandby
	}
	why := append(v.waiting(), v.each(ready[:want], codePromoting)...)
	return Change{Promote: ids(ready[:want])}, append(why, v.each(ready[want:], rest)...)
}

// shrink demotes voters above the target, all in one change, so that their
// number is odd afterwards. Two voters stay: see the package's doc.
func (v *view) shrink() (Change, Why) {
	surplus := len(v.voters) - v.target
	if surplus <= 0 || len(v.voters) <= 2 {
		return Change{}, nil
	}
	chosen := expendable(v.voters, v.Leader)[:surplus]
	if !holds(without(v.voters, chosen), 0) {
		return Change{}, v.each(chosen, codeKeptForQuorum)
	}
	return Change{Demote: ids(chosen)}, v.each(chosen, codeDemoting)
}

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

// less is the reasons but for those about the members given.
func (w Why) less(gone []cluster.NodeID) Why {
	return slices.DeleteFunc(w, func(r event.Reason) bool { return slices.Contains(gone, r.Peer) })
}

func (w Why) sorted() Why {
	slices.SortStableFunc(w, func(a, b event.Reason) int {
		switch {
		case a.Peer < b.Peer:
			return -1
		case a.Peer > b.Peer:
			return 1
		}
		return strings.Compare(a.Code, b.Code)
	})
	return w
}
