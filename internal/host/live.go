package host

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/member"
	"github.com/musterhq/muster/internal/wire"
)

// live is what others than the loop may look at.
type live struct {
	view      atomic.Pointer[member.View]
	applied   atomic.Uint64
	committed atomic.Uint64
	refusals  refusals

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when the view changes
}

// show makes a new view visible. Run by the loop (and by Start, before it).
func (l *live) show(v *member.View) {
	l.view.Store(v)
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.changed)
	l.changed = make(chan struct{})
}

// wait returns when ok says so of a view, or ctx or the host ends.
func (h *Host) wait(ctx context.Context, ok func(*member.View) bool) error {
	for {
		h.live.mu.Lock()
		changed := h.live.changed
		h.live.mu.Unlock()
		if ok(h.live.view.Load()) {
			return nil
		}
		select {
		case <-changed:
		case <-h.ctx.Done():
			return h.stoppedErr()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Ready returns when the node is a member, knows its leader, and has applied
// what was committed then. See muster.Node.Ready.
func (h *Host) Ready(ctx context.Context) error {
	err := h.wait(ctx, func(v *member.View) bool { return v.InCluster() && v.Status.Leader != 0 })
	if err == nil {
		_, err = h.ReadIndex(ctx)
	}
	if err != nil && ctx.Err() != nil {
		if why := h.Why(); len(why) > 0 {
			return fmt.Errorf("not ready: %s: %w", why[0].Text, ctx.Err())
		}
		return fmt.Errorf("not ready: %w", ctx.Err())
	}
	return err
}

// Remove removes a member, by ID or alias, for good; or withdraws an announcement.
func (h *Host) Remove(ctx context.Context, id cluster.NodeID, belowFloor bool) error {
	if m, ok := h.live.view.Load().Membership.Known(id); ok {
		id = m.ID
	}
	step := wire.Step{Op: wire.OpRemove, Member: cluster.Member{ID: id}, BelowFloor: belowFloor}
	reply, err := h.Change(ctx, wire.Change{Steps: []wire.Step{step}, Why: "asked for"})
	if id == h.cfg.Self.NodeID && (errors.Is(err, ErrRemoved) || errors.Is(context.Cause(h.ctx), ErrRemoved)) {
		return nil // it heard of it before the answer came
	}
	if err != nil || id != h.cfg.Self.NodeID {
		return err
	}
	if !h.leads(h.live.view.Load()) {
		h.call(func() { h.m.Left(reply.Index) })
		return nil
	}
	// A leader stays until the configuration that still counts it is left.
	select {
	case <-h.ctx.Done():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: the removal is decided, but not completed yet: %w", ErrUnknownOutcome, ctx.Err())
	}
}

// Leave gives up this node's own membership. The host then ends with ErrRemoved.
func (h *Host) Leave(ctx context.Context, belowFloor bool) error {
	return h.Remove(ctx, h.cfg.Self.NodeID, belowFloor)
}

// Transfer hands leadership over and returns when this node sees another
// leader. With to 0 another voter is tried when the first doesn't take over
// within an election timeout.
func (h *Host) Transfer(ctx context.Context, to cluster.NodeID) error {
	old := h.live.view.Load().Status.Leader
	if to != 0 && old == to {
		return nil
	}
	moved := func(v *member.View) bool {
		l := v.Status.Leader
		return l != 0 && (l == to || (to == 0 && l != old))
	}
	for offered := false; ; offered = true {
		try, cancel := ctx, context.CancelFunc(func() {})
		if offered { // it may have stopped leading meanwhile
			try, cancel = context.WithTimeout(ctx, 2*h.electionTimeout())
		}
		_, err := h.Change(try, wire.Change{Steps: []wire.Step{{Op: wire.OpTransfer, Member: cluster.Member{ID: to}}}, Why: "asked for"})
		cancel()
		if err != nil && !(offered && to == 0 && h.gaveUp(old)) {
			return err
		}
		try, cancel = context.WithTimeout(ctx, 2*h.electionTimeout())
		err = h.wait(try, moved)
		cancel()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("%w: leadership has not moved yet: %w", ErrUnknownOutcome, err)
		case try.Err() == nil:
			return err
		case to == 0 && h.gaveUp(old):
			return fmt.Errorf("%w: this member has stopped leading, and nobody else leads yet", ErrUnknownOutcome)
		}
	}
}

// gaveUp says that this node has led, and stopped leading because too few others
// answered: there is nothing left to hand over.
func (h *Host) gaveUp(led cluster.NodeID) bool {
	return led == h.cfg.Self.NodeID && h.live.view.Load().Status.Leader == 0
}

// leads says that this node leads others that could vote.
func (h *Host) leads(v *member.View) bool {
	return v.InCluster() && v.Status.Leader == h.cfg.Self.NodeID && len(v.Membership.Voters()) > 1
}
