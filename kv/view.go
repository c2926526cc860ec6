package kv

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/musterhq/muster/kv/internal/mvcc"
)

// item is one live key at one revision. Its slices are valid until the view
// or the cursor that gave it is used again; copy what is to stay.
type item struct {
	key, value []byte
	mod        int64
	meta       mvcc.Meta
}

// view is what one reader, or one Apply call, sees: a database, the versions
// up to a revision in it, and over them what the Apply call itself wrote.
//
// It belongs to one goroutine. The iterators show one moment of the database,
// which is at or after rev; versions after rev are skipped, so that a view is
// consistent without any lock.
type view struct {
	db        *pebble.DB
	own       *pending // nil for readers
	hold      hold     // the reader's; none for the applier
	rev       int64    // newest main revision that may be read
	compacted int64    // older ones than this may not
	onDisk    bool     // see what is durable only, and expect most keys to be absent
	left      int64    // bytes of keys and values that the reader's reply still takes

	point *pebble.Iterator // for get; opened on first use
	scratch
}

// scratch is memory that a view uses again and again, each for a moment only.
type scratch struct {
	seek         []byte
	lower, upper []byte
	unesc        []byte // a user key without its escapes
}

// views keep the scratch of readers for those to come.
var views = sync.Pool{New: func() any { return &view{} }}

// readView is a view of the present for one reader, who gives it back with
// recycle.
func readView(h hold) *view {
	v, st := views.Get().(*view), h.state.Load()
	*v = view{db: h.db, hold: h, rev: st.current, compacted: st.compacted, left: maxAnswer, scratch: v.scratch}
	return v
}

// recycle is the end of a closed view, and of all items that it gave.
func (v *view) recycle() {
	v.scratch.trim()
	*v = view{scratch: v.scratch}
	views.Put(v)
}

// maxScratch bytes are kept; keys may be larger.
const maxScratch = 64 << 10

func (s *scratch) trim() {
	if cap(s.seek)+cap(s.lower)+cap(s.upper)+cap(s.unesc) > maxScratch {
		*s = scratch{}
	}
}

// close lets go of the database. The view may be used again afterwards.
func (v *view) close() error {
	if v.point == nil {
		return nil
	}
	err := v.point.Close()
	v.point = nil
	return err
}

// get finds key as of revision rev.
func (v *view) get(key []byte, rev int64) (item, bool, error) {
	if v.own != nil {
		if c := v.own.at(key, rev); c != nil {
			return c.item(), c.meta.Version > 0, nil
		}
	}
	if v.point == nil {
		it, err := v.db.NewIter(&pebble.IterOptions{OnlyReadGuaranteedDurable: v.onDisk, UseL6Filters: v.onDisk})
		if err != nil {
			return item{}, false, fmt.Errorf("read key %q: %w", key, err)
		}
		v.point = it
	}
	v.seek = mvcc.AppendPrefix(v.seek[:0], key)
	v.seek = mvcc.AppendSuffix(v.seek, mvcc.Revision{Main: rev, Sub: mvcc.Newest})
	if !v.point.SeekPrefixGE(v.seek) {
		if err := v.point.Error(); err != nil {
			return item{}, false, fmt.Errorf("read key %q: %w", key, err)
		}
		return item{}, false, nil
	}
	it, _, err := v.decode(v.point)
	if err != nil {
		return item{}, false, fmt.Errorf("read key %q: %w", key, err)
	}
	return it, it.meta.Version > 0, nil
}

// decode reads the version under the iterator; a tombstone has Version 0.
func (v *view) decode(it *pebble.Iterator) (item, mvcc.Revision, error) {
	user, buf, rev, ok := mvcc.SplitVersion(it.Key(), v.unesc)
	v.unesc = buf
	if !ok {
		return item{}, rev, fmt.Errorf("damaged store: %x is no version of a key", it.Key())
	}
	stored, err := it.ValueAndErr()
	if err != nil {
		return item{}, rev, err
	}
	meta, value, ok := mvcc.SplitValue(stored, rev.Main)
	if !ok {
		return item{}, rev, fmt.Errorf("damaged store: key %q at revision %d has no valid value", user, rev.Main)
	}
	return item{key: user, value: value, mod: rev.Main, meta: meta}, rev, nil
}

