package host

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/formation"
	"github.com/musterhq/muster/internal/wire"
)

// askFormer puts a peer's question to the former, or answers it as a member.
func (h *Host) askFormer(ctx context.Context, peer wire.Hello, req wire.Request) wire.Response {
	answer := make(chan wire.Response, 1)
	ok := h.call(func() {
		if h.former == nil {
			answer <- formation.Answer(h.state.Durable, h.membership(), req)
			return
		}
		h.token++
		h.replies[h.token] = func(r wire.Response) { answer <- r }
		h.former.Asked(h.token, peer, req)
	})
	if ok {
		select {
		case r := <-answer:
			return r
		case <-ctx.Done():
		case <-h.ctx.Done():
		}
	}
	return wire.Response{Nack: &wire.Nack{Code: "stopped", Reason: "the node is stopping"}}
}

// admit answers a join: only from the leader's applied state.
func (h *Host) admit(ctx context.Context, peer wire.Hello, j wire.Join) *wire.JoinReply {
	v := h.live.view.Load()
	pending := func(code, reason string) *wire.JoinReply {
		return &wire.JoinReply{Status: wire.JoinPending, Code: code, Reason: reason, Leader: v.status.Leader}
	}
	switch {
	case !v.member():
		return pending("not_a_member", "the node that was asked is in no cluster yet")
	case j.Cluster != h.cfg.Cluster:
		return &wire.JoinReply{Status: wire.JoinRefused, Code: "cluster_name", Reason: fmt.Sprintf("this is cluster %q, not %q", h.cfg.Cluster, j.Cluster)}
	case !j.Forwarded && j.Self.Incarnation != peer.Self.Incarnation:
		return &wire.JoinReply{Status: wire.JoinRefused, Code: "identity", Reason: "the request names another node than the one that sent it"}
	case j.Self.NodeID != j.Self.Incarnation.NodeID():
		return &wire.JoinReply{Status: wire.JoinRefused, Code: "identity", Reason: "the node ID is not that of the incarnation"}
	case v.status.Leader == 0:
		return pending("no_leader", "the cluster has no leader at the moment")
	case v.status.Leader == h.cfg.Self.NodeID:
		return h.admitAsLeader(ctx, v, j)
	case j.Forwarded:
		return pending("leadership_moved", "the node that was asked does not lead any more")
	}
	j.Forwarded = true
	resp, err := h.askLeader(ctx, v, wire.Request{Join: &j})
	if err != nil || resp.Join == nil {
		return pending("leader_unreachable", fmt.Sprintf("the leader %s did not answer: %v", v.name(v.status.Leader), err))
	}
	return resp.Join
}

func (h *Host) admitAsLeader(ctx context.Context, v *view, j wire.Join) *wire.JoinReply {
	if _, known := v.membership.Member(j.Self.NodeID); !known {
		if why := h.dialBack(ctx, j.Self); why != "" {
			return &wire.JoinReply{Status: wire.JoinPending, Code: "unreachable", Reason: why, Leader: h.cfg.Self.NodeID}
		}
	}
	reply := h.change(ctx, wire.Change{
		// A later term may try again what an earlier one turned down.
		Request: fmt.Sprintf("join-%s-%d", j.Self.Incarnation, v.status.Term),
		Steps:   []wire.Step{{Op: wire.OpAdd, Member: j.Self.Member(cluster.Learner)}},
		Why:     "asked to join",
	})
	out := &wire.JoinReply{Code: reply.Code, Reason: reply.Reason, Index: reply.Index, Leader: reply.Leader}
	switch reply.Status {
	case wire.ChangeRefused:
		out.Status = wire.JoinRefused
	case wire.ChangeApplied:
		m, ok := h.currentMembership(ctx)
		if !ok {
			out.Status, out.Code, out.Reason = wire.JoinPending, "stopped", "the node is stopping"
			break
		}
		out.Status, out.Membership = wire.JoinDone, &m
	default:
		out.Status = wire.JoinPending
	}
	return out
}

// dialBack makes sure that the advertised address reaches the very node that
// gave it; else the reason why not.
func (h *Host) dialBack(ctx context.Context, id wire.Identity) string {
	ctx, cancel := context.WithTimeout(ctx, callTimeout/2)
	defer cancel()
	_, hello, err := h.tr.Call(ctx, id.PeerAddr, 0, wire.Request{Probe: &wire.Probe{}})
	if err != nil {
		return fmt.Sprintf("the leader can't reach it at %s, the address that it advertises: %v", id.PeerAddr, err)
	}
	if hello.Self.Incarnation != id.Incarnation {
		return fmt.Sprintf("the address that it advertises, %s, leads to another node (%s)", id.PeerAddr, hello.Self.Name)
	}
	return ""
}

func (h *Host) currentMembership(ctx context.Context) (cluster.Membership, bool) {
	got := make(chan cluster.Membership, 1)
	if !h.call(func() { got <- h.membership() }) {
		return cluster.Membership{}, false
	}
	select {
	case m := <-got:
		return m, len(m.Members) > 0
	case <-ctx.Done():
	case <-h.ctx.Done():
	}
	return cluster.Membership{}, false
}

