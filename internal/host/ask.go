package host

import (
	"context"
	"errors"
	"fmt"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/transport"
	"github.com/musterhq/muster/internal/wire"
)

// AnswerError is what another member's embedder answered a question with in
// place of an answer.
type AnswerError struct {
	From cluster.NodeID
	Text string
}

// Error implements error.
func (e *AnswerError) Error() string { return fmt.Sprintf("%s answers: %s", e.From, e.Text) }

// Ask puts a question to another member's embedder. See muster.Node.Ask.
func (h *Host) Ask(ctx context.Context, to cluster.NodeID, question []byte) ([]byte, error) {
	v := h.live.view.Load()
	switch {
	case h.ctx.Err() != nil:
		return nil, h.stoppedErr()
	case !v.InCluster():
		return nil, ErrNotMember
	case len(question) > wire.MaxQuestion:
		return nil, fmt.Errorf("%w: a question of %d bytes, at most %d", ErrTooLarge, len(question), wire.MaxQuestion)
	case to == v.Status.Self.ID:
		return h.answered(to, h.answerQuestion(ctx, to, question))
	}
	a, sent, err := h.tr.Ask(ctx, to, question)
	refusal, refused := errors.AsType[*wire.Refusal](err)
	switch {
	case err == nil:
		return h.answered(to, a)
	case errors.Is(err, transport.ErrClosed):
		if sent {
			return nil, fmt.Errorf("%w: %w", ErrUnknownOutcome, h.stoppedErr())
		}
		return nil, h.stoppedErr()
	case sent:
		return nil, fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	case errors.Is(err, transport.ErrNoPeer):
		return nil, fmt.Errorf("%w: %s is no other member of this cluster", ErrRefused, to)
	case refused && refusal.Code == wire.RefusedMalformed:
		return nil, fmt.Errorf("%w: %s runs an older release, which takes no questions", ErrRefused, to)
	}
	return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
}

func (h *Host) answered(by cluster.NodeID, a wire.Answer) ([]byte, error) {
	switch a.Verdict {
	case wire.Answered:
		return a.Body, nil
	case wire.Declined:
		return nil, fmt.Errorf("%w: %s", ErrRefused, a.Body)
	case wire.Busy:
		return nil, fmt.Errorf("%w: %s: %s", ErrOverloaded, by, a.Body)
	}
	return nil, &AnswerError{by, string(a.Body)}
}

// Question implements transport.Handler.
func (x *handler) Question(ctx context.Context, peer wire.Hello, question []byte) wire.Answer {
	h, v := (*Host)(x), x.live.view.Load()
	r := v.Judge(peer, true) // again: the connection may be older than what is known of the peer
	switch {
	case r != nil:
		return declined(r.Reason)
	case !v.InCluster() || peer.ClusterID != v.Status.ClusterID:
		return declined("only members of the same cluster may ask")
	}
	return h.answerQuestion(ctx, peer.Self.NodeID, question)
}

func (h *Host) answerQuestion(ctx context.Context, from cluster.NodeID, question []byte) wire.Answer {
	if h.cfg.Answer == nil {
		return declined("this member answers no questions")
	}
	body, err := h.cfg.Answer(ctx, from, question)
	switch {
	case errors.Is(err, ErrRefused):
		return declined(err.Error())
	case err != nil:
		return wire.Answer{Verdict: wire.Failed, Body: []byte(err.Error())}
	}
	return wire.Answer{Verdict: wire.Answered, Body: body}
}

func declined(why string) wire.Answer { return wire.Answer{Verdict: wire.Declined, Body: []byte(why)} }
