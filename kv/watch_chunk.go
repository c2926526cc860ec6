package kv

import (
	"bytes"
	"fmt"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/musterhq/muster/kv/internal/mvcc"
)

// chunk is a part of the event log as it was read from disk, whole from one
// change up to another. Watches that pass the same part share it: the log is read
// and taken apart once, those that want little of it find that by key, and a
// version that several want is looked up once.
type chunk struct {
	from, next mvcc.Revision           // it has all changes of [from, next)
	events     []chunkEvent            // in their order
	user       atomic.Pointer[watcher] // the last one
	shared     atomic.Bool             // there were several
	room       atomic.Int64            // bytes of versions that it still keeps

	sort  sync.Once
	byKey []int32 // of events, by key and then in their order; set by sort
}

type chunkEvent struct {
	mvcc.Event
	found atomic.Pointer[pageEvent] // nil: look it up
}

// at is the first event from a revision on.
func (c *chunk) at(r mvcc.Revision) int {
	return sort.Search(len(c.events), func(i int) bool { return !less(c.events[i].Revision, r) })
}

func less(a, b mvcc.Revision) bool { return a.Main < b.Main || a.Main == b.Main && a.Sub < b.Sub }

func (c *chunk) holds(r mvcc.Revision) bool { return !less(r, c.from) && less(r, c.next) }

// of lists the events of a span from the n-th on, in order; ok is false where these
// are so many that it is better to look at all.
func (c *chunk) of(s span, n int) (list []int32, ok bool) {
	c.sort.Do(func() {
		c.byKey = make([]int32, len(c.events))
		for i := range c.byKey {
			c.byKey[i] = int32(i)
		}
		slices.SortStableFunc(c.byKey, func(a, b int32) int { return bytes.Compare(c.events[a].Key, c.events[b].Key) })
	})
	place := func(key []byte) int {
		return sort.Search(len(c.byKey), func(i int) bool { return bytes.Compare(c.events[c.byKey[i]].Key, key) >= 0 })
	}
	lo, hi := place(s.from), len(c.byKey)
	if !s.open {
		hi = max(lo, place(s.to))
	}
	if 4*(hi-lo) > len(c.events) {
		return nil, false
	}
	for _, i := range c.byKey[lo:hi] {
		if int(i) >= n {
			list = append(list, i)
		}
	}
	slices.Sort(list)
	return list, true
}

// chunks are those that were read last, for as long as a watch is behind.
type chunks struct {
	mu   sync.Mutex
	list []*chunkRead // the last one used is the last
	read int          // so far, for tests
}

// chunkRead is one that is there, or that somebody reads.
type chunkRead struct {
	from mvcc.Revision
	done chan struct{} // closed when what follows is set
	c    *chunk
	err  error
}

// These bound the memory of chunks, with that of keys: see watchLimits.events and
// watchLimits.bytes.
const (
	maxChunks = 4
	chunkRoom = 4 << 20 // bytes of versions that one keeps for others
)

// get is the chunk that holds a revision, which read makes if there is none, for w.
// Who comes while it is read waits for it.
func (cs *chunks) get(at mvcc.Revision, w *watcher, read func() (*chunk, error)) (*chunk, error) {
	r, mine := cs.find(at)
	if mine {
		if r.c, r.err = read(); r.err != nil {
			cs.drop(r)
		}
		close(r.done)
	}
	<-r.done
	if r.err != nil {
		return nil, r.err
	}
	if before := r.c.user.Swap(w); before != nil && before != w {
		r.c.shared.Store(true)
	}
	return r.c, nil
}

// find returns one that holds a revision, or is to be read from it on; mine says that the
// caller is to do so.
func (cs *chunks) find(at mvcc.Revision) (r *chunkRead, mine bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for i, r := range cs.list {
		if r.from != at {
			select {
			case <-r.done:
			default:
				continue // nobody knows yet what it will hold
			}
			if r.c == nil || !r.c.holds(at) {
				continue
			}
		}
		cs.list = append(slices.Delete(cs.list, i, i+1), r)
		return r, false
	}
	if len(cs.list) == maxChunks {
		cs.list = slices.Delete(cs.list, 0, 1)
	}
	cs.read++
	r = &chunkRead{from: at, done: make(chan struct{})}
	cs.list = append(cs.list, r)
	return r, true
}

// drop has the next one try again.
func (cs *chunks) drop(r *chunkRead) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.list = slices.DeleteFunc(cs.list, func(o *chunkRead) bool { return o == r })
}

func (cs *chunks) clear() {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.list = nil
}

// readChunk reads the log from a revision on, up to current or until it has enough.
func readChunk(db *pebble.DB, from mvcc.Revision, current int64, limits *watchLimits) (c *chunk, err error) {
	it, err := db.NewIter(&pebble.IterOptions{
		LowerBound: mvcc.AppendEventKey(nil, mvcc.Revision{}), UpperBound: mvcc.AppendEventEnd(nil),
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		if cerr := it.Close(); err == nil {
			err = cerr
		}
	}()
	c = &chunk{from: from, next: mvcc.Revision{Main: current + 1}}
	c.room.Store(chunkRoom)
	// The record that holds from may begin before it.
	if !it.SeekLT(mvcc.AppendEventKey(nil, mvcc.Revision{Main: from.Main, Sub: from.Sub + 1})) {
		it.First()
	}
	for more, size := true, 0; more && it.Valid(); it.Next() {
		if more, err = c.record(it, &size, limits); err != nil {
			return nil, err
		}
	}
	return c, it.Error()
}

// record takes one in; more is false when that is enough.
func (c *chunk) record(it *pebble.Iterator, size *int, limits *watchLimits) (more bool, err error) {
	stored, err := it.ValueAndErr()
	if err != nil {
		return false, err
	}
	events, ok := mvcc.ReadEvents(it.Key(), bytes.Clone(stored))
	for ok {
		var e mvcc.Event
		if e, more, ok = events.Next(); !ok || !more {
			break
		}
		if less(e.Revision, c.from) {
			continue
		}
		if !less(e.Revision, c.next) {
			return false, nil
		}
		if len(c.events) >= limits.events || *size >= limits.bytes {
			c.next = e.Revision
			return false, nil
		}
		c.events = append(c.events, chunkEvent{Event: e})
		*size += len(e.Key)
	}
	if !ok {
		return false, fmt.Errorf("damaged store: event log record %x can't be read", it.Key())
	}
	return true, nil
}
