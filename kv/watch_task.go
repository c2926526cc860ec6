package kv

import "slices"

// task is what there is to do for one watch.
type task struct {
	due       []*pageEvent // events to give,
	revisions int          // of so many revisions that are due; if there are none:
	from      int64        // the first revision to look at,
	sub       uint32       // but not what came before this in it,
	pages     []*page      // in these pages, or on disk if there are none,
	through   int64        // and the last one, unless it is read from disk
}

// take picks the next watch of g that has something to do, and with it those after it
// that are told the same. It appends them to ws, and nothing if there is none.
func (h *hub) take(g *Watches, ws []*watcher) ([]*watcher, task, error) {
	h.mu.Lock()
	defer h.unlock()
	if h.closed || g.closed {
		return ws, task{}, ErrClosed
	}
	h.dispatch()
	for len(g.ready) > 0 {
		w := g.next()
		if w.gone {
			continue
		}
		t, ok := h.task(w)
		if !ok {
			continue
		}
		if ws = append(ws, w); t.due != nil {
			ws = h.alike(g, ws)
		}
		for _, w := range ws {
			w.due = slices.Delete(w.due, 0, t.revisions)
		}
		return ws, t, nil
	}
	g.ready = nil
	return ws, task{}, nil
}

// next takes the first watch off those that are ready.
func (g *Watches) next() *watcher {
	w := g.ready[0]
	g.ready = g.ready[1:]
	w.ready = false
	return w
}

// alike appends those whose turn is next and that are due the same as the first of ws.
// What comes with versions before is for one alone: it may have to be told in parts.
func (h *hub) alike(g *Watches, ws []*watcher) []*watcher {
	w := ws[0]
	for len(g.ready) > 0 && len(ws) < h.limits.alike {
		v := g.ready[0]
		if v.set != w.set || v.PrevKV || w.PrevKV || v.NoPut != w.NoPut || v.NoDelete != w.NoDelete || !slices.Equal(v.due, w.due) {
			break
		}
		ws = append(ws, g.next())
	}
	return ws
}

func (h *hub) task(w *watcher) (task, bool) {
	if len(w.due) > 0 {
		if w.due[0] > h.tail.gone {
			return h.dueTask(w), true
		}
		w.due = nil // it lies on disk alone by now
		h.lag(w, true)
	}
	if w.next > h.tail.last {
		h.lag(w, false)
	}
	if !w.behind {
		return task{}, false
	}
	t := task{from: w.next}
	if w.next > h.tail.gone {
		t.pages, t.through = h.tail.since(w.next, h.limits.events)
	}
	return t, true
}

// dueTask gathers the events of due revisions, of as many as fit into a batch.
func (h *hub) dueTask(w *watcher) task {
	t := task{due: w.group.scratch[:0]}
	bytes := 0
	for _, rev := range w.due {
		for e := range h.tail.at(rev) {
			if w.wants(e.key, e.deleted()) {
				t.due = append(t.due, e)
				bytes += e.size()
			}
		}
		t.through = rev
		t.revisions++
		if bytes >= h.limits.bytes {
			break
		}
	}
	w.group.scratch = t.due
	return t
}

// done says that the watches were given everything through that revision; more, that
// there is something left to do for their group, also of what came meanwhile: while
// one watch is told in parts nobody else asks (see cutWatch).
func (h *hub) done(g *Watches, ws []*watcher, through int64) (more bool) {
	h.mu.Lock()
	defer h.unlock()
	for _, w := range ws {
		if w.gone {
			continue
		}
		w.next = max(w.next, through+1)
		if w.next > h.tail.last {
			h.lag(w, false)
		}
		if w.behind || len(w.due) > 0 {
			h.enqueue(w)
		}
	}
	h.dispatch()
	return len(g.ready) > 0
}

// lag says whether w is behind. When none is, no history is kept in memory.
func (h *hub) lag(w *watcher, behind bool) {
	switch {
	case behind && !w.behind:
		h.lagging++
	case !behind && w.behind:
		if h.lagging--; h.lagging == 0 {
			h.chunks.clear()
		}
	}
	w.behind = behind
}

// progress is the revision up to which each of the watches has been given
// everything; ok is false if there is none, or one that was not, or that
// starts later.
func (h *hub) progress(ws ...*watcher) (revision int64, ok bool) {
	h.mu.Lock()
	defer h.unlock()
	h.dispatch()
	for _, w := range ws {
		if w.behind || len(w.due) > 0 || w.From > h.tail.last {
			return 0, false
		}
	}
	return h.tail.last, len(ws) > 0
}
