package lessor

import (
	"container/heap"
	"time"
)

// The two queues that a lease may be in.
const (
	byDue  = 0
	byNote = 1
)

// place is where a lease is in a queue.
type place struct {
	index int // -1: it is not
	at    time.Duration
}

// queue is a heap of leases by a time: what comes next is found at once, however
// many there are.
type queue struct {
	which int
	list  []*lease
}

// put adds a lease, or moves it to another time.
func (q *queue) put(one *lease, at time.Duration) {
	p := &one.place[q.which]
	p.at = at
	if p.index < 0 {
		heap.Push(q, one)
	} else {
		heap.Fix(q, p.index)
	}
}

// drop removes a lease, if it is there.
func (q *queue) drop(one *lease) {
	if i := one.place[q.which].index; i >= 0 {
		heap.Remove(q, i)
	}
}

// first is the lease that comes next, and when; nil: there is none.
func (q *queue) first() (*lease, time.Duration) {
	if len(q.list) == 0 {
		return nil, 0
	}
	return q.list[0], q.list[0].place[q.which].at
}

// Len implements heap.Interface.
func (q *queue) Len() int { return len(q.list) }

// Less implements heap.Interface.
func (q *queue) Less(i, j int) bool {
	return q.list[i].place[q.which].at < q.list[j].place[q.which].at
}

// Swap implements heap.Interface.
func (q *queue) Swap(i, j int) {
	q.list[i], q.list[j] = q.list[j], q.list[i]
	q.list[i].place[q.which].index, q.list[j].place[q.which].index = i, j
}

// Push implements heap.Interface.
func (q *queue) Push(x any) {
	one := x.(*lease) //nolint:forcetypeassert // it is given nothing else
	one.place[q.which].index = len(q.list)
	q.list = append(q.list, one)
}

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	last := len(q.list) - 1
	one := q.list[last]
	q.list[last] = nil
	q.list = q.list[:last]
	one.place[q.which].index = -1
	return one
}
