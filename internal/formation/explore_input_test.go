package formation

import (
	"slices"

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
	moved // the disk goes to the spare host, and a blank one comes up
	word  // an operator gives up the genesis: which disks there are, see wordOf

	kinds     input = 0x7f << 24
	thenCrash input = 1 << 31 // added to another input: and restarts once that is saved, before anything leaves
)

// result is what becomes of a node by an input.
type result struct {
	to    *nodeState
	moved *nodeState // what the spare host is then; nil: as it was
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
	case moved:
		return c.move(s)
	case word:
		return c.word(s, in)
	}
	w, n := s.copy()
	var asked *note
	var replies []Reply
	switch in & kinds {
	case arrives:
		asked = c.notes[in&^kinds]
		c.foresee(n, asked)
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
	if r.no != "" && !r.saved {
		r.to = s // also where the outlook that it needed ends an attempt
	}
	return r
}

// diskNumber reads the number of a disk.
func diskNumber(in input) disk { return disk{int(in & 7), int(in >> 3 & 0x3f)} }

func numberOf(d disk) input { return input(d.host | d.nth<<3) }

func (c *catalogue) blankProbe() wire.Response {
	return wire.Response{Probe: &wire.ProbeReply{Known: c.hosts}}
}

// outlook is whom a node sees that could found with it, at a moment at which
// that counts: of each host in the mask its nth disk. It sees no others, and all
// of them see each other: so it is free to do most.
type outlook struct {
	hosts uint8 // a bit each
	nth   [maxHosts]uint8
}

// attemptWith is the input that a node begins an attempt with that outlook.
func attemptWith(counter int, o outlook) input {
	in := tries | input(counter) | input(o.hosts)<<4
	for i, k := range o.nth {
		in |= input(k) << (10 + 2*i)
	}
	return in
}

func (in input) outlook() outlook {
	o := outlook{hosts: uint8(in >> 4 & 0x3f)}
	for i := range o.nth {
		o.nth[i] = uint8(in >> (10 + 2*i) & 3)
	}
	return o
}

// outlookOn is the outlook on those disks.
func (c *catalogue) outlookOn(founders []wire.Identity) outlook {
	var o outlook
	for _, i := range founders {
		d := c.diskOf(i.Incarnation)
		o.hosts |= 1 << d.host
		o.nth[d.host] = uint8(d.nth)
	}
	return o
}

// show gives a node an outlook. What it knows of members stays.
func (c *catalogue) show(n *node, o outlook) {
	var all []cluster.Incarnation
	for h := range c.hosts {
		if o.hosts&(1<<h) != 0 {
			all = append(all, c.incarnation(disk{h, int(o.nth[h])}))
		}
	}
	all = append(all, n.cfg.Self.Incarnation)
	for i := range n.f.peers {
		p := &n.f.peers[i]
		h := slices.Index(c.hosts, p.addr)
		switch {
		case p.self || p.in(n.cfg.Cluster):
		case o.hosts&(1<<h) == 0:
			*p = peer{addr: p.addr, seed: p.seed, err: "timed out"}
		default:
			*p = peer{addr: p.addr, seed: p.seed, live: true, met: true, probed: true, sees: all,
				hello: c.blankHello(disk{h, int(o.nth[h])})}
		}
	}
	n.f.crowdChanged()
}

// attempt lets a node lose patience.
func (c *catalogue) attempt(n *node, in input) {
	c.show(n, in.outlook())
	n.f.try, n.f.quiet, n.f.highest = nil, 1<<20, uint64(in&15)-1
	n.f.proceed()
}

// foresee gives a node that founds with whom it meets the outlook on which
// what arrives depends: of an attempt on those with whom it is made, and of a
// promise on those for whom it is asked.
func (c *catalogue) foresee(n *node, m *note) {
	switch {
	case n.f == nil || n.cfg.Mode != Dynamic:
	case m.msg.req != nil && m.msg.req.Prepare != nil:
		c.show(n, c.outlookOn(m.msg.req.Prepare.Founders))
	case n.f.try != nil:
		c.show(n, c.outlookOn(identities(n.f.try.founders)))
	}
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
