package transport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/wire"
)

// ErrClosed is returned by every method that can fail once Close was called.
var ErrClosed = errors.New("transport is closed")

// Handler is the node behind a [Transport]. Its methods are called from the
// transport's goroutines, several at once, and never from within Send,
// SetPeers or Close; they may call Send and SetPeers, but not Close.
type Handler interface {
	// Hello is what this node opens connections with now. Purpose and To are
	// filled in by the transport.
	Hello() wire.Hello

	// Check judges a connection by the peer's Hello, before anything else is
	// read; nil accepts it. inbound is false where this node dialled and the
	// Hello is the acceptor's answer.
	Check(peer wire.Hello, inbound bool) *wire.Refusal

	// Control answers one request. ctx ends when the asker hangs up or the
	// transport closes.
	Control(ctx context.Context, peer wire.Hello, req wire.Request) wire.Response

	// Messages takes what one frame held, in order for each connection. It is
	// called by the connection's reader and must not block for long: the
	// peer takes silence for a broken connection. An error ends the connection:
	// when the peer dials again, Check tells it why not.
	Messages(peer wire.Hello, b *wire.Batch) error

	// Snapshot speaks package snapshot's protocol on conn and returns when
	// done. ctx ends, and conn is closed, when the transport closes. The
	// transport closes conn in any case.
	Snapshot(ctx context.Context, peer wire.Hello, conn net.Conn)

	// Question answers one of a peer, of which several are under way at once.
	// ctx ends when nobody waits for the answer any more, or the transport
	// closes. Number is the transport's.
	Question(ctx context.Context, peer wire.Hello, question []byte) wire.Answer

	// Unreachable says that messages to a peer were dropped, that its
	// connection broke, or that it can't be reached while messages wait. It is
	// told at most about once in 100 ms for each peer.
	Unreachable(id cluster.NodeID)

	// Refused says that a peer which the transport dials of its own accord
	// (see SetPeers) refused this node: once for each change of the reason.
	// A refusal met by Call or OpenSnapshot is their error and not told here.
	Refused(id cluster.NodeID, addr string, r *wire.Refusal)
}

// Config says how a [Transport] runs. Zero values mean the stated defaults.
type Config struct {
	Network  Network
	Listener net.Listener   // already listening; owned and closed by the transport; nil: takes no connections
	More     []net.Listener // further ones, as Listener; without it none
	Handler  Handler
	Logger   *slog.Logger // nil: says nothing

	// RoundTrip hears how long a peer took to answer a greeting; nil: nobody does.
	// It is called by whoever dials, and must return at once.
	RoundTrip func(to cluster.NodeID, took time.Duration)

	// Turned hears of each connection that came to nothing because of TLS, before
	// any Hello. nil: nobody does.
	Turned func(Turned)

	MaxQueueBytes int           // that wait for one peer; 0: 64 MiB
	MaxQueueAge   time.Duration // how long messages wait for a peer that can't be reached; 0: 10 s
	MaxConns      int           // accepted connections at a time, beyond which more are refused, and beyond twice that not answered; 0: 1024

	DialTimeout      time.Duration // until connected and greeted; 0: 2 s
	HandshakeTimeout time.Duration // for an accepted connection to say Hello, and its question; 0: 5 s
	WriteTimeout     time.Duration // for a response, and for a keep-alive frame of the acceptor; 0: 10 s
	KeepAlive        time.Duration // between frames on an idle messages connection; 0: 1 s
	IdleTimeout      time.Duration // a messages connection on which no byte comes for so long is broken; 0: 5 s
}

// Turned is a connection that came to nothing because of TLS.
type Turned struct {
	Addr    string // whom this node dialled, or the host and port that somebody came from
	Inbound bool   // somebody came
	ByPeer  bool   // the peer turned this node down; else this node the peer
	Refusal *wire.Refusal
}

func (c Config) withDefaults() Config {
	c.MaxQueueBytes = cmp.Or(c.MaxQueueBytes, 64<<20)
	c.MaxQueueAge = cmp.Or(c.MaxQueueAge, 10*time.Second)
	c.MaxConns = cmp.Or(c.MaxConns, 1024)
	c.DialTimeout = cmp.Or(c.DialTimeout, 2*time.Second)
	c.HandshakeTimeout = cmp.Or(c.HandshakeTimeout, 5*time.Second)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, 10*time.Second)
	c.KeepAlive = cmp.Or(c.KeepAlive, time.Second)
	c.IdleTimeout = cmp.Or(c.IdleTimeout, 5*time.Second)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Transport is one node's end of the network. Its methods may be called from
// any goroutine.
type Transport struct {
	cfg     Config
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	wg      sync.WaitGroup // every goroutine, and every Call in flight
	notices *notices

	mu      sync.Mutex
	started bool
	closed  bool
	peers   map[cluster.NodeID]*peer
	conns   map[*conn]struct{} // open, both directions
	inbound int                // accepted ones among conns
}

