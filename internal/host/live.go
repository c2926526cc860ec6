package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/wire"
)

// live is what others than the loop may look at.
type live struct {
	view      atomic.Pointer[view]
	applied   atomic.Uint64
	committed atomic.Uint64
	refusals  refusals

	leader cluster.NodeID // as published last; owned by the loop
	term   uint64         // same

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when the view changes
}

// view is an immutable picture of the node, made by the loop at each tick and
// whenever something in it that others act on has changed.
type view struct {
	stage      wire.Stage
	status     cluster.Status
	membership cluster.Membership // its Outcomes are left out
	hints      map[cluster.NodeID]string
	why        []event.Reason // the former's or the roster's
	snapshot   error          // why no snapshot could be taken
}

func (v *view) member() bool { return v.stage == wire.InCluster }

func (v *view) isMember(id cluster.NodeID) bool {
	_, ok := v.membership.Member(id)
	return ok
}

func (v *view) leaving(id cluster.NodeID) bool {
	return slices.ContainsFunc(v.membership.Leaving, func(m cluster.Member) bool { return m.ID == id })
}

func (v *view) addr(m cluster.Member) string {
	if a, ok := v.hints[m.ID]; ok {
		return a
	}
	return m.PeerAddr
}

func (v *view) name(id cluster.NodeID) string {
	if m, ok := v.membership.Member(id); ok {
		return m.Name
	}
	return id.String()
}

// publish makes a new view. Run by the loop (and by Start, before it).
func (h *Host) publish() {
	v := &view{stage: h.state.Stage, snapshot: h.shots.failed}
	if v.stage == "" {
		v.stage = wire.Blank
	}
	self := h.cfg.Self.Member(0)
	v.status = cluster.Status{Self: self, Cluster: h.cfg.Cluster, ClusterID: h.state.ClusterID, State: "forming"}
	v.membership = h.membership()
	v.membership.Outcomes = nil
	if h.former != nil {
		v.stage = h.former.Stage()
		v.why = h.former.Why()
	}
	if h.rep != nil {
		v.status = h.rep.Status()
		v.status.Cluster, v.status.ClusterID = h.cfg.Cluster, h.state.ClusterID
		v.why = h.rep.Why()
		v.hints = make(map[cluster.NodeID]string, len(h.hints))
		for id, a := range h.hints {
			v.hints[id] = a
		}
		if len(v.status.Members) == 0 { // admitted, but no snapshot yet
			for _, m := range v.membership.Members {
				v.status.Members = append(v.status.Members, cluster.MemberStatus{Member: m})
			}
		}
	}
	v.status.Stage = string(v.stage)
	v.status.LogBytes = h.cfg.Log.Size()
	h.live.view.Store(v)
	h.live.mu.Lock()
	defer h.live.mu.Unlock()
	close(h.live.changed)
	h.live.changed = make(chan struct{})
}

// wait returns when ok says so of a view, or ctx or the host ends.
func (h *Host) wait(ctx context.Context, ok func(*view) bool) error {
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
	err := h.wait(ctx, func(v *view) bool { return v.member() && v.status.Leader != 0 })
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

// Remove removes a member for good.
func (h *Host) Remove(ctx context.Context, id cluster.NodeID) error {
	reply, err := h.Change(ctx, []wire.Step{{Op: wire.OpRemove, Member: cluster.Member{ID: id}}}, "asked for")
	if id == h.cfg.Self.NodeID && errors.Is(context.Cause(h.ctx), ErrRemoved) {
		return nil // it heard of it before the answer came
	}
	if err != nil || id != h.cfg.Self.NodeID {
		return err
	}
	if !h.leads(h.live.view.Load()) {
		h.call(func() { h.removed(reply.Index) })
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
func (h *Host) Leave(ctx context.Context) error { return h.Remove(ctx, h.cfg.Self.NodeID) }

// Transfer hands leadership over and returns when this node sees another
// leader. With to 0 another voter is tried when the first doesn't take over
// within an election timeout.
func (h *Host) Transfer(ctx context.Context, to cluster.NodeID) error {
	old := h.live.view.Load().status.Leader
	if to != 0 && old == to {
		return nil
	}
	moved := func(v *view) bool {
		l := v.status.Leader
		return l != 0 && (l == to || (to == 0 && l != old))
	}
	for {
		if _, err := h.Change(ctx, []wire.Step{{Op: wire.OpTransfer, Member: cluster.Member{ID: to}}}, "asked for"); err != nil {
			return err
		}
		try, cancel := context.WithTimeout(ctx, 2*time.Duration(h.cfg.ElectionTicks)*h.cfg.Heartbeat)
		err := h.wait(try, moved)
		cancel()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("%w: leadership has not moved yet: %w", ErrUnknownOutcome, err)
		case try.Err() == nil:
			return err
		}
	}
}

// Stop hands leadership over, if this node has it and somebody can take it,
// and closes the host.
func (h *Host) Stop(ctx context.Context) error {
	for ctx.Err() == nil && h.leads(h.live.view.Load()) {
		if reply := h.handOver(ctx, 0); reply.Status != wire.ChangeApplied {
			h.log.Warn("leadership could not be handed over before stopping", "reason", reply.Reason)
			break
		}
		try, cancel := context.WithTimeout(ctx, 2*time.Duration(h.cfg.ElectionTicks)*h.cfg.Heartbeat)
		_ = h.wait(try, func(v *view) bool { return !h.leads(v) }) // else the next voter is tried
		cancel()
	}
	return h.Close()
}

// leads says that this node leads others that could vote.
func (h *Host) leads(v *view) bool {
	return v.member() && v.status.Leader == h.cfg.Self.NodeID && len(v.membership.Voters()) > 1
}
