package roster

import (
	"slices"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
)

// Foresee is what [Plan] would come to, change after change, until there is
// nothing left to do, if what is supposed were so. suppose is "" for as things
// stand, or suppositions separated by commas, by name or ID:
//
//	remove NAME        an operator removes it
//	fail NAME          it stops answering, for good
//	recover NAME       it answers again, and is caught up
//	add [ZONE]         a new member joins (in that zone), and catches up
//	set KEY=VALUE      the policy is changed, by cluster.Policy's keys
//
// Policies are set first, the others happen in that order. Time goes by where
// something comes only after a silence or a stay; whoever answers goes on to,
// whoever doesn't stays away, and who lags goes on lagging. A change that is
// under way counts as done.
//
// tick is the length of a tick. An error says what can't be understood. Nothing
// is done.
func Foresee(s Seen, p cluster.Policy, tick cluster.Duration, suppose string) (event.Forecast, error) {
	f := event.Forecast{If: suppose, Changes: []event.ForecastStep{}, Waiting: []event.Reason{}, Before: strength(s), After: strength(s)}
	all, err := parseSuppositions(suppose)
	if err != nil {
		return f, err
	}
	w := world{Seen: s, policy: p}
	w.Members = slices.Clone(s.Members)
	w.Joint, w.Pending = false, false
	if err := w.edit(all); err != nil {
		return f, err
	}
	w.rules = PolicyOf(w.policy, tick)
	for _, x := range all {
		if err := w.suppose(x); err != nil {
			return f, err
		}
		if w.refused != nil {
			f.Refused = w.refused
			return f, nil
		}
	}
	w.run()
	f.Changes, f.Waiting, f.After = append(f.Changes, w.steps...), append(f.Waiting, w.waiting...), strength(w.Seen)
	return f, nil
}

// world is the cluster as it is imagined.
type world struct {
	Seen
	policy  cluster.Policy
	rules   Policy
	steps   []event.ForecastStep
	waiting Why
	refused *event.Reason
	waited  int    // ticks, since now
	when    string // goes before the text of the next step

	leaderless bool // no voter answers, of those that did
}

// run plans and does what is planned, and lets time go by when nothing is.
func (w *world) run() {
	rested := false // since the last change
	for len(w.steps) < event.MaxForecast {
		c, why := w.plan()
		switch {
		case !c.Empty():
			w.do(c, why)
			rested = false
			continue
		case !rested || !alike(why, w.waiting):
			w.waiting = why
		}
		rested = true
		if !w.wait() {
			return
		}
	}
}

// plan is Plan, but for a cluster that has nobody left to lead it.
func (w *world) plan() (Change, Why) {
	if v := newView(w.Seen, w.rules); w.leaderless {
		return Change{}, Why{*v.noQuorum()}
	}
	return Plan(w.Seen, w.rules)
}

// alike says whether two lots of reasons are the same but for their words, which
// tell how much time has gone by.
func alike(a, b Why) bool {
	return slices.EqualFunc(a, b, func(x, y event.Reason) bool { return x.Code == y.Code && x.Peer == y.Peer })
}

// do notes a change and makes it.
func (w *world) do(c Change, why Why) {
	step := event.ForecastStep{Text: w.when + w.sentence(c), Why: []event.Reason{}, Promote: c.Promote, Demote: c.Demote, Remove: c.Remove, Lead: c.Lead}
	for _, r := range why {
		if c.touches(r.Peer) && r.Peer != 0 {
			step.Why = append(step.Why, r)
		}
	}
	w.steps, w.when = append(w.steps, step), ""
	w.Members = slices.DeleteFunc(w.Members, func(m MemberSeen) bool { return slices.Contains(c.Remove, m.Member.ID) })
	for i := range w.Members {
		m := &w.Members[i].Member
		switch {
		case slices.Contains(c.Promote, m.ID):
			m.Role = cluster.Voter
		case slices.Contains(c.Demote, m.ID):
			m.Role = cluster.Learner
		}
	}
	if c.Lead != 0 {
		w.Leader = c.Lead
	}
	w.elect()
}

// elect finds another leader when the one that there was is gone: the voter
// that is furthest, as raft would most likely.
func (w *world) elect() {
	m, ok := find(w.Members, w.Leader)
	if w.Leader == 0 && !w.leaderless || ok && m.Active && m.Member.Role == cluster.Voter {
		return
	}
	best := w.furthest(Change{})
	w.Leader, w.leaderless = best.Member.ID, best.Member.ID == 0
	if !w.leaderless && strength(w.Seen).Survives >= 0 {
		w.steps = append(w.steps, event.ForecastStep{Text: w.when + "another voter is elected leader, say " + label(w.Members, best), Why: []event.Reason{}})
		w.when = ""
	}
}

// furthest is the active voter with the longest log that c leaves alone, the
// leader excepted.
func (w *world) furthest(c Change) (best MemberSeen) {
	for _, m := range w.Members {
		if m.Member.Role == cluster.Voter && m.Active && m.Member.ID != w.Leader && !c.touches(m.Member.ID) &&
			(best.Member.ID == 0 || m.Match > best.Match) {
			best = m
		}
	}
	return best
}

// wait lets time go by until something may come of it; false if nothing will.
func (w *world) wait() bool {
	next := 0
	until := func(have, want int) {
		if d := want - have; d > 0 && (next == 0 || d < next) {
			next = d
		}
	}
	for _, m := range w.Members {
		switch learner := m.Member.Role == cluster.Learner; {
		case m.Active || m.Member.ID == w.Leader:
			until(m.ActiveTicks, w.rules.withDefaults().StabilityTicks)
		case learner && m.Unseen:
			until(m.SilentTicks, w.rules.LearnerExpiryTicks)
			until(m.SilentTicks, w.rules.RemoveTicks)
		case learner:
			until(m.SilentTicks, w.rules.RemoveTicks)
		default:
			until(m.SilentTicks, w.rules.DeadTicks)
		}
	}
	for i := range w.Members {
		if m := &w.Members[i]; m.Active || m.Member.ID == w.Leader {
			m.ActiveTicks += next
		} else {
			m.SilentTicks += next
		}
	}
	w.waited += next
	w.when = "after " + span(w.waited, w.rules.Tick) + ": "
	return next > 0
}

func strength(s Seen) event.Strength {
	v := newView(s, Policy{})
	out := event.Strength{Voters: len(v.voters), Active: active(v.voters), Learners: len(v.learners)}
	out.Quorum = majority(out.Voters)
	out.Survives = out.Active - out.Quorum
	return out
}
