package roster

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
)

// Plan is the next change that brings the cluster nearer to its policy, or an
// empty one. Why has a reason for each member that is not what it should be,
// and for each that the change is about.
func Plan(s Seen, p Policy) (Change, Why) {
	v := newView(s, p)
	if r := v.stuck(); r != nil {
		return Change{}, Why{*r}
	}
	c, why := v.next()
	if v.Paused != "" {
		return Change{}, append(v.pausing(c), v.rest(c)...).sorted()
	}
	return c, append(why, v.rest(c)...).sorted()
}

// stuck says why no change could be carried out now, whoever asks for it.
func (v *view) stuck() *event.Reason {
	switch {
	case v.Leader == 0:
		return &event.Reason{Code: codeNoLeader, Text: "only a leader changes the membership", WayOut: "wait until one is elected"}
	case v.Joint, v.Pending:
		return &event.Reason{Code: codePending, Text: "another change of the membership is under way", WayOut: "wait until it is done"}
	case active(v.voters) < majority(len(v.voters)):
		return v.noQuorum()
	}
	return nil
}

func (v *view) noQuorum() *event.Reason {
	return &event.Reason{Code: codeNoQuorum,
		Text:   fmt.Sprintf("only %d of %d voters answer: nothing can be decided", active(v.voters), len(v.voters)),
		WayOut: v.startVoters()}
}

// next is the first change that there is something to say for, and the reasons
// of the members in it. The order is one of urgency, but for the first: what is
// too much goes before it is replaced.
func (v *view) next() (Change, Why) {
	for _, rule := range []func() (Change, Why){v.bury, v.expire, v.shrink, v.grow, v.replace, v.drop, v.spread, v.clean, v.lead} {
		if c, why := rule(); !c.Empty() {
			return c, why
		}
	}
	return Change{}, nil
}

// pausing says what would be done if nobody had paused it.
func (v *view) pausing(c Change) Why {
	why := Why{{Code: codePaused, Text: "automatic changes of the membership are paused: " + v.Paused, WayOut: "`muster resume`"}}
	for _, part := range []struct {
		ids   []cluster.NodeID
		would string
	}{{c.Promote, "become a voter"}, {c.Demote, "become a learner"}, {c.Remove, "be removed"}, {[]cluster.NodeID{c.Lead}, "take leadership over"}} {
		for _, id := range part.ids {
			if m, ok := find(v.Members, id); ok {
				why = append(why, say(m, codeHeldByPause, "`muster resume`", "would %s, but changes are paused: %s", part.would, v.Paused))
			}
		}
	}
	return why
}

// touches says whether the change is about the member.
func (c Change) touches(id cluster.NodeID) bool {
	return c.Lead == id || slices.Contains(c.Promote, id) || slices.Contains(c.Demote, id) || slices.Contains(c.Remove, id)
}

func (w Why) sorted() Why {
	slices.SortStableFunc(w, func(a, b event.Reason) int {
		return cmp.Or(cmp.Compare(a.Peer, b.Peer), cmp.Compare(a.Code, b.Code))
	})
	return w
}
