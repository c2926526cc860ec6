package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/discovery"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/member"
	"github.com/musterhq/muster/internal/raftlog"
	"github.com/musterhq/muster/internal/transport"
)

// Config of a host. Everything in it is open and checked; the host closes what
// it is said to own.
type Config struct {
	member.Config // Log and Machine of its Disk are owned; its Logger is set here

	SnapshotRate    int64                 // bytes a second; 0: no limit
	Space           func() (Space, error) // of the data directory's disk; nil: not known
	MaxCommandBytes int
	Owned           []io.Closer // closed last, in order

	Network   transport.Network
	Listener  net.Listener         // owned
	More      []net.Listener       // further ones; owned
	Discovery []discovery.Provider // each runs in a goroutine of its own, until the host ends
	Logger    *slog.Logger
	OnEvent   func(event.Event) // nil: nobody listens

	OnRoundTrip func(to cluster.NodeID, took time.Duration) // see transport.Config.RoundTrip

	// Answer answers other members' questions; nil: they are declined.
	Answer func(ctx context.Context, from cluster.NodeID, question []byte) ([]byte, error)
}

// Host is one node.
type Host struct {
	cfg Config
	log *slog.Logger
	tr  *transport.Transport
	m   *member.Member // owned by the loop

	in      *inbox
	appends *queue[member.AppendJob]
	applies *queue[member.ApplyJob]
	waiters waiters
	pending atomic.Int64     // bytes of proposals at the door
	reading map[uint64]*read // by token; owned by the loop

	proposals proposalPool

	live    live
	sources []*source // of addresses
	streams streams
	disk    diskWatch
	events  *queue[event.Event]
	clocks  clocks

	ctx    context.Context // ends when the host is to end
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup // loop, appender, applier, events and the goroutines of rare things
	done   chan struct{}  // closed when all has ended and is closed
	err    error          // valid once done is closed
}

// Start runs a node. On an error it has closed nothing and left nothing behind.
func Start(cfg Config) (*Host, error) {
	h := &Host{
		cfg: cfg, log: cfg.Logger.With("node", cfg.Self.Name),
		in: newInbox(), appends: newQueue[member.AppendJob](), applies: newQueue[member.ApplyJob](), events: newQueue[event.Event](),
		reading: map[uint64]*read{}, done: make(chan struct{}),
	}
	h.cfg.Config.Logger = raftLogger{h.log}
	h.live.changed = make(chan struct{})
	h.streams.sending, h.streams.failed = map[cluster.NodeID]progress{}, map[cluster.NodeID]failure{}
	if cfg.SnapshotRate > 0 {
		h.streams.limit = rate.NewLimiter(rate.Limit(cfg.SnapshotRate), int(min(cfg.SnapshotRate, 1<<20)))
	}
	h.ctx, h.cancel = context.WithCancelCause(context.Background())
	h.tr = transport.New(transport.Config{Network: cfg.Network, Listener: cfg.Listener, More: cfg.More, Handler: (*handler)(h), Turned: h.turned, RoundTrip: cfg.OnRoundTrip, Logger: h.log})
	m, err := member.New(h.cfg.Config, (*body)(h))
	if err != nil {
		h.cancel(err)
		return nil, err
	}
	h.m = m
	a := &member.Applier{Self: cfg.Self.NodeID, Machine: cfg.Disk.Machine, Snapshots: cfg.Disk.Snapshots, Take: h.waiters.waiter}
	h.tr.Start()
	h.spawn(h.loop)
	h.spawn(h.appender)
	h.spawn(func() { h.applier(a) })
	h.spawn(h.tellEvents)
	h.spawn(h.compareClocks)
	h.spawn(h.watchDisk)
	h.discover()
	go h.end()
	return h, nil
}

func (h *Host) spawn(f func()) {
	h.wg.Go(f)
}

// errClosed is the cause of an asked-for end.
var errClosed = errors.New("closed")

// fail ends the host because of err. The first cause wins.
func (h *Host) fail(err error) { h.cancel(err) }

// end waits for the end, and puts everything away.
func (h *Host) end() {
	<-h.ctx.Done()
	cause := context.Cause(h.ctx)
	left := h.in.close()
	_ = h.tr.Close() // only ever nil; ends all calls of the handler
	h.wg.Wait()
	for _, p := range left.proposals {
		p.Finish(nil, stopped(cause))
	}
	for _, r := range left.reads {
		r.finish(0, stopped(cause))
	}
	for _, r := range h.reading {
		r.finish(0, stopped(cause))
	}
	for _, p := range h.waiters.drain() {
		p.Finish(nil, fmt.Errorf("%w: %w", ErrUnknownOutcome, stopped(cause)))
	}
	h.m.Close()
	disk := h.cfg.Disk
	errs := []error{disk.Machine.Close()}
	if hs := h.m.Unsaved(); hs != nil && errors.Is(cause, errClosed) {
		errs = append(errs, disk.Log.Append([]raftlog.Batch{{HardState: hs}}))
	}
	errs = append(errs, disk.Log.Close())
	for _, c := range h.cfg.Owned {
		errs = append(errs, c.Close())
	}
	if errors.Is(cause, errClosed) {
		cause = nil
	} else {
		errs = nil // the cause says it all; what follows from it doesn't help
	}
	h.err = errors.Join(append([]error{cause}, errs...)...)
	text := ""
	if h.err != nil {
		text = h.err.Error()
	}
	e := event.Stopped{Err: text}
	h.log.Info(e.Text(), "event", e.Kind())
	if h.cfg.OnEvent != nil {
		h.cfg.OnEvent(e)
	}
	close(h.done)
}

// stopped is what callers are told once the host has ended.
func stopped(cause error) error {
	if cause == nil || errors.Is(cause, errClosed) {
		return ErrStopped
	}
	return fmt.Errorf("%w: %w", ErrStopped, cause)
}

func (h *Host) stoppedErr() error { return stopped(context.Cause(h.ctx)) }

// Close ends the host and returns when all goroutines have ended and all files
// are synced and closed. The error is what closing met, or nil.
func (h *Host) Close() error {
	h.cancel(errClosed)
	<-h.done
	if errors.Is(context.Cause(h.ctx), errClosed) {
		return h.err
	}
	return nil
}

// Done is closed when the host has ended.
func (h *Host) Done() <-chan struct{} { return h.done }

// Err is why the host ended by itself; nil before, and after Close.
func (h *Host) Err() error {
	select {
	case <-h.done:
		return h.err
	default:
		return nil
	}
}

// emit tells of an event: one log line, and the listener. Any goroutine.
func (h *Host) emit(e event.Event) {
	h.log.Info(e.Text(), "event", e.Kind())
	if h.cfg.OnEvent != nil {
		h.events.put(e)
	}
}

// tellEvents calls the listener, in order.
func (h *Host) tellEvents() {
	for {
		es := h.events.take(h.ctx.Done())
		if es == nil {
			return
		}
		for _, e := range es {
			h.cfg.OnEvent(e)
		}
	}
}
