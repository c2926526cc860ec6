package replica

import (
	"fmt"
	"slices"
	"strings"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/wire"
)

// maxNewcomers is how many learners may catch up at a time before further joins
// wait: each of them may need the leader to send it everything.
const maxNewcomers = 8

// waiter is a node that asked to join and is not being added yet. It asks again
// and again; one that stops is forgotten.
type waiter struct {
	member cluster.Member
	first  uint64 // tick at which it asked first
	last   uint64
}

const (
	// maxWaiters bounds the list: who isn't on it is just told to ask again.
	maxWaiters = 4096
	// waitTimeouts is for how many election timeouts a node that doesn't ask
	// again keeps its turn.
	waitTimeouts = 10
	// showUpTimeouts is for how many election timeouts a learner that doesn't
	// answer counts as a newcomer: it is starting, or it isn't coming.
	showUpTimeouts = 5
)

// Turn says whether a node that asks to join may be added now; nil: it may.
// Nodes are let in in the order in which they asked first.
func (r *Replica) Turn(m cluster.Member) *wire.ChangeReply {
	if _, is := r.membership.Member(m.ID); is || r.termStart == 0 || r.adding(m.ID) {
		return nil // what is asked then costs the leader nothing
	}
	r.forgetWaiters()
	p := &r.peers
	newcomers := r.newcomers()
	at := slices.IndexFunc(p.waiting, func(w waiter) bool { return w.member.ID == m.ID })
	ahead := at
	switch {
	case at >= 0:
		p.waiting[at].last = r.tick
	case len(p.waiting) < maxWaiters:
		ahead = len(p.waiting)
		p.waiting = append(p.waiting, waiter{member: m, first: r.tick, last: r.tick})
	default:
		ahead = len(p.waiting)
	}
	if newcomers+ahead < maxNewcomers {
		return nil
	}
	reason := fmt.Sprintf("%d newcomers are let in or catch up, as many as do at a time; %d that asked earlier wait before it",
		max(newcomers, maxNewcomers), ahead-max(0, maxNewcomers-newcomers))
	return &wire.ChangeReply{Status: wire.ChangePending, Code: "rate_limited", Reason: reason}
}

// LoseTurn puts a node that could not be let in, though it was its turn, behind
// all others: one that can't be reached must not keep them waiting.
func (r *Replica) LoseTurn(id cluster.NodeID) {
	r.peers.waiting = slices.DeleteFunc(r.peers.waiting, func(w waiter) bool { return w.member.ID == id })
}

// adding says whether the member is about to be added.
func (r *Replica) adding(id cluster.NodeID) bool {
	is := func(c change) bool {
		m, joins := joinOf(c.c)
		return joins && m.ID == id
	}
	return slices.ContainsFunc(r.changes.queue, is) || r.changes.inflight != nil && is(*r.changes.inflight)
}

// forgetWaiters drops those that have stopped asking, and those that are in.
func (r *Replica) forgetWaiters() {
	r.peers.waiting = slices.DeleteFunc(r.peers.waiting, func(w waiter) bool {
		_, is := r.membership.Member(w.member.ID)
		return is || r.tick-w.last > uint64(waitTimeouts*r.cfg.ElectionTicks)
	})
}

// newcomers counts the learners that have not caught up with this leader, and
// those that are about to be added.
func (r *Replica) newcomers() int {
	n := 0
	for _, m := range r.membership.Members {
		if m.Role != cluster.Learner || m.ID == r.cfg.Self.ID {
			continue
		}
		h := r.peers.heard[m.ID]
		ticks, unseen := r.peers.silence(m.ID, r.tick)
		if h == nil && !unseen || h != nil && h.caughtUp {
			continue // added by another leader and not heard yet: who is there, is heard at once
		}
		if ticks <= showUpTimeouts*r.cfg.ElectionTicks {
			n++
		}
	}
	for _, c := range r.changes.queue {
		n += adds(c.c)
	}
	if c := r.changes.inflight; c != nil {
		n += adds(c.c)
	}
	return n
}

func adds(c wire.Change) (n int) {
	for _, s := range c.Steps {
		if s.Op == wire.OpAdd {
			n++
		}
	}
	return n
}

// joinOf is whom a change adds and nothing else.
func joinOf(c wire.Change) (cluster.Member, bool) {
	if len(c.Steps) == 1 && c.Steps[0].Op == wire.OpAdd {
		return c.Steps[0].Member, true
	}
	return cluster.Member{}, false
}

// whyJoinsWait names those that wait to be let in.
func (r *Replica) whyJoinsWait() []event.Reason {
	if r.termStart == 0 || len(r.peers.waiting) == 0 { // as nearly always
		return nil
	}
	r.forgetWaiters()
	newcomers := r.newcomers()
	waiting := r.peers.waiting
	waiting = waiting[min(len(waiting), max(0, maxNewcomers-newcomers)):] // the others are being let in
	if len(waiting) == 0 {
		return nil
	}
	var names []string
	for _, w := range waiting[:min(len(waiting), 5)] {
		names = append(names, fmt.Sprintf("%s at %s (for %s)", w.member.Name, w.member.PeerAddr, event.Span(r.millis(r.tick-w.first))))
	}
	if more := len(waiting) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	joins := "1 join waits"
	if len(waiting) > 1 {
		joins = fmt.Sprintf("%d joins wait", len(waiting))
	}
	return []event.Reason{{Code: "joins_wait",
		Text:   fmt.Sprintf("%d newcomers are let in or catch up, as many as do at a time; %s: %s", max(newcomers, maxNewcomers), joins, strings.Join(names, ", ")),
		WayOut: fmt.Sprintf("nothing to do: they are let in, %d at a time, as those before them catch up", maxNewcomers)}}
}
