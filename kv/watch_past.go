package kv

import (
	"bytes"
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/musterhq/muster/kv/internal/mvcc"
)

// watchLimits bound memory and work. Tests make them small.
type watchLimits struct {
	inbox     int // bytes of changes that wait to be noted; if there are more, every watch searches for itself
	tail      int // bytes of the newest changes that are kept after that, beside the page of the newest
	few       int // watches whose revisions Apply itself notes
	due       int // revisions with events that a watch may lag before it searches for them instead
	alike     int // watches that one batch is for
	revisions int // in a batch
	bytes     int // of a batch; the revision that reaches it is the last
	events    int // looked at in one piece of work, likewise
	part      int // bytes of a batch, with the versions before, at which a revision is divided
}

func defaultWatchLimits() watchLimits {
	return watchLimits{
		inbox: 16 << 20, tail: 8 << 20, few: 2000, due: 64, alike: 64,
		revisions: 1000, bytes: 1 << 20, events: 20_000, part: 16 << 20,
	}
}

// piece is what one piece of work found.
type piece struct {
	events    []*pageEvent
	through   int64         // all that the watch wants up to here is in events
	current   int64         // revision of the store
	cut       mvcc.Revision // not 0: so is what it wants of the next revision, before this change
	compacted int64         // not 0: history that it wants is gone up to here, and nothing was found

	limits                 *watchLimits
	revisions, bytes, seen int
}

// full says that p should not take on another revision.
func (p *piece) full() bool {
	return p.revisions >= p.limits.revisions || p.bytes >= p.limits.bytes || p.seen >= p.limits.events
}

func (p *piece) add(e *pageEvent) {
	if n := len(p.events); n == 0 || p.events[n-1].rev != e.rev {
		p.revisions++
	}
	p.events, p.bytes = append(p.events, e), p.bytes+e.size()
}

// past looks for what w missed: in the pages of the task, or on disk.
func (s *Store) past(w *watcher, t task) (p piece, err error) {
	g, err := s.acquire()
	if err != nil {
		return piece{}, err
	}
	defer g.release()
	if p.limits = &s.hub.limits; t.pages != nil {
		p.inPages(w, t)
	} else {
		r := pastReader{db: g.db, state: &g.state, chunks: &s.hub.chunks, w: w, from: mvcc.Revision{Main: t.from, Sub: t.sub}, p: p}
		err = r.read()
		p = r.p
	}
	// Only now: what was compacted during the reading may have been purged
	// from under it.
	if c := g.state.Load().compacted; t.from < c {
		return piece{compacted: c, through: t.from - 1}, nil
	}
	if err != nil {
		return piece{}, fmt.Errorf("kv: watch of %q from revision %d: %w", w.Key, t.from, err)
	}
	return p, nil
}

func (p *piece) inPages(w *watcher, t task) {
	p.through, p.current = t.through, t.through
	for _, page := range t.pages {
		for i := page.from(t.from); i < len(page.events); i++ {
			e := &page.events[i]
			if (i == 0 || page.events[i-1].rev != e.rev) && p.full() {
				p.through = e.rev - 1
				return
			}
			p.seen++
			if w.wants(e.key, e.deleted()) {
				p.add(e)
			}
		}
	}
}

// pastReader reads what a watch wants of history that lies on disk.
type pastReader struct {
	db     *pebble.DB
	state  *atomic.Pointer[state]
	chunks *chunks
	w      *watcher
	from   mvcc.Revision

	p    piece
	view view
}

func (r *pastReader) read() (err error) {
	st := r.state.Load()
	r.p.through, r.p.current = st.current, st.current
	if r.from.Main < st.compacted || r.from.Main > st.current {
		return nil
	}
	r.view = view{db: r.db, rev: st.current}
	if s := spanOf(r.w.Key, r.w.End); s.single {
		return r.readKey(s.from)
	}
	defer func() {
		if cerr := r.view.close(); err == nil {
			err = cerr
		}
	}()
	for at, more := r.from, true; more && at.Main <= st.current; {
		c, err := r.chunks.get(at, r.w, func() (*chunk, error) { return readChunk(r.db, at, st.current, r.p.limits) })
		if err != nil {
			return err
		}
		if more, err = r.chunk(c, at); err != nil {
			return err
		}
		at = c.next
	}
	return nil
}

