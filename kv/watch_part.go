package kv

import "github.com/musterhq/muster/kv/internal/mvcc"

// cutWatch is a watch that was given a part of what it wants of one revision.
// Nothing else is done for its group before it has the rest: the parts come one
// after the other. They are read from disk; who has memory for all of them needs
// no parts.
type cutWatch struct {
	w  *watcher      // nil: there is none
	at mvcc.Revision // of the change that is next
}

// task goes on where the watch was cut.
func (c cutWatch) task() task { return task{from: c.at.Main, sub: c.at.Sub} }

// cutBefore leaves all from the n-th event on for another piece, which is to
// begin there.
func (p *piece) cutBefore(n int) {
	e := p.events[n]
	p.cut = mvcc.Revision{Main: e.rev, Sub: e.sub}
	p.events, p.through = p.events[:n], e.rev-1
}

// partial says that the last revision of the events goes on in another piece.
func (p *piece) partial() bool {
	n := len(p.events)
	return n > 0 && p.events[n-1].rev == p.cut.Main
}

// cut notes that w was given a part of the revision after through. What was due
// after that is found again by searching for it.
func (h *hub) cut(w *watcher, through int64) {
	h.mu.Lock()
	defer h.unlock()
	w.next = max(w.next, through+1)
	w.due = nil
	h.lag(w, true)
}
