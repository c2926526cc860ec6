package host

import (
	"sync"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/member"
	"github.com/musterhq/muster/internal/wire"
)

// inputs is what has come for the loop since it last looked.
type inputs struct {
	proposals []*proposal
	reads     []*read
	batches   []inbound
	appended  []member.AppendJob
	completed []member.Completion // the applier's, in its order
	funcs     []func()            // everything rare, run by the loop
}

type inbound struct {
	from  cluster.NodeID
	batch *wire.Batch
}

// inbox collects inputs from any goroutine. Nobody ever waits to put something in.
type inbox struct {
	wake chan struct{} // capacity 1

	mu     sync.Mutex
	in     inputs
	spare  inputs // emptied slices, to be filled again
	closed bool
}

func newInbox() *inbox { return &inbox{wake: make(chan struct{}, 1)} }

// put adds inputs; false when the loop has ended and will never see them.
func (b *inbox) put(add func(*inputs)) bool {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return false
	}
	add(&b.in)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
	return true
}

// take returns all that waits, but for stale heartbeats. The caller gives it back
// with recycle.
func (b *inbox) take() inputs {
	b.mu.Lock()
	in := b.in
	b.in, b.spare = b.spare, inputs{}
	b.mu.Unlock()
	in.batches = withoutStaleBeats(in.batches)
	return in
}

// recycle keeps the emptied slices of in for the next inputs.
func (b *inbox) recycle(in inputs) {
	clear(in.proposals)
	clear(in.reads)
	clear(in.batches)
	clear(in.appended)
	clear(in.completed)
	clear(in.funcs)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spare = inputs{
		in.proposals[:0], in.reads[:0], in.batches[:0],
		in.appended[:0], in.completed[:0], in.funcs[:0],
	}
}

// close makes every later put fail and returns what nobody will look at.
func (b *inbox) close() inputs {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	in := b.in
	b.in = inputs{} // the loop, which may be on its last round, must not take it too
	return in
}

// call has the loop run f; false when it has ended.
func (h *Host) call(f func()) bool {
	return h.in.put(func(in *inputs) { in.funcs = append(in.funcs, f) })
}

// queue is a worker's list of jobs: putting never waits, taking waits for one.
type queue[T any] struct {
	wake chan struct{} // capacity 1

	mu   sync.Mutex
	jobs []T
}

func newQueue[T any]() *queue[T] { return &queue[T]{wake: make(chan struct{}, 1)} }

func (q *queue[T]) put(jobs ...T) {
	q.mu.Lock()
	q.jobs = append(q.jobs, jobs...)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take returns all jobs, waiting for the first; nil when done is closed.
func (q *queue[T]) take(done <-chan struct{}) []T {
	for {
		q.mu.Lock()
		jobs := q.jobs
		q.jobs = nil
		q.mu.Unlock()
		if len(jobs) > 0 {
			return jobs
		}
		select {
		case <-q.wake:
		case <-done:
			return nil
		}
	}
}
