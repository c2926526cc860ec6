package kv

import (
	"maps"
	"slices"
	"sync"
)

// hub leads what is committed to the watches that it is for.
//
// Apply only lays a page into the inbox, under a lock of its own that nobody
// holds for long. Whoever comes next, a group that is polled, the hub's own
// goroutine, or Apply itself if that is little work and it need not wait, carries
// it from there to the tail, notes its revisions with the watches that want
// them, and wakes the groups of those.
//
// Exactness rests on one number, watcher.next: an event is given to a watch if
// its revision is not below, and next moves past it then. Where the event came
// from, and whether it comes again, does not matter.
type hub struct {
	limits watchLimits // not changed
	in     inbox
	chunks chunks        // of history that watches are told
	kick   chan struct{} // the inbox is not empty; for the goroutine

	mu      sync.Mutex // guards what follows, and much of Watches and watcher; never held over I/O
	tail    tail
	index   watchIndex
	groups  map[*Watches]struct{} // all that are not closed
	toWake  []*Watches
	lagging int // watches that are behind
	closed  bool
	stop    chan struct{} // closed to end the goroutine; nil while there is none
	running sync.WaitGroup
}

func (h *hub) init() {
	h.kick = make(chan struct{}, 1)
	h.limits = defaultWatchLimits()
	h.groups, h.index = map[*Watches]struct{}{}, newWatchIndex()
}

// committed tells of the changes of one Apply call, after readers see them; all
// says that these are all of them. Without watches it costs one lock that nobody
// else wants.
func (h *hub) committed(changes []change, all bool, current int64) {
	in, p, lost := &h.in, (*page)(nil), false
	if in.on.Load() {
		if lost = !all || pageBytes(changes) > h.limits.inbox; !lost {
			p = newPage(changes)
		}
	}
	in.mu.Lock()
	if p == nil && !lost && in.on.Load() { // it began a moment ago
		if lost = !all; all {
			p = newPage(changes)
		}
	}
	in.last = current
	if p != nil {
		in.put(p, h.limits.inbox)
	}
	if lost {
		in.lose()
	}
	in.mu.Unlock()
	if (p != nil || lost) && !h.tryDispatch() {
		select {
		case h.kick <- struct{}{}:
		default:
		}
	}
}

// tryDispatch dispatches in Apply, if nobody else is at it and watches are few:
// their events are then on their way before the answers to the writes are, and
// no goroutine had to be woken in between.
func (h *hub) tryDispatch() bool {
	if !h.mu.TryLock() {
		return false
	}
	defer h.unlock()
	if len(h.index.all) > h.limits.few {
		return false
	}
	h.dispatch()
	return true
}

// reset begins anew with a database that is at revision current. Every watch
// looks for itself what it lacks.
func (h *hub) reset(current int64) {
	h.mu.Lock()
	defer h.unlock()
	h.in.mu.Lock()
	h.in.pages, h.in.bytes, h.in.lost, h.in.last = nil, 0, false, current
	h.in.mu.Unlock()
	h.tail.reset(current)
	h.scatter()
}

// scatter has every watch search for what may be there and was not noted.
func (h *hub) scatter() {
	for g := range h.groups {
		for _, w := range g.byID {
			w.due = nil
			h.lag(w, true)
			h.enqueue(w)
		}
	}
}

// dispatch carries the pages of the inbox to the tail.
func (h *hub) dispatch() {
	pages, last, lost := h.in.take()
	if lost {
		from := last
		if len(pages) > 0 {
			from = pages[0].first() - 1
		}
		h.tail.reset(from)
		h.scatter()
	}
	for _, p := range pages {
		for i := range p.events {
			e := &p.events[i]
			for set := range h.index.at(e.key) {
				for _, w := range set.watchers {
					h.note(w, e)
				}
			}
		}
		h.tail.add(p, h.limits.tail)
	}
	h.tail.last = last
}

// note remembers that w has to be given e.
func (h *hub) note(w *watcher, e *pageEvent) {
	if w.behind || e.rev < w.next || e.deleted() && w.NoDelete || !e.deleted() && w.NoPut {
		return
	}
	switch n := len(w.due); {
	case n > 0 && w.due[n-1] == e.rev:
		return
	case n == h.limits.due:
		h.lag(w, true)
	default:
		w.due = append(w.due, e.rev)
	}
	h.enqueue(w)
}

func (h *hub) enqueue(w *watcher) {
	if w.ready {
		return
	}
	w.ready = true
	g := w.group
	g.ready = append(g.ready, w)
	if !g.told {
		g.told = true
		h.toWake = append(h.toWake, g)
	}
}

// unlock lets go of mu and wakes those whose turn it is.
func (h *hub) unlock() {
	groups := h.toWake
	h.toWake = nil
	for _, g := range groups {
		g.told = false
	}
	h.mu.Unlock()
	for _, g := range groups {
		select {
		case g.wake <- struct{}{}:
		default:
		}
	}
}

// add begins w.
func (h *hub) add(s *Store, w *watcher) (revision int64, err error) {
	live, err := s.acquire()
	if err != nil {
		return 0, err
	}
	revision = live.state.Load().current
	live.release()
	h.mu.Lock()
	defer h.unlock()
	if h.closed || w.group.closed {
		return 0, ErrClosed
	}
	if !h.in.on.Load() {
		h.tail.reset(h.in.restart(true))
	}
	if w.next = w.From; w.next <= 0 {
		w.next = revision + 1
	}
	w.group.byID[w.id] = w
	h.index.add(w)
	if w.next <= h.tail.last {
		h.lag(w, true)
		h.enqueue(w)
	}
	return revision, nil
}

func (h *hub) remove(w *watcher) {
	h.mu.Lock()
	defer h.unlock()
	if w.group.closed {
		return
	}
	w.gone = true
	h.lag(w, false)
	delete(w.group.byID, w.id)
	h.index.remove(w)
	h.rest()
}

// rest stops the pages when nobody watches.
func (h *hub) rest() {
	if len(h.index.all) == 0 && h.in.on.Load() {
		h.tail.reset(h.in.restart(false))
	}
}

// await starts the goroutine that wakes groups.
func (h *hub) await() {
	h.mu.Lock()
	defer h.unlock()
	if h.closed || h.stop != nil {
		return
	}
	stop := make(chan struct{})
	h.stop = stop
	h.running.Go(func() {
		for {
			select {
			case <-h.kick:
				h.mu.Lock()
				h.dispatch()
				h.unlock()
			case <-stop:
				return
			}
		}
	})
}

// close ends the goroutine and has every group find out.
func (h *hub) close() {
	h.mu.Lock()
	if !h.closed {
		h.closed = true
		if h.stop != nil {
			close(h.stop)
		}
		h.toWake = slices.Collect(maps.Keys(h.groups))
	}
	h.unlock()
	h.running.Wait()
}

// WatchStats counts what watches at one moment.
type WatchStats struct {
	Groups  int // that are not closed
	Watches int
	Behind  int // watches that were not told everything yet
}

// WatchStats goes through all watches: it is for a scrape, not for a hot path.
func (s *Store) WatchStats() WatchStats {
	h := &s.hub
	h.mu.Lock()
	defer h.unlock()
	h.dispatch()
	st := WatchStats{Groups: len(h.groups), Watches: len(h.index.all)}
	for w := range h.index.all {
		if w.behind || len(w.due) > 0 {
			st.Behind++
		}
	}
	return st
}