// New makes a transport that does nothing yet.
func New(cfg Config) *Transport {
	cfg = cfg.withDefaults()
	ctx, cancel := context.WithCancel(context.Background())
	return &Transport{
		cfg:     cfg,
		ctx:     ctx,
		cancel:  cancel,
		notices: newNotices(cfg.Handler.Unreachable),
		peers:   map[cluster.NodeID]*peer{},
		conns:   map[*conn]struct{}{},
	}
}

// Start begins to accept and to dial. It is called once.
func (t *Transport) Start() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || t.started {
		return
	}
	t.started = true
	t.goLocked(func() { t.notices.run(t.ctx) })
	if t.cfg.Listener != nil {
		for _, l := range append([]net.Listener{t.cfg.Listener}, t.cfg.More...) {
			t.goLocked(func() { t.accept(l) })
		}
	}
	for _, p := range t.peers {
		t.goLocked(p.run)
	}
}

// goLocked starts a goroutine that Close waits for.
func (t *Transport) goLocked(f func()) {
	t.wg.Add(1)
	go func() {
		defer t.wg.Done()
		f()
	}()
}

// SetPeers says whom to be connected with: the whole set, by ID, without this
// node. The transport dials each of them and keeps trying. A peer no longer in
// the set is dropped with what waits for it, and the connections for messages
// and questions that it opened are closed: when it dials again, Check tells it why not. A changed
// address is dialled at once. The map is not kept.
func (t *Transport) SetPeers(peers map[cluster.NodeID]string) {
	var gone []*conn
	t.mu.Lock()
	defer func() {
		t.mu.Unlock()
		for _, c := range gone {
			c.Close()
		}
	}()
	if t.closed {
		return
	}
	for id, p := range t.peers {
		if _, ok := peers[id]; ok {
			continue
		}
		p.cancel()
		delete(t.peers, id)
		for c := range t.conns {
			if c.from == id {
				gone = append(gone, c)
			}
		}
	}
	for id, addr := range peers {
		if p := t.peers[id]; p != nil {
			p.move(addr)
			continue
		}
		p := newPeer(t, id, addr)
		t.peers[id] = p
		for c := range t.conns {
			if c.from == id { // it came before it was a peer
				c.meter.Store(&p.meter)
			}
		}
		if t.started {
			t.goLocked(p.run)
		}
	}
}

// Send queues a batch for a peer and never blocks. The batch is kept and must
// not be changed any more. It may be lost: when the queue is full the newest
// is dropped, when the peer can't be reached for long the oldest; either, and
// a batch for a peer that is not in the set, is told through
// [Handler.Unreachable].
func (t *Transport) Send(to cluster.NodeID, b *wire.Batch) {
	t.mu.Lock()
	p, closed := t.peers[to], t.closed
	t.mu.Unlock()
	if closed {
		return
	}
	if p == nil || !p.push(b) {
		t.notices.tell(to)
	}
}

// PeerStatus is what an operator may want to know of one peer.
type PeerStatus struct {
	ID         cluster.NodeID
	Addr       string        // as set
	Connected  bool          // the messages connection that this node dials
	Since      time.Time     // of the state that Connected tells; zero: never connected
	Began      time.Time     // when it became a peer
	Heard      time.Time     // when something came last on the connection that the peer dials, to about half of KeepAlive; zero: never
	QueueBytes int           // that wait, about
	Dropped    uint64        // batches dropped since it became a peer
	Sent       uint64        // bytes since it became a peer, on all connections; see meter
	Received   uint64        // likewise
	Err        string        // why there is no connection to Addr, or why the last one ended; empty while connected
	Refusal    *wire.Refusal // set when the reason is that the peer refused this node
	OwnRefusal bool          // Refusal is this node's, of the peer
}

// Peers lists the peers, sorted by ID.
func (t *Transport) Peers() []PeerStatus {
	t.mu.Lock()
	out := make([]PeerStatus, 0, len(t.peers))
	for _, p := range t.peers {
		out = append(out, p.status())
	}
	t.mu.Unlock()
	slices.SortFunc(out, func(a, b PeerStatus) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// Close ends everything: it closes the listener and all connections, those
// from OpenSnapshot too, and returns when the last goroutine has ended, which
// is when the Handler has returned from its calls. Further calls wait for the
// same and return nil.
func (t *Transport) Close() error {
	t.mu.Lock()
	first := !t.closed
	t.closed = true
	conns := make([]*conn, 0, len(t.conns))
	for c := range t.conns {
		conns = append(conns, c)
	}
	t.mu.Unlock()
	var err error
	if first {
		t.cancel()
		if t.cfg.Listener != nil {
			err = t.cfg.Listener.Close()
			for _, l := range t.cfg.More {
				_ = l.Close() // as the first
			}
		}
		for _, c := range conns {
			c.Close()
		}
	}
	t.wg.Wait()
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close transport: %w", err)
	}
	return nil
}