// readKey reads the versions of a single key, which lie side by side: a watch
// of a quiet key passes over all that happened to others meanwhile.
func (r *pastReader) readKey(key []byte) (err error) {
	prefix := mvcc.AppendPrefix(nil, key)
	before := mvcc.Revision{Main: r.from.Main - 1, Sub: mvcc.Newest}
	if r.from.Sub > 0 {
		before = mvcc.Revision{Main: r.from.Main, Sub: r.from.Sub - 1}
	}
	end := mvcc.AppendSuffix(bytes.Clone(prefix), before)
	it, err := r.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: end})
	if err != nil {
		return err
	}
	defer func() {
		if cerr := it.Close(); err == nil {
			err = cerr
		}
	}()
	last := int64(0)
	for it.Last(); it.Valid(); it.Prev() { // from older ones to newer ones
		v, rev, err := r.view.decode(it)
		if err != nil {
			return err
		}
		if rev.Main > r.p.through {
			return nil
		}
		if rev.Main != last && r.p.full() {
			r.p.through = rev.Main - 1
			return nil
		}
		r.p.seen, last = r.p.seen+1, rev.Main
		if deleted := v.meta.Version == 0; r.w.wants(key, deleted) {
			r.p.add(&pageEvent{key: r.w.Key, value: bytes.Clone(v.value), rev: rev.Main, sub: rev.Sub, meta: v.meta})
		}
	}
	return it.Error()
}

// chunk takes what the watch wants of one, from a revision in it on; more is false
// when the piece ends in it.
func (r *pastReader) chunk(c *chunk, from mvcc.Revision) (more bool, err error) {
	sp, n := spanOf(r.w.Key, r.w.End), c.at(from)
	if c.shared.Load() {
		if list, ok := c.of(sp, n); ok {
			for _, i := range list {
				r.p.seen += int(i) - n
				n = int(i)
				if more, err := r.event(c, &c.events[i]); err != nil || !more {
					return false, err
				}
			}
			return r.passed(c, n), nil
		}
	}
	for ; n < len(c.events); n++ {
		if more, err := r.event(c, &c.events[n]); err != nil || !more {
			return false, err
		}
		r.p.seen++
	}
	return r.passed(c, n), nil
}

// passed is the end of a chunk, of which the events from the n-th on were not
// wanted; more is false when the piece ends with it.
func (r *pastReader) passed(c *chunk, n int) (more bool) {
	r.p.seen += len(c.events) - n
	// What was not of a revision that goes on, nor of the one that it began in.
	if k := len(r.p.events); !r.p.full() || c.next.Main <= r.from.Main || k > 0 && r.p.events[k-1].rev == c.next.Main || c.next.Main > r.p.through {
		return true
	}
	r.p.through = c.next.Main - 1
	return false
}

// event takes one of the log, if the watch wants it, with the version that it
// names; more is false when the piece ends before it.
func (r *pastReader) event(c *chunk, e *chunkEvent) (more bool, err error) {
	if e.Main > r.p.through {
		return false, nil
	}
	k := len(r.p.events)
	if e.Main > r.from.Main && (k == 0 || r.p.events[k-1].rev != e.Main) && r.p.full() {
		r.p.through = e.Main - 1
		return false, nil
	}
	if !r.w.wants(e.Key, e.Deleted) {
		return true, nil
	}
	if r.p.bytes >= r.p.limits.part {
		r.p.cut, r.p.through = e.Revision, e.Main-1
		return false, nil
	}
	found := e.found.Load()
	if found == nil {
		if found, err = r.look(&e.Event); err != nil {
			return false, err
		}
		if c.shared.Load() && c.room.Add(-int64(found.size())) >= 0 {
			e.found.Store(found)
		}
	}
	r.p.add(found)
	return true, nil
}

// look makes an event of one of the log, with the version that it names.
func (r *pastReader) look(e *mvcc.Event) (*pageEvent, error) {
	found := &pageEvent{key: bytes.Clone(e.Key), rev: e.Main, sub: e.Sub}
	if e.Deleted {
		return found, nil
	}
	v, ok, err := r.view.version(e.Key, e.Revision)
	if err != nil {
		return nil, err
	}
	if !ok {
		// A purge keeps all of the mark's own revision, and one that would take what
		// is read here waits for the reader (see era).
		return nil, fmt.Errorf("damaged store: the event log has a put of key %q at revision %d, but there is no such version", e.Key, e.Main)
	}
	found.value, found.meta = bytes.Clone(v.value), v.meta
	return found, nil
}

// version finds exactly that version of key.
func (v *view) version(key []byte, rev mvcc.Revision) (_ item, _ bool, err error) {
	if v.point == nil {
		if v.point, err = v.db.NewIter(nil); err != nil {
			return item{}, false, err
		}
	}
	v.seek = mvcc.AppendSuffix(mvcc.AppendPrefix(v.seek[:0], key), rev)
	if !v.point.SeekPrefixGE(v.seek) {
		return item{}, false, v.point.Error()
	}
	it, at, err := v.decode(v.point)
	return it, err == nil && at == rev && it.meta.Version > 0, err
}
