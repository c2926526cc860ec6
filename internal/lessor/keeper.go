package lessor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/kv"
	"github.com/musterhq/muster/statemachine"
)

const (
	tick       = 500 * time.Millisecond
	revokeRate = 1000 // leases a second that are revoked because they are over
	revokers   = 64   // of them at a time
)

// Node is the member that a [Keeper] is for.
type Node interface {
	Propose(ctx context.Context, command []byte) (statemachine.Result, error)
	ReadIndex(ctx context.Context) (uint64, error)
	Glance() cluster.Glance
	Ask(ctx context.Context, to cluster.NodeID, question []byte) ([]byte, error)
}

// Store has the leases as they are replicated.
type Store interface {
	FollowLeases(kv.LeaseFollower)
	Lease(id int64) (kv.Lease, bool)
	Leases() []kv.Lease
}

// Config is what a [Keeper] is told.
type Config struct {
	Node  Node
	Store Store

	// Frame puts before a question to another member what tells the members that
	// it is for [Keeper.Answer].
	Frame func(question []byte) []byte
	// NoLeader is the error that says so.
	NoLeader error
	// Patience bounds one renewal. Default 7 s.
	Patience time.Duration
	// NoteEvery is the time between two notes of a lease. Default: DefaultNoteEvery.
	NoteEvery time.Duration
	Logger    *slog.Logger // nil: says nothing
}

// Keeper keeps the leases of one member, while it leads, and finds who does while
// it doesn't. Its methods are safe for concurrent use.
type Keeper struct {
	cfg    Config
	lessor *Lessor
	wake   chan struct{} // capacity 1
	ctx    context.Context
	cancel context.CancelFunc
	group  sync.WaitGroup

	revoking   chan struct{} // capacity 1: held while leases are revoked
	confirming atomic.Bool   // in the background
	outbox     outbox

	mu     sync.Mutex
	closed bool // no goroutine begins any more
}

// NewKeeper makes one that does nothing yet.
func NewKeeper(cfg Config) *Keeper {
	cfg.Patience = cmp.Or(cfg.Patience, 7*time.Second)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	k := &Keeper{cfg: cfg, wake: make(chan struct{}, 1), revoking: make(chan struct{}, 1)}
	k.lessor = New(Options{NoteEvery: cfg.NoteEvery, First: k.Nudge})
	k.ctx, k.cancel = context.WithCancel(context.Background())
	return k
}

// Start starts the one goroutine of the keeper, which rests while there are no
// leases. The node may still be on its way into a cluster.
func (k *Keeper) Start() {
	k.cfg.Store.FollowLeases(k.lessor)
	k.group.Go(k.run)
}

// Close ends the keeper, and returns when all of it has ended. Leases are not
// touched: another member counts on.
func (k *Keeper) Close() {
	k.cancel()
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	k.group.Wait()
	k.cfg.Store.FollowLeases(nil)
	k.lessor.Drop()
}

// spawn begins what Close waits for, but not after it.
func (k *Keeper) spawn(f func()) (begun bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.closed {
		k.group.Go(f)
	}
	return !k.closed
}

// Nudge says that the leader may have changed. Without, that is seen a little later.
func (k *Keeper) Nudge() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

func (k *Keeper) run() {
	timer := time.NewTimer(tick)
	defer timer.Stop()
	for k.ctx.Err() == nil {
		k.step()
		var due <-chan time.Time
		if k.lessor.Count() > 0 {
			timer.Reset(tick)
			due = timer.C
		}
		select {
		case <-k.ctx.Done():
		case <-k.wake:
		case <-due:
		}
	}
}

// step does what is to be done now.
func (k *Keeper) step() {
	term, leads := k.leads()
	takeOver, err := k.lessor.Look(term, leads)
	if takeOver != nil {
		err = k.propose(k.ctx, takeOver)
	}
	switch {
	case err != nil && k.ctx.Err() == nil:
		k.cfg.Logger.Debug("the leases are not taken over yet", "term", term, "err", err)
	case err == nil && takeOver != nil:
		k.lessor.Taken(term, k.cfg.Store)
	}
	if k.lessor.Term() != 0 {
		k.revoke()
		k.note()
	}
}

// leads says whether this member leads, as far as it knows, and in which term.
func (k *Keeper) leads() (term uint64, leads bool) {
	g := k.cfg.Node.Glance()
	return g.Term, g.Leader != 0 && g.Leader == g.Self
}

// propose has a command carried out.
func (k *Keeper) propose(ctx context.Context, cmd []byte) error {
	ctx, cancel := context.WithTimeout(ctx, k.cfg.Patience)
	defer cancel()
	result, err := k.cfg.Node.Propose(ctx, cmd)
	if err != nil {
		return err
	}
	reply, ok := result.(kv.Reply)
	if !ok {
		return fmt.Errorf("leases: answered by a %T", result)
	}
	return reply.Err
}

// revoke has those leases revoked whose time is over, in the background.
func (k *Keeper) revoke() {
	select {
	case k.revoking <- struct{}{}:
	default:
		return // those of before are not done
	}
	ids, term := k.lessor.Over(int(revokeRate * tick / time.Second))
	if len(ids) == 0 {
		<-k.revoking
		return
	}
	work := make(chan int64, len(ids))
	for _, id := range ids {
		work <- id
	}
	close(work)
	k.group.Go(func() {
		defer func() { <-k.revoking }()
		var group sync.WaitGroup
		for range min(revokers, len(ids)) {
			group.Go(func() {
				for id := range work {
					k.revokeOne(term, id)
				}
			})
		}
		group.Wait()
	})
}

func (k *Keeper) revokeOne(term uint64, id int64) {
	cmd, err := k.lessor.Expiry(term, id)
	if cmd == nil || k.ctx.Err() != nil {
		return
	}
	if err == nil {
		err = k.propose(k.ctx, cmd)
	}
	if err != nil && !errors.Is(err, kv.ErrLeaseNotFound) && k.ctx.Err() == nil {
		k.cfg.Logger.Debug("a lease that is over is not revoked yet", "lease", fmt.Sprintf("%016x", id), "err", err)
	}
}

// note has it noted what long leases have left.
func (k *Keeper) note() {
	for k.ctx.Err() == nil {
		cmd, leases, err := k.lessor.Note()
		if cmd == nil && err == nil {
			return
		}
		if err == nil {
			err = k.propose(k.ctx, cmd)
		}
		if err != nil {
			k.cfg.Logger.Debug("what leases have left is not noted", "leases", leases, "err", err)
			return
		}
	}
}
