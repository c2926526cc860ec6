package transport

import (
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/internal/wire"
)

// item is one batch that waits.
type item struct {
	batch *wire.Batch
	size  int // bytes, about
	at    time.Time
}

// queue holds what waits for one peer, oldest first. It is guarded by the
// peer's lock.
type queue struct {
	items   []item
	spare   []item // memory of the items taken last, given back by the sender
	bytes   int
	dropped uint64
}

// push adds a batch unless that would go beyond limit bytes. A batch that is
// larger than the limit on its own is taken when nothing else waits.
func (q *queue) push(b *wire.Batch, limit int, now time.Time) bool {
	size := batchSize(b)
	if q.bytes > 0 && q.bytes+size > limit {
		q.dropped++
		return false
	}
	q.items = append(q.items, item{b, size, now})
	q.bytes += size
	return true
}

// take removes everything.
func (q *queue) take() []item {
	items := q.items
	q.items, q.spare = q.spare[:0], nil
	q.bytes = 0
	return items
}

// maxSpare is how many items' memory is kept for reuse.
const maxSpare = 4096

// giveBack lets the queue use the memory of taken items again.
func (q *queue) giveBack(items []item) {
	if cap(items) <= maxSpare {
		clear(items)
		q.spare = items[:0]
	}
}

// expire drops what was pushed before the given time and says whether that was anything.
func (q *queue) expire(before time.Time) bool {
	n := 0
	for n < len(q.items) && q.items[n].at.Before(before) {
		q.bytes -= q.items[n].size
		n++
	}
	if n == 0 {
		return false
	}
	q.dropped += uint64(n)
	rest := copy(q.items, q.items[n:])
	clear(q.items[rest:])
	q.items = q.items[:rest]
	return true
}

// Sizes are a bound that is cheap to know: counting exactly walks every field.
const (
	messageOverhead = 128
	entryOverhead   = 32
)

func batchSize(b *wire.Batch) int {
	n := 0
	for _, m := range b.Raft {
		n += messageSize(m)
	}
	for i := range b.Forwards {
		n += forwardSize(&b.Forwards[i])
	}
	return n + len(b.Rejects)*messageOverhead
}

func messageSize(m *raftpb.Message) int {
	n := messageOverhead + len(m.GetContext())
	for _, e := range m.GetEntries() {
		n += entryOverhead + len(e.GetData())
	}
	if s := m.GetSnapshot(); s != nil {
		n += messageOverhead + len(s.GetData())
	}
	return n
}

func forwardSize(f *wire.Forward) int {
	n := messageOverhead
	for _, c := range f.Cmds {
		n += entryOverhead + len(c)
	}
	return n
}
