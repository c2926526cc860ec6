package host

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/musterhq/muster/internal/member"
	"github.com/musterhq/muster/statemachine"
)

// proposal is one command whose caller waits.
type proposal struct {
	cmd       []byte
	seq       uint64 // set by the loop; 0: not yet, or never
	withdrawn bool   // owned by the loop: its caller gave up before the loop saw it
	done      chan struct{}
	result    statemachine.Result
	err       error
}

// Finish is called once, by whoever took the proposal from the waiters, or
// before it was ever there.
func (p *proposal) Finish(r statemachine.Result, err error) {
	p.result, p.err = r, err
	p.done <- struct{}{}
}

// proposalPool keeps finished proposals for the next callers. Each host has its
// own: their channels belong to the bubble that a test may run it in.
type proposalPool struct{ pool sync.Pool }

func (x *proposalPool) get() *proposal {
	if p, ok := x.pool.Get().(*proposal); ok {
		return p
	}
	return &proposal{done: make(chan struct{}, 1)}
}

// put takes a proposal whose wait has ended.
func (x *proposalPool) put(p *proposal) {
	*p = proposal{done: p.done}
	x.pool.Put(p)
}

// Propose replicates one command, which must not be changed afterwards, and
// returns what this member's machine made of it. See muster.Node.Propose.
func (h *Host) Propose(ctx context.Context, cmd []byte) (statemachine.Result, error) {
	if len(cmd) > h.cfg.MaxCommandBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(cmd), h.cfg.MaxCommandBytes)
	}
	size := int64(len(cmd)) + 64
	if h.pending.Add(size) > h.cfg.MaxPendingBytes {
		h.pending.Add(-size)
		return nil, ErrOverloaded
	}
	defer h.pending.Add(-size)
	for {
		result, err := h.proposeOnce(ctx, cmd)
		// It is certain that it did not happen, and there may be a leader
		// again: it is sent there.
		if !errors.Is(err, errRejected) || ctx.Err() != nil {
			return result, err
		}
	}
}

// errRejected: the leader that it was given to has not put it into the log.
var errRejected = fmt.Errorf("%w: leadership moved", ErrNotLeader)

func (h *Host) proposeOnce(ctx context.Context, cmd []byte) (statemachine.Result, error) {
	p := h.proposals.get()
	p.cmd = cmd
	if !h.in.put(func(in *inputs) { in.proposals = append(in.proposals, p) }) {
		return nil, h.stoppedErr()
	}
	// Whoever holds it finishes it: the applier, the loop, or the end of the
	// host. So the wait always ends.
	select {
	case <-p.done:
	case <-ctx.Done():
		// Not back to the pool: the loop may look at it later than now.
		h.call(func() { h.withdraw(p) })
		<-p.done
		return p.result, p.err
	}
	result, err := p.result, p.err
	h.proposals.put(p)
	return result, err
}

var errGivenUp = fmt.Errorf("%w: given up before it was proposed", ErrNotLeader)

// propose gives commands to the replica. Run by the loop.
func (h *Host) propose(ps []*proposal) {
	if len(ps) == 0 {
		return
	}
	if !h.m.InCluster() {
		for _, p := range ps {
			p.Finish(nil, ErrNotMember)
		}
		return
	}
	for _, p := range ps {
		if !p.withdrawn {
			p.seq = h.m.Propose(p.cmd)
		}
	}
	h.waiters.add(ps)
	for _, p := range ps {
		if p.withdrawn {
			p.Finish(nil, errGivenUp)
		}
	}
}

// withdraw ends the wait of a caller whose time is up. Run by the loop.
func (h *Host) withdraw(p *proposal) {
	if p.seq == 0 {
		p.withdrawn = true // it came just now, see propose; or was finished while forming
		return
	}
	if h.waiters.get(p.seq) != p {
		return // finished already, or about to be by the applier
	}
	if h.m.Withdraw(p.seq) {
		h.waiters.take(p.seq)
		p.Finish(nil, errGivenUp)
		return
	}
	if h.waiters.take(p.seq) == p {
		p.Finish(nil, ErrUnknownOutcome)
	}
}

// waiters are the proposals of this member whose outcome is awaited, by their
// numbers, which are consecutive.
type waiters struct {
	mu    sync.Mutex
	first uint64      // number of list[0]
	list  []*proposal // nil: finished, or never waited for
	live  int
}

// add keeps proposals with ascending numbers, all above those added before,
// and leaves out those without one.
func (w *waiters) add(ps []*proposal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range ps {
		if p.seq == 0 {
			continue
		}
		if len(w.list) == 0 {
			w.first = p.seq
		}
		for w.first+uint64(len(w.list)) < p.seq {
			w.list = append(w.list, nil)
		}
		w.list = append(w.list, p)
		w.live++
	}
}

func (w *waiters) get(seq uint64) *proposal {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := seq - w.first; seq >= w.first && i < uint64(len(w.list)) {
		return w.list[i]
	}
	return nil
}

// take removes the proposal with that number; the caller must finish it.
func (w *waiters) take(seq uint64) *proposal {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := seq - w.first
	if seq < w.first || i >= uint64(len(w.list)) || w.list[i] == nil {
		return nil
	}
	p := w.list[i]
	w.list[i] = nil
	w.live--
	switch {
	case w.live == 0:
		w.list = w.list[:0]
	case i == 0:
		n := 0
		for w.list[n] == nil {
			n++
		}
		w.list, w.first = w.list[n:], w.first+uint64(n)
	}
	return p
}

// waiter is take for the applier.
func (w *waiters) waiter(seq uint64) member.Waiter {
	if p := w.take(seq); p != nil {
		return p
	}
	return nil
}

// drain removes all.
func (w *waiters) drain() []*proposal {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []*proposal
	for _, p := range w.list {
		if p != nil {
			out = append(out, p)
		}
	}
	w.list, w.live = nil, 0
	return out
}
