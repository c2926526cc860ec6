package host

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/member"
	"github.com/musterhq/muster/internal/replica"
	"github.com/musterhq/muster/internal/wire"
)

// changeOnce asks the member for a change and waits for the answer.
func (h *Host) changeOnce(ctx context.Context, c wire.Change) wire.ChangeReply {
	return h.answer(ctx, func(reply func(wire.ChangeReply)) { h.m.Change(c, reply) })
}

// handOver starts a transfer of leadership, if this node leads. Which member
// follows shows later.
func (h *Host) handOver(ctx context.Context, to cluster.NodeID) wire.ChangeReply {
	return h.answer(ctx, func(reply func(wire.ChangeReply)) { reply(h.m.HandOver(to)) })
}

// answer has the loop ask, and waits for what comes of it.
func (h *Host) answer(ctx context.Context, ask func(reply func(wire.ChangeReply))) wire.ChangeReply {
	answer := make(chan wire.ChangeReply, 1)
	if !h.call(func() { ask(func(r wire.ChangeReply) { answer <- r }) }) {
		return wire.ChangeReply{Status: wire.ChangePending, Code: "stopped", Reason: "the node has stopped"}
	}
	out := wire.ChangeReply{Status: wire.ChangeUnknown, Code: "timeout", Reason: "no answer in time"}
	select {
	case r := <-answer:
		return r
	case <-ctx.Done():
	case <-h.ctx.Done():
		out.Code, out.Reason = "stopped", "the node has stopped"
	}
	select {
	case r := <-answer: // given just before the end, or because of it
		return r
	default:
		return out
	}
}

// Change carries out a change of membership or policy wherever the leader is,
// asking again with the same request ID until it is decided or ctx ends.
func (h *Host) Change(ctx context.Context, c wire.Change) (wire.ChangeReply, error) {
	c.Request = newRequest()
	unknown := false
	var last wire.ChangeReply
	for {
		if out := outside(h.live.view.Load()); out != nil {
			if unknown {
				out = fmt.Errorf("%w: %w", ErrUnknownOutcome, out)
			}
			return last, out
		}
		once, cancel := context.WithTimeout(ctx, member.CallPatience)
		last = h.changeOnce(once, c)
		cancel()
		switch last.Status {
		case wire.ChangeApplied:
			return last, nil
		case wire.ChangeRefused:
			return last, &RefusedError{Code: last.Code, Reason: last.Reason}
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

// outside is why a node has no part in its cluster; nil: it has.
func outside(v *member.View) error {
	switch {
	case v.InCluster():
		return nil
	case v.Stage == wire.Removed:
		return ErrRemoved
	}
	return ErrNotMember
}

// SetPolicy changes settings of the cluster's policy.
func (h *Host) SetPolicy(ctx context.Context, edits map[string]string, why string) error {
	_, err := h.Change(ctx, wire.Change{Policy: edits, Why: why})
	return err
}

// Foresee is what the leader, which this node is, would do next; see package roster.
func (h *Host) Foresee(ctx context.Context, suppose string) (event.Forecast, error) {
	type answer struct {
		f   event.Forecast
		err error
	}
	a, err := onLoop(ctx, h, func() (a answer) { a.f, a.err = h.m.Foresee(suppose); return a })
	switch {
	case err != nil:
		return event.Forecast{}, err
	case errors.Is(a.err, replica.ErrNotLeader):
		return event.Forecast{}, fmt.Errorf("%w: %w", ErrNotLeader, a.err)
	}
	return a.f, a.err
}

// onLoop has the loop work something out, and waits for it. An error says that
// it wasn't waited for to the end: the loop may do it yet.
func onLoop[T any](ctx context.Context, h *Host, work func() T) (T, error) {
	var none T
	out := make(chan T, 1)
	if !h.call(func() { out <- work() }) {
		return none, h.stoppedErr()
	}
	select {
	case v := <-out:
		return v, nil
	case <-ctx.Done():
		return none, ctx.Err()
	case <-h.ctx.Done():
		return none, h.stoppedErr()
	}
}

func (h *Host) electionTimeout() time.Duration {
	return time.Duration(h.cfg.ElectionTicks) * h.cfg.Heartbeat
}

// newRequest is a request ID that nobody draws again.
func newRequest() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return hex.EncodeToString(b[:])
}
