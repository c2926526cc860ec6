package roster

import (
	"fmt"

	"github.com/musterhq/muster/event"
)

// dead lists the voters that have been silent for too long, sorted by ID.
func (v *view) dead() []MemberSeen {
	var out []MemberSeen
	for _, m := range v.voters {
		if v.isDead(m) {
			out = append(out, m)
		}
	}
	return out
}

func (v *view) isDead(m MemberSeen) bool {
	return !m.Active && v.policy.DeadTicks > 0 && m.SilentTicks >= v.policy.DeadTicks
}

// replace gives the votes of dead and of wiped voters to learners that are
// ready, in one change. The number of voters stays, and those that answer are a
// majority of it as they are: so the change is safe whatever becomes of the
// newcomers, and nobody needs to be promoted before another is demoted.
func (v *view) replace() (Change, Why) {
	var c Change
	var why Why
	zones, used := crowdOf(v.voters), []MemberSeen(nil)
	for {
		best, ok := v.replacement(zones, used)
		if !ok {
			break
		}
		zones.apply(best)
		used = append(used, best.out, best.in)
		c.Promote = append(c.Promote, best.in.Member.ID)
		c.Demote = append(c.Demote, best.out.Member.ID)
		why = append(why, v.replacing(best)...)
	}
	return c.sorted(), why
}

// replacement is the trade to make next: of those that spread the votes best one
// in a pair, else the first.
func (v *view) replacement(zones crowd, used []MemberSeen) (best trade, found bool) {
	better := func(t trade) bool {
		switch gain := zones.gain(t) - zones.gain(best); {
		case !found || gain != 0:
			return !found || gain > 0
		default:
			return t.inPair() && !best.inPair()
		}
	}
	for _, out := range without(v.voters, used) {
		if !v.wiped(out) && !v.isDead(out) {
			continue
		}
		for _, in := range without(v.takers(out), used) {
			if t := (trade{out, in}); better(t) {
				best, found = t, true
			}
		}
	}
	return best, found
}

// inPair says whether the vote stays in a pair. Only one of them can use it there.
func (t trade) inPair() bool { return succeeds(t.in, t.out) || succeeds(t.out, t.in) }

func (v *view) replacing(t trade) Why {
	if succeeds(t.in, t.out) {
		return Why{
			v.swapping(t.in, "becomes a voter in place of %s, whose disk is gone", t.out),
			v.swapping(t.out, "becomes a learner: %s takes its place", t.in),
		}
	}
	return Why{
		say(t.in, codeReplacing, "", "becomes a voter in place of %s, which doesn't answer", name(t.out)),
		say(t.out, codeReplacing, "", "becomes a learner: it hasn't answered for %s, and %s takes its place", v.span(t.out.SilentTicks), name(t.in)),
	}
}

// swapping is a reason about one of a pair, which names the other.
func (v *view) swapping(m MemberSeen, format string, other MemberSeen) event.Reason {
	return event.Reason{Code: codeSwapping, Peer: m.Member.ID, Addr: m.Member.PeerAddr,
		Text: label(v.Members, m) + " " + fmt.Sprintf(format, label(v.Members, other))}
}
