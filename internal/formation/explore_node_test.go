package formation

import (
	"fmt"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/wire"
)

// disk is one of the disks that a host has had.
type disk struct{ host, nth int }

// nodeState is one state of one node, kept once: its disk and, unless it is a
// member, its Former as settle leaves it.
type nodeState struct {
	id   uint32
	hash uint64
	disk
	n *node // never changed

	nonce int  // which of this disk's nonces the boot has drawn
	spent bool // and whether it made a genesis with it

	in      *founding         // the cluster that it is a member of
	views   uint8             // hosts that it has seen as members, a bit each
	torn    bool              // it sees two clusters
	base    *nodeState        // the same before it read any answer of the present round
	results map[input]*result // guarded by catalogue.mu
}

// boot starts a node on what is on its disk. It knows all addresses, and which
// is its own, at once: before it does it can do less.
func (c *catalogue) boot(d disk, nonce int, dur Durable) *nodeState {
	n := &node{host: c.hosts[d.host], disk: dur, up: true, boot: 1, cfg: c.cfg[d.host]}
	n.cfg.Self = c.identity(d)
	n.cfg.Nonce = nonceOf(d, nonce)
	if !n.member() {
		n.f = New(n.cfg, n.disk)
		for _, addr := range c.hosts {
			n.f.learn(addr)
		}
		n.f.Failed(n.host, &wire.Refusal{Code: wire.RefusedSelf}, "")
		n.f.Effects()
	}
	return c.intern(nodeState{disk: d, n: n, nonce: nonce})
}

// nonceOf is one of the nonces that a disk's boots draw. A boot that follows
// one which made no genesis draws the same again: nobody has seen it.
func nonceOf(d disk, nonce int) []byte { return fmt.Appendf(nil, "%d/%d/%d", d.host, d.nth, nonce) }

// settle takes out of a Former what only says when it acts, and not how: here
// it may act at any time. A node's view of one that is no member goes too: it
// gets a new one, or an old one, when it needs it.
//
// It leaves a node free to do more than it could, never less: waits are over,
// everything may be asked again, an attempt that was given up for a refusal or
// for another's silence goes on (nobody need answer it), and another may begin
// at once with any ballot above what was promised.
func settle(n *node) {
	f := n.f
	f.quiet, f.yields, f.spoilt, f.blocked = 0, true, 0, nil
	f.ticks, f.told, f.out, f.dirty, f.crowd = 1<<20, "", Effects{}, false, nil
	f.highest = f.d.Promised.Counter
	f.joinWait, f.joinAt, f.joinOpen = 0, "", false
	if _, ok := f.target(); !ok {
		f.joinID = cluster.ClusterID{}
	}
	for i := range f.peers {
		p := &f.peers[i]
		kept := peer{addr: p.addr, seed: p.seed, self: p.self}
		if p.in(f.cfg.Cluster) {
			kept.live, kept.met, kept.hello = p.live, p.met, p.hello
			kept.probed, kept.genesis, kept.names = p.probed, p.genesis, p.names
		}
		*p = kept
	}
}

// unread takes back what an attempt read in the present round. The answers are
// still there to be read.
func unread(f *Former) {
	t := f.try
	if t == nil {
		return
	}
	for i, x := range t.founders {
		t.got[i] = x.id.Incarnation == f.cfg.Self.Incarnation
	}
	t.best, t.bestRaw, t.shown = wire.Ballot{}, nil, nil
	if t.genesis == nil && f.d.Genesis != nil {
		t.best, t.bestRaw, t.shown = f.d.Accepted, f.d.Genesis, [][]byte{f.d.Genesis}
	}
}

// intern returns the one state that is equal to s, which must be settled or
// a member's. An attempt that has read answers gets a base.
func (c *catalogue) intern(s nodeState) *nodeState {
	if s.n.f == nil {
		return c.state(s)
	}
	settle(s.n)
	if s.n.f.try == nil {
		return c.state(s)
	}
	b := s
	n := *s.n
	n.f = s.n.f.Clone()
	unread(n.f)
	b.n = &n
	base := c.state(b)
	if s.n.f.Fingerprint() == n.f.Fingerprint() {
		return base
	}
	s.base = base
	return c.state(s)
}

// look works out what a node sees.
func (s *nodeState) look(hosts []string) {
	if s.n.f == nil {
		return
	}
	for i, h := range hosts {
		if p := s.n.f.find(h); p != nil && p.in(s.n.cfg.Cluster) {
			s.views |= 1 << i
		}
	}
	s.torn = len(s.n.f.clusters()) > 1
}

// incarnation is the identity of a disk. Those of one host rise or fall, as
// the configuration has it: which of two is lower decides between ballots.
func (c *catalogue) incarnation(d disk) cluster.Incarnation {
	d = c.origin(d)
	k := d.nth
	if c.falling {
		k = 7 - k
	}
	return incarnation(byte(1 + d.host + k*16))
}

func (c *catalogue) diskOf(i cluster.Incarnation) disk {
	for h := range c.hosts {
		for k := range 8 {
			if d := (disk{h, k}); h != c.spare && c.incarnation(d) == i {
				return d
			}
		}
	}
	panic("an incarnation of nobody: " + i.String())
}

// identity is how a disk's node names itself.
func (c *catalogue) identity(d disk) wire.Identity {
	i := c.cfg[d.host].Self
	i.Name = c.hosts[c.origin(d).host]
	i.Incarnation = c.incarnation(d)
	i.NodeID = i.Incarnation.NodeID()
	return i
}

// blankHello is what a node shows while it is in no cluster.
func (c *catalogue) blankHello(d disk) wire.Hello {
	n := node{cfg: c.cfg[d.host]}
	n.cfg.Self = c.identity(d)
	return n.hello()
}

// copy is a node that may be changed, in a world of its own.
func (s *nodeState) copy() (*world, *node) {
	n := *s.n
	if n.f != nil {
		n.f = n.f.Clone()
	}
	w := newWorld()
	w.nodes = []*node{&n}
	return w, &n
}
