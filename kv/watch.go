package kv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// ErrWatchExists says that the group has a watch of that ID already.
var ErrWatchExists = errors.New("kv: the group has a watch of this ID already")

// WatchSpec is what a watch is interested in.
type WatchSpec struct {
	Key, End []byte // as in a range request; kept
	From     int64  // the first revision that is wanted; 0: the one after the current
	NoPut    bool   // leave puts out
	NoDelete bool   // leave deletes out
	PrevKV   bool   // each event with the version before, where it is not compacted
}

// WatchBatch is what a watch is told at once: all of its events of one or
// more revisions that follow on those of the batch before. A revision is divided
// between batches only if it holds more than some mebibytes of events for the
// watch; the parts follow each other, and no batch of another watch is between them.
type WatchBatch struct {
	IDs       []int64         // whom it is for: one watch, or several that are told the same
	Events    []*mvccpb.Event // by revision, and within it by sub-revision; shared: not to be changed
	Revision  int64           // for the header: of the last event, or the store's if the past was read
	Partial   bool            // the next batch has more events of the last one's revision, or says that they are compacted
	Compacted int64           // if not 0, the watch is gone: history that it still wanted is compacted up to here
}

// Watches is a group of watches that one reader serves, such as those of one
// stream. Its methods belong to one goroutine at a time; only the channel that
// Ready returns is for anybody.
//
// Nothing is queued for a watch but the numbers of a few revisions. What those
// hold is taken from what all watches share (type tail) while it is there, and
// from the database after that. So a slow reader costs no memory, and holds
// back neither the writes nor other readers.
type Watches struct {
	s    *Store
	wake chan struct{}
	byID map[int64]*watcher

	scratch []*pageEvent // what Poll is at
	polled  []*watcher   // for whom
	cut     cutWatch

	// Guarded by hub.mu.
	ready  []*watcher // something is to be done for these, in this order
	closed bool
	told   bool // is in hub.toWake
}

// watcher is one watch. All but spec is guarded by hub.mu.
type watcher struct {
	WatchSpec
	id    int64
	group *Watches
	set   *watchSet // where the index has it
	pos   int       // and at which place there

	next   int64   // older revisions are done with
	due    []int64 // revisions that hold events for it: ascending, >= next, at most limits.due
	behind bool    // there may be more of them beyond due
	ready  bool    // is in group.ready
	gone   bool    // has been removed
}

// NewWatches makes an empty group. It must be closed.
func (s *Store) NewWatches() *Watches {
	g := &Watches{s: s, wake: make(chan struct{}, 1), byID: map[int64]*watcher{}}
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.hub.groups[g] = struct{}{}
	return g
}

// Add begins a watch under an ID that the group does not have and returns the
// store's revision at that moment. A watch from a revision that is compacted
// is told so by its first batch. The errors are [ErrClosed] and [ErrWatchExists].
func (g *Watches) Add(id int64, spec WatchSpec) (revision int64, err error) {
	if g.byID[id] != nil {
		return 0, ErrWatchExists
	}
	w := &watcher{WatchSpec: spec, id: id, group: g}
	if revision, err = g.s.hub.add(g.s, w); err != nil {
		return 0, err
	}
	return revision, nil
}

// Remove ends a watch; false says that there is none of that ID.
func (g *Watches) Remove(id int64) bool {
	w := g.byID[id]
	if w == nil {
		return false
	}
	if g.cut.w == w {
		g.cut = cutWatch{}
	}
	g.s.hub.remove(w)
	return true
}

// Has says whether there is a watch of that ID.
func (g *Watches) Has(id int64) bool { return g.byID[id] != nil }

// Len is the number of watches.
func (g *Watches) Len() int { return len(g.byID) }

// Close ends all watches of the group, which can't be used any more.
func (g *Watches) Close() {
	h := &g.s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range g.byID {
		h.lag(w, false)
		h.index.remove(w)
	}
	h.rest()
	delete(h.groups, g)
	g.byID, g.ready, g.closed = nil, nil, true
}

