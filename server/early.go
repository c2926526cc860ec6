package server

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/lessor"
)

// What the servers of two members ask each other begins with a byte for the sort of
// question. Members of different releases meet: never change one.
const (
	askLeases = 'L'
	askHash   = 'h'
)

// early is what the node calls back, which it may before there is a server.
type early struct {
	store  hashes
	leases atomic.Pointer[lessor.Keeper]
}

// hear adds itself to a node's configuration.
func (e *early) hear(c *muster.Config) {
	next := c.OnEvent
	c.OnEvent = func(ev event.Event) {
		if _, ok := ev.(event.LeaderChanged); ok {
			if k := e.leases.Load(); k != nil {
				k.Nudge()
			}
		}
		next(ev)
	}
	c.Answer = e.answer
}

// answer answers another member's server.
func (e *early) answer(ctx context.Context, _ cluster.NodeID, question []byte) ([]byte, error) {
	if len(question) == 0 {
		return nil, fmt.Errorf("%w: an empty question", muster.ErrRefused)
	}
	switch kind, body := question[0], question[1:]; kind {
	case askHash:
		return answerHash(ctx, e.store, body)
	case askLeases:
		if leases := e.leases.Load(); leases != nil {
			return leases.Answer(ctx, body)
		}
		return nil, fmt.Errorf("%w: the server is starting", muster.ErrRefused)
	}
	return nil, fmt.Errorf("%w: this release does not know the question", muster.ErrRefused)
}
