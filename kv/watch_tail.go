package kv

import (
	"iter"
	"slices"
	"sort"
	"sync/atomic"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/musterhq/muster/kv/internal/mvcc"
)

// page is what one Apply call changed, in order. It is never changed.
type page struct {
	events []pageEvent // at least one; whole revisions
	bytes  int         // about what it takes of memory
}

// pageEvent is one change, and the event made of it, which all watches share.
type pageEvent struct {
	key, value []byte
	rev        int64
	sub        uint32
	meta       mvcc.Meta
	plain      atomic.Pointer[mvccpb.Event]
	withPrev   atomic.Pointer[mvccpb.Event]
}

// pageEventBytes is about what an event takes beside key and value, with the
// messages that are made of it once it is told.
const pageEventBytes = 308

// newPage copies changes, whose bytes are somebody else's; nil of none.
func newPage(changes []change) *page {
	if len(changes) == 0 {
		return nil
	}
	p := &page{events: make([]pageEvent, len(changes))}
	n := pageBytes(changes)
	bytes := make([]byte, 0, n-len(changes)*pageEventBytes)
	keep := func(b []byte) []byte {
		at := len(bytes)
		bytes = append(bytes, b...)
		return bytes[at:len(bytes):len(bytes)]
	}
	for i := range changes {
		c, e := &changes[i], &p.events[i]
		e.key, e.value, e.rev, e.sub, e.meta = keep(c.key), keep(c.value), c.rev.Main, c.rev.Sub, c.meta
	}
	p.bytes = n
	return p
}

// pageBytes is the memory of a page of changes.
func pageBytes(changes []change) int {
	n := len(changes) * pageEventBytes
	for i := range changes {
		n += len(changes[i].key) + len(changes[i].value)
	}
	return n
}

func (p *page) first() int64 { return p.events[0].rev }
func (p *page) last() int64  { return p.events[len(p.events)-1].rev }

// from is the index of the first event of a revision that is not below rev.
func (p *page) from(rev int64) int {
	return sort.Search(len(p.events), func(i int) bool { return p.events[i].rev >= rev })
}

func (e *pageEvent) deleted() bool { return e.meta.Version == 0 }
func (e *pageEvent) size() int     { return len(e.key) + len(e.value) + pageEventBytes }

// event is the one without a version before it.
func (e *pageEvent) event() *mvccpb.Event {
	if ev := e.plain.Load(); ev != nil {
		return ev
	}
	ev := &mvccpb.Event{Type: mvccpb.Event_PUT, Kv: &mvccpb.KeyValue{Key: e.key, ModRevision: e.rev}}
	if e.deleted() {
		ev.Type = mvccpb.Event_DELETE
	} else {
		ev.Kv.Value, ev.Kv.CreateRevision, ev.Kv.Version, ev.Kv.Lease = e.value, e.meta.Create, e.meta.Version, e.meta.Lease
	}
	if !e.plain.CompareAndSwap(nil, ev) {
		return e.plain.Load()
	}
	return ev
}

// tail holds the newest changes, and no hole: all of (gone, last].
type tail struct {
	pages      []*page
	bytes      int
	gone, last int64
}

func (t *tail) reset(last int64) {
	t.pages, t.bytes, t.gone, t.last = nil, 0, last, last
}

// add appends a page and drops the oldest beyond limit bytes. The new one stays.
func (t *tail) add(p *page, limit int) {
	t.pages, t.bytes, t.last = append(t.pages, p), t.bytes+p.bytes, p.last()
	for len(t.pages) > 1 && t.bytes > limit {
		old := t.pages[0]
		t.pages[0] = nil
		t.pages, t.bytes, t.gone = t.pages[1:], t.bytes-old.bytes, old.last()
	}
}

// page is the index of the first page that ends at rev or later.
func (t *tail) page(rev int64) int {
	return sort.Search(len(t.pages), func(i int) bool { return t.pages[i].last() >= rev })
}

// at yields the events of one revision of the tail.
func (t *tail) at(rev int64) iter.Seq[*pageEvent] {
	return func(yield func(*pageEvent) bool) {
		i := t.page(rev)
		if i == len(t.pages) {
			return
		}
		events := t.pages[i].events
		for j := t.pages[i].from(rev); j < len(events) && events[j].rev == rev && yield(&events[j]); j++ {
		}
	}
}

// since returns the pages that hold revisions from rev on, up to the one with
// which they hold so many events, and the revision that they end with.
func (t *tail) since(rev int64, events int) (pages []*page, through int64) {
	i := t.page(rev)
	j, n := i, 0
	for ; j < len(t.pages) && n < events; j++ {
		n += len(t.pages[j].events)
	}
	if pages = slices.Clone(t.pages[i:j]); j < len(t.pages) {
		return pages, pages[len(pages)-1].last()
	}
	return pages, t.last
}