// Ready has a value when Poll may have something to do that it had not when it
// last said that there was no more. From the first call of Ready on, a
// goroutine of the store looks after that; who calls Poll from time to time
// needs neither.
func (g *Watches) Ready() <-chan struct{} {
	g.s.hub.await()
	return g.wake
}

// Poll does a bounded piece of work for one watch of the group, or for several
// that are told the same, and returns a batch if that gave one; more says that there
// is work left for another call. Except for reading from disk, by itself or by
// another group that is at the same place, it never waits. Errors are [ErrClosed]
// and those of the disk.
func (g *Watches) Poll() (batch *WatchBatch, more bool, err error) {
	h := &g.s.hub
	ws, t := append(g.polled[:0], g.cut.w), g.cut.task()
	if g.cut.w == nil {
		if ws, t, err = h.take(g, ws[:0]); err != nil || len(ws) == 0 {
			return nil, false, err
		}
	}
	g.polled = ws
	defer clear(ws) // watches that end meanwhile would be kept
	w := ws[0]
	p := piece{events: t.due, through: t.through, current: t.through}
	if t.due == nil {
		if p, err = g.s.past(w, t); err != nil {
			return nil, false, err
		}
	}
	batch, err = g.batch(ws, &p)
	clear(g.scratch) // it would keep pages alive
	if err != nil {
		return nil, false, err
	}
	if g.cut = (cutWatch{}); p.cut.Main != 0 {
		g.cut = cutWatch{w, p.cut}
		h.cut(w, p.through)
		return batch, true, nil
	}
	if p.compacted != 0 {
		g.Remove(w.id)
	}
	return batch, h.done(g, ws, p.through), nil
}

// batch makes one of what was found, nil if that is nothing.
func (g *Watches) batch(ws []*watcher, p *piece) (*WatchBatch, error) {
	if p.compacted == 0 && len(p.events) == 0 {
		return nil, nil
	}
	b := &WatchBatch{IDs: make([]int64, len(ws)), Compacted: p.compacted}
	for i, w := range ws {
		b.IDs[i] = w.id
	}
	if p.compacted != 0 {
		return b, nil
	}
	b.Revision, b.Events = p.current, make([]*mvccpb.Event, 0, len(p.events))
	if !ws[0].PrevKV {
		for _, e := range p.events {
			b.Events = append(b.Events, e.event())
		}
		b.Partial = p.partial()
		return b, nil
	}
	err := g.s.withPrevious(p, func(ev *mvccpb.Event) { b.Events = append(b.Events, ev) })
	b.Partial = p.partial()
	return b, err
}

// Next is Poll for those who have nothing else to do: it waits for the next
// batch. Its errors are also those of ctx.
func (g *Watches) Next(ctx context.Context) (*WatchBatch, error) {
	ready := g.Ready()
	for {
		b, more, err := g.Poll()
		if b != nil || err != nil {
			return b, err
		}
		if more {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			continue
		}
		select {
		case <-ready:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Progress returns the revision up to which the watch was given everything; ok
// is false if it is behind, starts later than that, or does not exist.
func (g *Watches) Progress(id int64) (revision int64, ok bool) {
	w := g.byID[id]
	if w == nil {
		return 0, false
	}
	return g.s.hub.progress(w)
}

// ProgressAll is Progress of all watches of the group at once. It is not ok
// while there are none.
func (g *Watches) ProgressAll() (revision int64, ok bool) {
	return g.s.hub.progress(slices.Collect(maps.Values(g.byID))...)
}

// wants says whether the event is one for w, of whatever revision.
func (w *watcher) wants(key []byte, deleted bool) bool {
	if deleted && w.NoDelete || !deleted && w.NoPut {
		return false
	}
	return spanOf(w.Key, w.End).holds(key)
}

// holds says whether key is in the span.
func (s span) holds(key []byte) bool {
	if s.single {
		return bytes.Equal(key, s.from)
	}
	return bytes.Compare(key, s.from) >= 0 && (s.open || bytes.Compare(key, s.to) < 0)
}

func (w *watcher) String() string { return fmt.Sprintf("watch %d of %q", w.id, w.Key) }