// change carries out a change on this member, if it leads, and waits for the
// answer from the applied state.
func (h *Host) change(ctx context.Context, c wire.Change) wire.ChangeReply {
	answer := make(chan wire.ChangeReply, 1)
	token := make(chan uint64, 1)
	ok := h.call(func() {
		if h.rep == nil {
			answer <- wire.ChangeReply{Status: wire.ChangePending, Code: "not_a_member", Reason: "this node is in no cluster yet"}
			return
		}
		h.token++
		token <- h.token
		h.asked[h.token] = func(r wire.ChangeReply) { answer <- r }
		h.rep.Change(h.token, c)
	})
	unknown := wire.ChangeReply{Status: wire.ChangeUnknown, Code: "stopped", Reason: "the node has stopped"}
	if !ok {
		unknown.Status = wire.ChangePending
		return unknown
	}
	select {
	case r := <-answer:
		return r
	case <-h.ctx.Done():
		select {
		case r := <-answer: // given just before the end, or because of it
			return r
		default:
			return unknown
		}
	case <-ctx.Done():
	}
	h.call(func() {
		select {
		case t := <-token:
			delete(h.asked, t)
			h.rep.Forget(t)
		default:
		}
	})
	return wire.ChangeReply{Status: wire.ChangeUnknown, Code: "timeout", Reason: "no answer in time"}
}

// changeFor answers a peer's change: a member passes it to its leader, once.
func (h *Host) changeFor(ctx context.Context, peer wire.Hello, c wire.Change) wire.ChangeReply {
	v := h.live.view.Load()
	if !v.member() || peer.ClusterID != v.status.ClusterID {
		return wire.ChangeReply{Status: wire.ChangeRefused, Code: "not_a_member", Reason: "only members of the same cluster may ask for changes"}
	}
	return h.changeVia(ctx, v, c)
}

// changeVia carries a change out here or, not forwarded yet, at the leader.
func (h *Host) changeVia(ctx context.Context, v *view, c wire.Change) wire.ChangeReply {
	leader := v.status.Leader
	switch {
	case leader == h.cfg.Self.NodeID && len(c.Steps) == 1 && c.Steps[0].Op == wire.OpTransfer:
		return h.handOver(ctx, c.Steps[0].Member.ID)
	case leader == h.cfg.Self.NodeID:
		return h.change(ctx, c)
	case leader == 0 || c.Forwarded:
		return wire.ChangeReply{Status: wire.ChangePending, Code: "no_leader", Reason: "the cluster has no leader at the moment", Leader: leader}
	}
	c.Forwarded = true
	resp, err := h.askLeader(ctx, v, wire.Request{Change: &c})
	if err != nil || resp.Change == nil {
		return wire.ChangeReply{Status: wire.ChangeUnknown, Code: "leader_unreachable", Reason: fmt.Sprintf("the leader %s did not answer: %v", v.name(leader), err), Leader: leader}
	}
	return *resp.Change
}

func (h *Host) askLeader(ctx context.Context, v *view, req wire.Request) (wire.Response, error) {
	m, ok := v.membership.Member(v.status.Leader)
	if !ok {
		return wire.Response{}, fmt.Errorf("its address is not known yet")
	}
	resp, _, err := h.tr.Call(ctx, v.addr(m), m.ID, req)
	return resp, err
}

// handOver starts a transfer of leadership. Which member follows shows later.
func (h *Host) handOver(ctx context.Context, to cluster.NodeID) wire.ChangeReply {
	answer := make(chan wire.ChangeReply, 1)
	h.call(func() {
		r := wire.ChangeReply{Status: wire.ChangeApplied}
		if why := h.rep.Transfer(to); why != nil {
			r = wire.ChangeReply{Status: wire.ChangeRefused, Code: why.Code, Reason: why.Text}
		}
		answer <- r
	})
	select {
	case r := <-answer:
		return r
	case <-ctx.Done():
	case <-h.ctx.Done():
	}
	return wire.ChangeReply{Status: wire.ChangeUnknown, Code: "timeout", Reason: "no answer in time"}
}

// Change carries out a membership change wherever the leader is, asking again
// with the same request ID until it is decided or ctx ends.
func (h *Host) Change(ctx context.Context, steps []wire.Step, why string) (wire.ChangeReply, error) {
	c := wire.Change{Request: newRequest(), Steps: steps, Why: why}
	unknown := false
	var last wire.ChangeReply
	for {
		v := h.live.view.Load()
		if !v.member() {
			return last, ErrNotMember
		}
		once, cancel := context.WithTimeout(ctx, callTimeout)
		last = h.changeVia(once, v, c)
		cancel()
		switch last.Status {
		case wire.ChangeApplied:
			return last, nil
		case wire.ChangeRefused:
			return last, fmt.Errorf("%w: %s", ErrRefused, last.Reason)
		case wire.ChangeUnknown:
			unknown = true
		}
		select {
		case <-time.After(h.cfg.Heartbeat):
		case <-h.ctx.Done():
			if unknown {
				return last, fmt.Errorf("%w: %w", ErrUnknownOutcome, h.stoppedErr())
			}
			return last, h.stoppedErr()
		case <-ctx.Done():
			if unknown {
				return last, fmt.Errorf("%w: %s", ErrUnknownOutcome, last.Reason)
			}
			return last, fmt.Errorf("%w: %s", ErrNotLeader, last.Reason)
		}
	}
}

// newRequest is a request ID that nobody draws again.
func newRequest() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return hex.EncodeToString(b[:])
}

// announce has the leader correct this member's own line in the membership.
// Run by the loop.
func (h *Host) announce(c wire.Change) {
	if h.asking {
		return
	}
	h.asking = true
	h.spawn(func() {
		ctx, cancel := context.WithTimeout(h.ctx, callTimeout)
		defer cancel()
		reply := h.changeVia(ctx, h.live.view.Load(), c)
		if reply.Status == wire.ChangeRefused {
			h.log.Warn("the cluster keeps this member's old name or addresses", "reason", reply.Reason)
		}
		h.call(func() { h.asking = false })
	})
}
