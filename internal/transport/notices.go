package transport

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/musterhq/muster/cluster"
)

// noticePause is the shortest time between two notices about one peer.
const noticePause = 100 * time.Millisecond

// notices tells the handler which peers are unreachable, from a goroutine of
// its own: whoever drops a message may be the very one that the handler would
// have to wait for.
type notices struct {
	deliver func(cluster.NodeID)
	wake    chan struct{} // capacity 1

	mu      sync.Mutex
	pending []cluster.NodeID // no duplicates
}

func newNotices(deliver func(cluster.NodeID)) *notices {
	return &notices{deliver: deliver, wake: make(chan struct{}, 1)}
}

// tell notes a peer; it never blocks.
func (n *notices) tell(id cluster.NodeID) {
	n.mu.Lock()
	if !slices.Contains(n.pending, id) {
		n.pending = append(n.pending, id)
	}
	n.mu.Unlock()
	signal(n.wake)
}

func (n *notices) run(ctx context.Context) {
	for {
		select {
		case <-n.wake:
		case <-ctx.Done():
			return
		}
		n.mu.Lock()
		ids := n.pending
		n.pending = nil
		n.mu.Unlock()
		for _, id := range ids {
			n.deliver(id)
		}
		if !pause(ctx, noticePause) {
			return
		}
	}
}

// signal puts a token into a channel of capacity 1, if there is none.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// pause waits; false says that ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
