package formation

import (
	"bytes"
	"slices"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/wire"
)

// outcome gathers what a node has become and what has left it.
func (c *catalogue) outcome(s *nodeState, w *world, n *node) *result {
	r := &result{bad: w.broken}
	if r.bad == "" {
		r.bad = broken(n, s.n.disk)
	}
	next := nodeState{disk: s.disk, nonce: s.nonce, spent: s.spent, n: n}
	for a := range w.accepts { // order-free: they are sorted below
		r.notes = append(r.notes, c.accepted(a))
		next.spent = next.spent || bytes.Equal(must(wire.DecodeGenesis(n.disk.Genesis)).Nonce, n.cfg.Nonce)
	}
	if n.disk.Founded {
		c.founding(n.disk.Genesis)
	}
	if n.member() && !s.n.member() {
		r.notes = append(r.notes, c.sights(s.disk, n)...)
	}
	for _, m := range w.flying {
		if m.kind() != "other" || m.req.Join != nil {
			m.boot, m.hello.Stage = 0, shown(m.hello.Stage)
			r.notes = append(r.notes, c.note(note{kind: isQuestion, from: s.host, to: slices.Index(c.hosts, m.to), disk: s.nth, msg: m}))
		}
	}
	r.saved = !same(n.disk, s.n.disk)
	r.to = c.intern(next)
	slices.SortFunc(r.notes, func(a, b *note) int { return int(a.id) - int(b.id) })
	r.notes = slices.Compact(r.notes)
	return r
}

func same(a, b Durable) bool { return bytes.Equal(appendDurable(nil, a), appendDurable(nil, b)) }

// shown is as much of a stage as others look at.
func shown(s wire.Stage) wire.Stage {
	if s == wire.InCluster {
		return s
	}
	return wire.Blank
}

// sights are what a new member shows from now on: to a probe, and in any other
// answer, which doesn't tell by which genesis its cluster was founded.
func (c *catalogue) sights(d disk, n *node) []*note {
	probe := Answer(n.disk, cluster.Membership{}, wire.Request{Probe: &wire.Probe{}})
	probe.Probe.Known = c.hosts
	var out []*note
	for _, r := range []wire.Response{probe, {Nack: &wire.Nack{Code: codeNotBlank}}} {
		out = append(out, c.note(note{kind: isSight, from: d.host, disk: d.nth, msg: message{from: n.host, hello: n.hello(), resp: &r}}))
	}
	return out
}

// reply adds the answer to a question. A no is not sent: all that it could do is
// end an attempt, and an attempt that goes on unanswered does nothing either.
func (c *catalogue) reply(r *result, s *nodeState, asked *note, y wire.Response) {
	if s.n.f == nil {
		w := newWorld()
		if w.durable(s.n, saying(y)); r.bad == "" {
			r.bad = w.broken
		}
	}
	switch {
	case y.Promise != nil && y.Promise.Code != "":
		r.no = y.Promise.Code
		return
	case y.Accept != nil && y.Accept.Code != "":
		r.no = y.Accept.Code
		return
	case y.Promise == nil && y.Accept == nil && y.Join == nil:
		return
	}
	n := r.to.n
	m := message{from: n.host, to: asked.msg.from, hello: n.hello(), resp: &y}
	m.hello.Stage = shown(m.hello.Stage)
	r.notes = append(r.notes, c.note(note{kind: isAnswer, from: s.host, to: asked.from, disk: asked.disk, msg: m}))
}

// broken says which rule a node's own step breaks.
func broken(n *node, old Durable) string {
	switch {
	case n.disk.Promised.Compare(old.Promised) < 0:
		return n.host + " fell back behind its promise"
	case old.stage() == wire.InCluster && n.disk.ClusterID != old.ClusterID:
		return n.host + " changed its cluster"
	case n.cfg.Mode == JoinOnly && (n.disk.Founded || n.disk.stage() == wire.Promised || n.disk.stage() == wire.Accepted):
		return n.host + " was told to join, and takes part in founding"
	}
	return ""
}
