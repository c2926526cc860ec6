package formation

import (
	"slices"
	"strings"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/wire"
)

// question is a kind of call. At most one of each kind is under way to an
// address.
type question uint8

const (
	askProbe question = iota
	askPrepare
	askAccept
	questions // how many kinds there are
)

// peer is what is known about an address: a seed, or one learned from others.
type peer struct {
	addr    string
	seed    bool
	offered bool // see Offer
	self    bool // this node answers there
	live    bool // the newest call was answered
	met     bool // hello is set

	hello   wire.Hello            // of the newest answer, kept when the peer falls silent
	probed  bool                  // a probe was answered with the stage and cluster of hello
	genesis []byte                // from that probe, checked against hello.ClusterID; nil: none
	sees    []cluster.Incarnation // from that probe
	names   bool                  // that genesis names this node as a founder
	no      *wire.Nack            // why it takes no part in this node's attempt; nil: it does, or was not asked

	refusal *wire.Refusal // of the newest call, if it was refused
	err     string        // of the newest call, if it failed
	state   int           // ticks for which live or its contrary has lasted
	open    bool          // a probe is under way

	wait [questions]int // ticks until each question may be asked (again)
}

// in says whether the peer is in a cluster of that name, as far as is known.
func (p *peer) in(name string) bool {
	return p.met && p.hello.Stage == wire.InCluster && !p.hello.ClusterID.IsZero() && p.hello.Cluster == name
}

// says notes whether the peer takes part in this node's attempt.
func (p *peer) says(code, why string) {
	p.no = nil
	if code != "" {
		p.no = &wire.Nack{Code: code, Reason: why}
	}
}

// find returns the peer at addr, nil if there is none. The pointer is valid
// until an address is learned.
func (f *Former) find(addr string) *peer {
	i, ok := slices.BinarySearchFunc(f.peers, addr, compareAddr)
	if !ok {
		return nil
	}
	return &f.peers[i]
}

// learn adds an address that a peer told of, or another source. Pointers to
// peers are not valid afterwards.
func (f *Former) learn(addr string) {
	if addr == "" || addr == f.cfg.Self.PeerAddr || f.find(addr) != nil || !f.makeRoom() {
		return
	}
	i, _ := slices.BinarySearchFunc(f.peers, addr, compareAddr)
	f.peers = slices.Insert(f.peers, i, peer{addr: addr})
}

func compareAddr(p peer, addr string) int { return strings.Compare(p.addr, addr) }

// answered notes who answered there.
func (f *Former) answered(p *peer, h wire.Hello) {
	if !p.live {
		p.state = 0
	}
	if p.hello.Stage == wire.Accepted && h.Stage != wire.Accepted {
		f.blocked = nil // what stood in the way may have been given up
	}
	if p.hello.ClusterID != h.ClusterID || p.hello.Self.Incarnation != h.Self.Incarnation {
		p.probed, p.genesis, p.names, p.sees = false, nil, false, nil
	}
	p.open, p.live, p.met, p.hello = false, true, true, h
	p.refusal, p.err = nil, ""
	p.self = h.Self.Incarnation == f.cfg.Self.Incarnation
}

// failed notes that a call came to nothing.
func (f *Former) failed(p *peer, refusal *wire.Refusal, err string) {
	self := refusal != nil && refusal.Code == wire.RefusedSelf
	if p.live || self != p.self {
		p.state = 0
	}
	p.open, p.live, p.self = false, false, self
	p.refusal, p.err = refusal, err
	if self {
		p.met, p.hello, p.probed, p.genesis, p.sees = false, wire.Hello{}, false, nil, nil
	}
	again := f.cfg.RetryTicks
	if !f.wanted(p) {
		again *= slow
	}
	for q := range p.wait {
		p.wait[q] = min(p.wait[q], again)
	}
	p.wait[askProbe] = again
}

// ask makes a call if the time for it has come.
func (f *Former) ask(p *peer, q question, r wire.Request) {
	if p.wait[q] > 0 {
		return
	}
	p.wait[q] = lost * f.cfg.RetryTicks
	if q == askProbe {
		if p.open && p.live {
			p.live, p.state, p.err = false, 0, "no answer"
		}
		p.open = true
	}
	f.out.Calls = append(f.out.Calls, Call{Addr: p.addr, Request: r})
}

// probe asks everybody whose turn it is who they are.
func (f *Former) probe() {
	for i := range f.peers {
		f.ask(&f.peers[i], askProbe, wire.Request{Probe: &wire.Probe{}})
	}
}

// wanted says that a node at that address may be needed to found.
func (f *Former) wanted(p *peer) bool { return p.told() || f.cfg.Mode == Dynamic }

// wake lets silent nodes be asked at once when a node asks that isn't known to
// answer: it just came up, and may be one of them.
func (f *Former) wake(who cluster.Incarnation) {
	if slices.ContainsFunc(f.peers, func(p peer) bool { return p.live && p.hello.Self.Incarnation == who }) {
		return
	}
	for i := range f.peers {
		if p := &f.peers[i]; f.wanted(p) && !p.live && !p.self && !p.open {
			p.wait[askProbe] = 0
		}
	}
}

// ProbeReply is this node's answer to a [wire.Probe].
func (f *Former) ProbeReply() wire.ProbeReply {
	known := []string{f.cfg.Self.PeerAddr}
	for i := range f.peers {
		if p := &f.peers[i]; p.seed || p.live {
			known = append(known, p.addr)
		}
	}
	r := wire.ProbeReply{Known: sortedSet(known)}
	if f.d.Founded {
		r.Genesis = f.d.Genesis
	}
	if f.cfg.Mode == Dynamic {
		for _, p := range f.company() {
			r.Sees = append(r.Sees, p.hello.Self.Incarnation)
		}
	}
	return r
}