// scan visits the live keys of the span as of revision rev, in the order of
// keys, until visit says no more or fails.
func (v *view) scan(s span, rev int64, visit func(item) (more bool, err error)) error {
	if s.single {
		it, ok, err := v.get(s.from, rev)
		if err != nil || !ok {
			return err
		}
		_, err = visit(it)
		return err
	}
	if !s.open && bytes.Compare(s.from, s.to) >= 0 {
		return nil
	}
	c := cursor{v: v, rev: rev}
	if err := c.open(s); err != nil {
		return err
	}
	err := v.merge(&c, s, rev, visit)
	if cerr := c.it.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("scan from %q: %w", s.from, cerr)
	}
	return err
}

// merge visits the union of the cursor's keys and our own, where ours win.
func (v *view) merge(c *cursor, s span, rev int64, visit func(item) (bool, error)) error {
	var own []int32
	if v.own != nil {
		own = v.own.within(s)
	}
	for c.ok || len(own) > 0 {
		order := -1
		if len(own) > 0 {
			order = 1
			if c.ok {
				order = bytes.Compare(c.cur.key, v.own.changes[own[0]].key)
			}
		}
		it, live := c.cur, true
		if order >= 0 {
			ours := v.own.at(v.own.changes[own[0]].key, rev)
			own = own[1:]
			if ours != nil {
				it, live = ours.item(), ours.meta.Version > 0
			} else if order > 0 {
				continue // the key is newer than rev
			}
		}
		if live {
			if more, err := visit(it); err != nil || !more {
				return err
			}
		}
		if order <= 0 {
			c.next()
		}
	}
	return c.err
}

func (c *change) item() item {
	return item{key: c.key, value: c.value, mod: c.rev.Main, meta: c.meta}
}

// cursor walks the live keys of the database at one revision.
type cursor struct {
	v   *view
	it  *pebble.Iterator
	rev int64
	cur item
	ok  bool // cur is valid
	err error
}

// open sets the cursor on the first key of the span. The caller closes c.it.
func (c *cursor) open(s span) error {
	v := c.v
	v.lower, v.upper = s.appendBounds(v.lower[:0], v.upper[:0])
	it, err := v.db.NewIter(&pebble.IterOptions{LowerBound: v.lower, UpperBound: v.upper}) // which copies them
	if err != nil {
		return fmt.Errorf("scan from %q: %w", s.from, err)
	}
	c.it = it
	it.First()
	c.settle()
	return nil
}

func (c *cursor) next() {
	if c.ok {
		c.skipKey()
		c.settle()
	}
}

// settle moves on to the next version that is live at the cursor's revision,
// which may be the one that it stands on.
func (c *cursor) settle() {
	c.ok = false
	for c.it.Valid() {
		cur, rev, err := c.v.decode(c.it)
		if err != nil {
			c.err = err
			return
		}
		switch {
		case rev.Main > c.rev:
			c.skipNewer()
		case cur.meta.Version == 0:
			c.skipKey()
		default:
			c.cur, c.ok = cur, true
			return
		}
	}
	c.err = c.it.Error()
}

// skipNewer leaves the versions of the current key behind that are newer than the
// cursor's revision. While all keys are being deleted each has one, so that one
// plain step is tried first.
func (c *cursor) skipNewer() {
	seek := append(c.v.seek[:0], mvcc.PrefixOf(c.it.Key())...)
	seek = mvcc.AppendSuffix(seek, mvcc.Revision{Main: c.rev, Sub: mvcc.Newest})
	c.v.seek = seek
	if c.it.Next() && bytes.Compare(c.it.Key(), seek) < 0 {
		c.it.SeekGE(seek)
	}
}

// skipKey leaves the other versions of the current key behind. Most keys have
// few, so that one plain step is tried first.
func (c *cursor) skipKey() {
	prefix := append(c.v.seek[:0], mvcc.PrefixOf(c.it.Key())...)
	c.v.seek = prefix
	if c.it.Next() && len(c.it.Key()) > len(prefix) && bytes.HasPrefix(c.it.Key(), prefix) {
		c.it.NextPrefix()
	}
}
