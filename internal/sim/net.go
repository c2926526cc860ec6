package sim

import (
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/wire"
)

// network carries what processes say to each other. Packets are bytes: no
// pointer is shared.
type network struct {
	w   *World
	rng *rand.Rand
	cut map[[2]string]bool // nothing gets through from the first host to the second

	loss    float64 // of messages
	twice   float64 // arrive again later
	reorder float64 // may overtake
	delay   instant // the most that is added
	streams float64 // of images are cut
}

func newNetwork(w *World) network {
	return network{w: w, rng: rand.New(rand.NewPCG(w.seed, 3)), cut: map[[2]string]bool{}}
}

func (x *network) chance(p float64) bool { return p > 0 && x.rng.Float64() < p }

// calm ends all trouble.
func (x *network) calm() {
	clear(x.cut)
	x.loss, x.twice, x.reorder, x.delay, x.streams = 0, 0, 0, 0, 0
}

// transit is how long a packet takes.
func (x *network) transit() instant {
	d := millisecond/5 + instant(x.rng.Int64N(int64(2*millisecond)))
	if x.delay > 0 {
		d += instant(x.rng.Int64N(int64(x.delay)))
	}
	return d
}

// passes says whether packets get from one host to another.
func (x *network) passes(from, to string) bool { return !x.cut[[2]string{from, to}] }

// at is the process that answers at an address, if packets go both ways.
func (x *network) at(from *process, addr string) *process {
	for _, n := range x.w.nodes {
		if n.host != addr {
			continue
		}
		if !n.up() || n.paused() || !x.passes(from.node.host, addr) || !x.passes(addr, from.node.host) {
			return nil
		}
		return n.proc
	}
	return nil
}

var (
	errUnreachable = errors.New("no answer")
	errTimeout     = errors.New("no answer in time")
)

// ownRefusal is this node's, and not the peer's.
type ownRefusal struct{ r *wire.Refusal }

func (e *ownRefusal) Error() string { return e.r.Error() }
func (e *ownRefusal) Unwrap() error { return e.r }

// greet is the handshake of a connection: each judges the other by its Hello.
func (x *network) greet(p *process, addr string, to cluster.NodeID, purpose wire.Purpose) (*process, wire.Hello, error) {
	far := x.at(p, addr)
	if far == nil || far.view == nil || p.view == nil {
		return nil, wire.Hello{}, errUnreachable
	}
	mine := p.view.Hello()
	mine.Purpose, mine.To = purpose, to
	if r := far.judge(mine, true); r != nil {
		return nil, wire.Hello{}, r
	}
	theirs := far.view.Hello()
	if to != 0 && theirs.Self.NodeID != to {
		return nil, theirs, &ownRefusal{&wire.Refusal{Code: wire.RefusedNotMe, Reason: "another node answers there"}}
	}
	if r := p.judge(theirs, false); r != nil {
		return nil, theirs, &ownRefusal{r}
	}
	return far, theirs, nil
}

// judge lets a peer in, or says why not.
func (p *process) judge(peer wire.Hello, inbound bool) *wire.Refusal {
	r := p.view.Judge(peer, inbound)
	if p.view.News(peer, r) {
		p.input("met", 0, func() { p.m.Met(peer) })
	}
	if p.view.Stranger(peer, r) {
		p.input("met a stranger", 0, func() { p.m.MetStranger(peer.Self, peer.ClusterID) })
	}
	if r != nil && r.Code != wire.RefusedSelf && !r.Code.Passing() {
		p.node.w.sometimes("a peer was refused: " + string(r.Code))
	}
	return r
}

// cutOff ends all connections of a process that is no more.
func (x *network) cutOff(dead *process) {
	for _, id := range slices.Sorted(maps.Keys(dead.links)) {
		dead.links[id].drop()
	}
	for _, p := range x.w.running() {
		for _, id := range slices.Sorted(maps.Keys(p.links)) {
			if l := p.links[id]; l.far == dead {
				l.breakSoon(x.transit())
			}
		}
	}
}

// Call implements member.Network.
func (p *process) Call(addr string, to cluster.NodeID, req wire.Request, patience time.Duration, done func(wire.Response, wire.Hello, error)) {
	x := &p.node.w.net
	if !p.alive() {
		return
	}
	ended := false
	end := func(resp wire.Response, hello wire.Hello, err error) {
		if !ended {
			ended = true
			done(resp, hello, err)
		}
	}
	p.input("no answer", instant(patience/time.Microsecond), func() { end(wire.Response{}, wire.Hello{}, errTimeout) })
	sent := copyOf(req)
	p.input("call", x.transit(), func() {
		far, theirs, err := x.greet(p, addr, to, wire.ForControl)
		if err != nil {
			end(wire.Response{}, theirs, err)
			return
		}
		mine := p.view.Hello()
		mine.Purpose, mine.To = wire.ForControl, to
		x.serve(p, far, mine, sent, end)
	})
}

// serve brings a question to a process, and its answer back.
func (x *network) serve(p, far *process, mine wire.Hello, req wire.Request, end func(wire.Response, wire.Hello, error)) {
	if x.chance(x.loss) {
		return // the asker will lose patience
	}
	far.input("asked", x.transit(), func() {
		far.m.Control(mine, req, func(resp wire.Response) {
			if !far.alive() {
				return
			}
			resp, hello := copyOf(resp), far.view.Hello()
			if x.chance(x.loss) || !x.passes(far.node.host, p.node.host) {
				return
			}
			p.input("answered", x.transit(), func() { end(resp, hello, nil) })
		})
	})
}
