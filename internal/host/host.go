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

	"go.etcd.io/raft/v3/raftpb"
	"golang.org/x/time/rate"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/formation"
	"github.com/musterhq/muster/internal/raftlog"
	"github.com/musterhq/muster/internal/replica"
	"github.com/musterhq/muster/internal/roster"
	"github.com/musterhq/muster/internal/snapshot"
	"github.com/musterhq/muster/internal/transport"
	"github.com/musterhq/muster/internal/wire"
	"github.com/musterhq/muster/statemachine"
)

// StateStore keeps a node's durable state: how it came to its cluster.
type StateStore interface {
	LoadState(v any) (bool, error) // false: never saved
	SaveState(v any) error         // durable on return
}

// Config of a host. Everything in it is open and checked; the host closes what
// it is said to own.
type Config struct {
	Self    wire.Identity
	Epoch   uint64 // boots of the data directory
	Cluster string // name
	Mode    formation.Mode
	Seeds   []string
	Nonce   []byte // 16 random bytes
	Version string // of the program, shown to peers

	Heartbeat     time.Duration // one tick
	ElectionTicks int
	Policy        roster.Policy

	SnapshotLogBytes int64
	SnapshotRate     int64 // bytes a second; 0: no limit
	MaxCommandBytes  int
	MaxPendingBytes  int64

	Machine   statemachine.Machine // opened; owned
	Opened    uint64               // what Machine.Open returned
	Log       *raftlog.Log         // owned
	Snapshots *snapshot.Store
	State     StateStore
	Owned     []io.Closer // closed last, in order

	Network  transport.Network
	Listener net.Listener // owned
	Logger   *slog.Logger
	OnEvent  func(event.Event) // nil: nobody listens
}

// Host is one node.
type Host struct {
	cfg Config
	log *slog.Logger
	tr  *transport.Transport

	in      *inbox
	appends *queue[appendJob]
	applies *queue[applyJob]
	waiters waiters
	pending atomic.Int64 // bytes of proposals at the door

	proposals proposalPool

	loopState
	live    live
	streams streams
	events  *queue[event.Event]

	ctx    context.Context // ends when the host is to end
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup // loop, appender, applier, events and the goroutines of rare things
	done   chan struct{}  // closed when all has ended and is closed
	err    error          // valid once done is closed
}

// loopState is what the loop alone touches.
type loopState struct {
	state   State // as saved last
	former  *formation.Former
	rep     *replica.Replica
	reading map[uint64]*read
	asked   map[uint64]func(wire.ChangeReply) // waiting changes by token
	replies map[uint64]func(wire.Response)    // waiting questions to the former
	token   uint64
	hints   map[cluster.NodeID]string // addresses from Hellos, newer than the membership's
	asking  bool                      // an announcement of this member's own is on its way
	shots   shots
	writing int               // appends at the appender
	commit  *raftpb.HardState // not written yet, since only its commit index is new
}

// State is the durable document of a node.
type State struct {
	formation.Durable
	// Begun says that the log holds something that must never be missing again.
	Begun bool `json:"begun,omitempty"`
	// Hint is the membership that the node was admitted with: addresses to
	// expect messages from until the first snapshot has come.
	Hint *cluster.Membership `json:"hint,omitempty"`
}

// Start runs a node. On an error it has closed nothing and left nothing behind.
func Start(cfg Config) (*Host, error) {
	h := &Host{
		cfg: cfg, log: cfg.Logger.With("node", cfg.Self.Name),
		in: newInbox(), appends: newQueue[appendJob](), applies: newQueue[applyJob](), events: newQueue[event.Event](),
		done: make(chan struct{}),
	}
	h.reading, h.asked, h.replies = map[uint64]*read{}, map[uint64]func(wire.ChangeReply){}, map[uint64]func(wire.Response){}
	h.hints = map[cluster.NodeID]string{}
	h.live.changed = make(chan struct{})
	h.streams.sending = map[cluster.NodeID]progress{}
	if cfg.SnapshotRate > 0 {
		h.streams.limit = rate.NewLimiter(rate.Limit(cfg.SnapshotRate), int(min(cfg.SnapshotRate, 1<<20)))
	}
	if _, err := cfg.State.LoadState(&h.state); err != nil {
		return nil, err
	}
	if h.state.Stage == wire.Removed {
		return nil, fmt.Errorf("%w (at index %d of cluster %s): its data directory can't be used again; start with an empty one to join as a new member",
			ErrRemoved, h.state.Tombstone, h.state.ClusterID)
	}
	h.ctx, h.cancel = context.WithCancelCause(context.Background())
	h.tr = transport.New(transport.Config{Network: cfg.Network, Listener: cfg.Listener, Handler: (*handler)(h), Logger: h.log})
	if err := h.begin(); err != nil {
		h.cancel(err)
		return nil, err
	}
	h.publish()
	h.tr.Start()
	h.spawn(h.loop)
	h.spawn(h.appender)
	h.spawn((&applier{h: h, opened: h.cfg.Opened, through: h.live.applied.Load()}).run)
	h.spawn(h.tellEvents)
	go h.end()
	return h, nil
}

// begin takes up the node's life where it stopped.
func (h *Host) begin() error {
	if h.state.Stage != wire.InCluster {
		h.former = formation.New(formation.Config{
			Self: h.cfg.Self, Cluster: h.cfg.Cluster, Mode: h.cfg.Mode, Seeds: h.cfg.Seeds,
			Nonce: h.cfg.Nonce, TickMillis: int(h.cfg.Heartbeat.Milliseconds()),
		}, h.state.Durable)
		return nil
	}
	return h.becomeMember()
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
		p.finish(nil, stopped(cause))
	}
	for _, r := range left.reads {
		r.finish(0, stopped(cause))
	}
	for _, r := range h.reading {
		r.finish(0, stopped(cause))
	}
	for _, p := range h.waiters.drain() {
		p.finish(nil, fmt.Errorf("%w: %w", ErrUnknownOutcome, stopped(cause)))
	}
	for _, answer := range h.asked {
		answer(wire.ChangeReply{Status: wire.ChangeUnknown, Code: "stopped", Reason: "the node has stopped"})
	}
	h.shots.releaseAll()
	errs := []error{h.cfg.Machine.Close()}
	if h.commit != nil && errors.Is(cause, errClosed) {
		errs = append(errs, h.cfg.Log.Append([]raftlog.Batch{{HardState: h.commit}})) // spares the next start some waiting
	}
	errs = append(errs, h.cfg.Log.Close())
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

func hardState(term, commit uint64) *raftpb.HardState {
	return &raftpb.HardState{Term: new(term), Commit: new(commit)}
}
