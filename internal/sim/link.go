package sim

import (
	"errors"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/wire"
)

// link is a process's connection for messages to one peer. It dials of its own
// accord, and again when it breaks.
type link struct {
	x       *network
	from    *process
	to      cluster.NodeID
	addr    string
	far     *process   // nil: not connected
	hello   wire.Hello // that it was connected with
	dialing bool
	dying   bool // it will break
	gone    bool
	tries   int
	queue   []packet // until it is connected
	last    instant  // when the last packet arrives: order is kept
	told    string   // the refusal told last
}

// packet is a batch on its way.
type packet struct {
	bytes     []byte
	clusterID cluster.ClusterID // the sender's
	at        instant
}

// What a link does as the transport does it.
const (
	maxQueue    = 500
	maxQueueAge = 10 * second
	idleTimeout = 5 * second
	firstPause  = 100 * millisecond
	lastPause   = 2 * second
)

func (x *network) link(p *process, to cluster.NodeID, addr string) *link {
	l := &link{x: x, from: p, to: to, addr: addr}
	l.dial(0)
	return l
}

// drop ends the link for good.
func (l *link) drop() { l.gone, l.far, l.queue = true, nil, nil }

// Send implements member.Network.
func (p *process) Send(to cluster.NodeID, b *wire.Batch) {
	l := p.links[to]
	if !p.alive() {
		return
	}
	if l == nil {
		p.input("unreachable", 0, func() { p.m.Unreachable(to) })
		return
	}
	for _, x := range b.Raft {
		if leads := x.GetType() == raftpb.MsgApp || x.GetType() == raftpb.MsgHeartbeat; leads && x.GetCommit() > p.progress.committed {
			p.node.w.fail("%s tells %s that %d is committed, and shows that %d is", p, to, x.GetCommit(), p.progress.committed)
		}
	}
	enc, err := wire.AppendBatch(nil, b)
	if err != nil {
		p.node.w.fail("%s: encode a batch: %v", p, err)
		return
	}
	l.send(packet{enc, p.view.Status.ClusterID, p.node.w.now})
}

func (l *link) send(k packet) {
	if l.far != nil {
		l.transmit(k)
		return
	}
	if len(l.queue) >= maxQueue {
		l.tell()
		return
	}
	l.queue = append(l.queue, k)
	l.dial(l.x.transit())
}

// dial connects after a while.
func (l *link) dial(d instant) {
	if l.dialing || l.gone || l.far != nil {
		return
	}
	l.dialing = true
	l.x.w.schedule(d+l.x.transit(), "dial", l.from, func() {
		l.dialing = false
		if l.gone {
			return
		}
		far, _, err := l.x.greet(l.from, l.addr, l.to, wire.ForMessages)
		if err != nil {
			l.failed(err)
			return
		}
		l.far, l.hello, l.tries, l.told, l.dying = far, l.from.view.Hello(), 0, "", false
		queue := l.queue
		l.queue = nil
		for _, k := range queue {
			l.transmit(k)
		}
		// The other side tries again now, too.
		if back := far.links[l.from.self.NodeID]; back != nil && back.far == nil {
			back.dial(0)
		}
	})
}

// failed is a dial that came to nothing.
func (l *link) failed(err error) {
	var refusal *wire.Refusal
	var own *ownRefusal
	if errors.As(err, &refusal) && !errors.As(err, &own) && refusal.Error() != l.told {
		l.told = refusal.Error()
		l.from.input("refused", 0, func() {
			if !refusal.Code.Passing() {
				l.from.m.Refused(refusal)
			}
		})
	}
	for len(l.queue) > 0 && l.queue[0].at < l.x.w.now-maxQueueAge {
		l.queue = l.queue[1:]
	}
	if len(l.queue) > 0 {
		l.tell()
	}
	pause := min(firstPause<<min(l.tries, 10), lastPause)
	l.tries++
	l.dial(pause)
}

// tell says that messages to the peer were lost.
func (l *link) tell() {
	l.from.input("unreachable", 0, func() { l.from.m.Unreachable(l.to) })
}

// breakSoon lets the connection break after d.
func (l *link) breakSoon(d instant) {
	if l.dying || l.gone {
		return
	}
	l.dying = true
	far := l.far
	l.x.w.schedule(d, "break", l.from, func() {
		l.dying = false
		if l.gone || l.far != far || far == nil {
			return
		}
		if !far.dead && l.x.at(l.from, l.addr) == far {
			return // it healed in time
		}
		l.hangUp()
	})
}

// hangUp is the end of a connection.
func (l *link) hangUp() {
	l.far = nil
	l.tell()
	l.dial(firstPause)
}

// transmit sends a packet on the connection. It may be lost, arrive twice, or
// be overtaken: more than TCP does, and no more than members must bear.
func (l *link) transmit(k packet) {
	x, far := l.x, l.far
	if far.dead || !x.passes(l.from.node.host, far.node.host) || !x.passes(far.node.host, l.from.node.host) {
		l.breakSoon(idleTimeout/10 + instant(x.rng.Int64N(int64(idleTimeout))))
	}
	if far.dead || !x.passes(l.from.node.host, far.node.host) || x.chance(x.loss) {
		x.w.sometimes(messageLost)
		return
	}
	at := x.w.now + x.transit()
	if !x.chance(x.reorder) {
		at = max(at, l.last)
		l.last = at
	}
	l.arrive(far, k, at-x.w.now)
	if x.chance(x.twice) {
		x.w.sometimes(messageTwice)
		l.arrive(far, k, at-x.w.now+x.transit()+instant(x.rng.Int64N(int64(second))))
	}
}

// hear lets those look at a batch who want to.
func (w *World) hear(from, to string, b *wire.Batch) {
	for _, m := range b.Raft {
		if w.overhear != nil {
			w.overhear(from, to, m)
		}
		if w.transcript.out != nil {
			w.whisper("%s to %s: %s", from, to, raft.DescribeMessage(m, nil))
		}
	}
}

func (l *link) arrive(far *process, k packet, d instant) {
	from, to, hello := l.from.self, l.to, l.hello
	far.input("message", d, func() {
		if far.view.RolledBack(hello) != nil {
			if l.far == far {
				l.hangUp()
			}
			return
		}
		l.x.w.truth.arrived(far, from, to, k.clusterID, hello.Generation)
		b, err := wire.DecodeBatch(k.bytes)
		if err != nil {
			l.x.w.fail("%s: decode a batch: %v", far, err)
			return
		}
		l.x.w.hear(from.Name, far.node.host, b)
		far.m.Messages(from.NodeID, b)
	})
}
