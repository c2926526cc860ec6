package formation

import (
	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/wire"
)

// input is one thing that may happen to one node: a kind in the highest byte
// and what it says below.
type input uint32

const (
	arrives input = iota << 24 // a note, by its number
	blank                      // another node is seen as no member: the number of its disk
	silent                     // another node no longer answers: its host
	tries                      // an attempt: its ballot's counter and the disks with which, see attemptWith
	restart
	wiped

	kinds     input = 0x7f << 24
	thenCrash input = 1 << 31 // added to another input: and restarts once that is saved, before anything leaves
)

// result is what becomes of a node by an input.
type result struct {
	to    *nodeState
	notes []*note
	no    string // code of a refusal
	lost  bool   // connections end: answers on their way to it never come
	saved bool
	bad   string // a rule that is broken
}

// nothing says that all is as before, but for what was sent again.
func (r *result) nothing(s *nodeState) bool { return r.to == s && len(r.notes) == 0 && r.bad == "" }

// run lets the real code do it.
func (c *catalogue) run(s *nodeState, in input) *result {
	if in >= thenCrash {
		return c.crash(s, in-thenCrash)
	}
	switch in & kinds {
	case restart:
		return c.restart(s)
	case wiped:
		return &result{to: c.boot(disk{s.host, s.nth + 1}, 0, Durable{}), lost: true}
	}
	w, n := s.copy()
	var asked *note
	var replies []Reply
	switch in & kinds {
	case arrives:
		asked = c.notes[in&^kinds]
		replies = c.arrive(n, asked)
	case blank:
		d := diskNumber(in)
		n.f.Answered(c.hosts[d.host], c.blankHello(d), c.blankProbe())
	case silent:
		n.f.Failed(c.hosts[in&^kinds], nil, "timed out")
	case tries:
		c.attempt(n, in)
	}
	if n.f != nil {
		replies = append(replies, w.drain(n)...)
	}
	r := c.outcome(s, w, n)
	for _, y := range replies {
		c.reply(r, s, asked, y.Response)
	}
	return r
}

// diskNumber reads the number of a disk.
func diskNumber(in input) disk { return disk{int(in & 7), int(in >> 3 & 7)} }

func numberOf(d disk) input { return input(d.host | d.nth<<3) }

func (c *catalogue) blankProbe() wire.Response {
	return wire.Response{Probe: &wire.ProbeReply{Known: c.hosts}}
}

// attemptWith is the input that a node begins an attempt, with the nth disk of
// each host.
func attemptWith(counter int, nth [maxHosts]int) input {
	in := tries | input(counter)
	for i, k := range nth {
		in |= input(k) << (4 + 3*i)
	}
	return in
}

// attempt shows a node the others, and lets it lose patience.
func (c *catalogue) attempt(n *node, in input) {
	for i, h := range c.hosts {
		if h != n.host {
			n.f.Answered(h, c.blankHello(disk{i, int(in >> (4 + 3*i) & 7)}), c.blankProbe())
		}
	}
	n.f.try, n.f.quiet, n.f.highest = nil, 1<<20, uint64(in&15)-1
	n.f.proceed()
}

// arrive brings a note to a node.
func (c *catalogue) arrive(n *node, m *note) []Reply {
	switch {
	case m.kind != isQuestion:
		n.f.Answered(m.msg.from, m.msg.hello, *m.msg.resp)
	case n.f != nil:
		n.f.Asked(1, m.msg.hello, *m.msg.req)
	case m.msg.req.Join != nil:
		return []Reply{{Response: c.admit(n, m.msg.req.Join.Self)}}
	default:
		return []Reply{{Response: Answer(n.disk, cluster.Membership{}, *m.msg.req)}}
	}
	return nil
}

// admit is the leader's yes. Whether there can be a leader is known to the explorer.
func (c *catalogue) admit(n *node, who wire.Identity) wire.Response {
	c.mu.Lock()
	f := c.foundings[n.disk.ClusterID]
	c.mu.Unlock()
	m := f.genesis.Membership(f.id)
	if _, ok := m.Member(who.NodeID); !ok {
		m.Put(who.Member(cluster.Learner))
	}
	return wire.Response{Join: &wire.JoinReply{Status: wire.JoinDone, Membership: &m}}
}

// restart is a crash before anything was saved: what has been sent already may
// be lost as well.
func (c *catalogue) restart(s *nodeState) *result {
	nonce := s.nonce
	if s.spent {
		nonce++
	}
	return &result{to: c.boot(s.disk, nonce, s.n.disk), lost: true}
}

// crash is an input that ends after its save.
func (c *catalogue) crash(s *nodeState, in input) *result {
	r := c.result(s, in)
	after := c.restart(r.to)
	after.bad = r.bad
	for _, n := range r.notes {
		if n.kind == isFact || n.kind == isSight {
			after.notes = append(after.notes, n)
		}
	}
	return after
}
