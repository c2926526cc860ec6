package transport

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/wire"
)

// Pauses between attempts to connect: they double from the first to the last,
// each shortened by up to a quarter at random. While messages wait no pause is
// longer than busyPause.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 2 * time.Second
	busyPause  = 500 * time.Millisecond
	steady     = 2 * time.Second // a connection that lived so long begins the pauses anew
)

// peer is one node that the transport dials: a queue, and the sender goroutine
// (run) that empties it.
type peer struct {
	t      *Transport
	id     cluster.NodeID
	ctx    context.Context // ends when the peer leaves the set
	cancel context.CancelFunc
	wake   chan struct{} // capacity 1: something was queued
	kick   chan struct{} // capacity 1: connect now, or anew if the address changed

	asks  asks
	meter meter

	mu        sync.Mutex
	addr      string
	queue     queue
	connected bool
	since     time.Time
	began     time.Time     // when it became a peer
	heard     time.Time     // when something came last on a connection that it opened
	err       error         // of the last attempt or connection; nil while connected
	refusal   *wire.Refusal // if err is that, by the peer or by this node
	own       bool          // it is by this node
	told      string        // the refusal that Refused was last called with
}

func newPeer(t *Transport, id cluster.NodeID, addr string) *peer {
	ctx, cancel := context.WithCancel(t.ctx)
	return &peer{
		t: t, id: id, addr: addr, ctx: ctx, cancel: cancel, began: time.Now(),
		wake: make(chan struct{}, 1), kick: make(chan struct{}, 1), asks: newAsks(),
	}
}

func (p *peer) push(b *wire.Batch) bool {
	p.mu.Lock()
	ok := p.queue.push(b, p.t.cfg.MaxQueueBytes, time.Now())
	p.mu.Unlock()
	if ok {
		signal(p.wake)
	}
	return ok
}

func (p *peer) address() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.addr
}

// move changes the address.
func (p *peer) move(addr string) {
	p.mu.Lock()
	same := p.addr == addr
	p.addr = addr
	p.mu.Unlock()
	if !same {
		signal(p.kick)
	}
}

func (p *peer) status() PeerStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := PeerStatus{
		ID: p.id, Addr: p.addr, Connected: p.connected, Since: p.since, Began: p.began, Heard: p.heard,
		QueueBytes: p.queue.bytes, Dropped: p.queue.dropped, Sent: p.meter.sent.Load(), Received: p.meter.received.Load(), Refusal: p.refusal, OwnRefusal: p.own,
	}
	if p.err != nil {
		s.Err = strings.TrimPrefix(p.err.Error(), p.addr+": ")
	}
	return s
}

// run connects, sends, and connects again until the peer leaves the set.
func (p *peer) run() {
	failures := 0
	for p.ctx.Err() == nil {
		addr := p.address()
		c, _, err := p.t.connect(p.ctx, addr, wire.ForMessages, p.id)
		if err == nil {
			p.up()
			begun := time.Now()
			err = p.pump(c, addr)
			c.Close()
			if time.Since(begun) >= steady {
				failures = 0
			}
		}
		if p.ctx.Err() != nil {
			return
		}
		p.down(addr, err)
		if p.address() == addr {
			p.pause(failures)
		}
		failures++
	}
}

// up notes that there is a connection.
func (p *peer) up() {
	p.mu.Lock()
	p.connected, p.since, p.err, p.refusal, p.own, p.told = true, time.Now(), nil, nil, false, ""
	p.mu.Unlock()
	p.t.cfg.Logger.Debug("connected to peer", "peer", p.id.String(), "addr", p.address())
}

// down notes why there is none, drops what has waited too long, and tells.
func (p *peer) down(addr string, err error) {
	now := time.Now()
	refusal, _ := errors.AsType[*wire.Refusal](err)
	_, own := errors.AsType[*OwnRefusal](err)
	p.mu.Lock()
	broke := p.connected
	if broke {
		p.since = now
	}
	p.connected, p.err, p.refusal, p.own = false, err, refusal, own
	expired := p.queue.expire(now.Add(-p.t.cfg.MaxQueueAge))
	waiting := p.queue.bytes > 0
	news := refusal != nil && !own && refusal.Error() != p.told
	if news {
		p.told = refusal.Error()
	}
	p.mu.Unlock()
	if broke || expired || waiting {
		p.t.notices.tell(p.id)
	}
	p.t.cfg.Logger.Debug("not connected to peer", "peer", p.id.String(), "addr", addr, "err", err)
	if news {
		p.t.cfg.Handler.Refused(p.id, addr, refusal)
	}
}

// pause waits before the next attempt: shorter when there is traffic, and no
// longer when the peer was heard of or has a new address.
func (p *peer) pause(failures int) {
	begun := time.Now()
	d := min(firstPause<<min(failures, 10), lastPause)
	d -= rand.N(d/4 + 1)
	for {
		p.mu.Lock()
		if p.queue.bytes > 0 {
			d = min(d, busyPause)
		}
		p.mu.Unlock()
		timer := time.NewTimer(d - time.Since(begun))
		select {
		case <-p.wake:
			timer.Stop()
			continue
		case <-timer.C:
		case <-p.kick:
		case <-p.ctx.Done():
		}
		timer.Stop()
		return
	}
}

var errMoved = errors.New("the address changed")

// pump sends what is queued until the connection breaks or the address changes.
func (p *peer) pump(c *conn, addr string) error {
	stop := context.AfterFunc(p.ctx, func() { c.Close() })
	defer stop()
	broken := make(chan error, 1)
	go func() { broken <- p.watch(c) }()
	err := p.send(c, addr, broken)
	c.Close()
	if err == nil {
		return <-broken // closed by the watcher, which knows why
	}
	select {
	case why := <-broken: // it was first, if it was not our Close
		if !errors.Is(err, errMoved) && !isClosed(why) {
			err = why
		}
	default:
		<-broken //nolint:errcheck // what Close did to it says nothing
	}
	return err
}

// watch reads the acceptor's keep-alive frames; it closes the connection when
// they stop coming.
func (p *peer) watch(c *conn) error {
	defer c.Close()
	in := frameReader{r: bufio.NewReaderSize(c, 512)}
	for {
		if err := c.SetReadDeadline(time.Now().Add(p.t.cfg.IdleTimeout)); err != nil {
			return err
		}
		if _, err := in.next(wire.MaxControl); err != nil {
			if isTimeout(err) {
				return fmt.Errorf("silent for %s: %w", p.t.cfg.IdleTimeout, err)
			}
			return fmt.Errorf("connection lost: %w", err)
		}
	}
}
