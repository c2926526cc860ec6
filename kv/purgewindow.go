package kv

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/musterhq/muster/kv/internal/mvcc"
)

// purge deletes what a compaction at mark put out of reach.
//
// What stays is what etcd keeps: of each key the newest version at or before
// the mark, if the key is live there, everything after it, and everything of
// the mark's own revision, deletes included, for a watch that starts there.
//
// The event log names the versions that may go. It is worked through in
// windows; the records of a window are deleted with the last of its deletes,
// so that a member that starts again goes on with the window that it was at.
func (p *purger) purge(mark int64) error {
	for from := mvcc.AppendEventKey(nil, mvcc.Revision{}); from != nil; {
		w := purgeWindow{p: p, mark: mark, keys: map[string]*purgeKey{}}
		if err := w.read(from); err != nil {
			return err
		}
		if err := w.delete(); err != nil {
			return err
		}
		from = w.next
	}
	return nil
}

// purgeWindow is a part of the event log that is worked on at once.
type purgeWindow struct {
	p     *purger
	mark  int64
	keys  map[string]*purgeKey
	size  int    // estimate of the memory held; bytes
	first []byte // record read; nil: there was none
	keep  []byte // the first record that holds changes of the mark or later; nil: none does
	next  []byte // where the coming window starts; nil when this is the last
	batch *pebble.Batch
	began time.Time
	key   []byte // scratch
}

// purgeKey is what the window holds of one key, as of the mark.
type purgeKey struct {
	first   mvcc.Revision   // of its changes in the window
	newest  mvcc.Revision   // of its changes in the window
	fresh   bool            // nothing that is still there came before first
	deleted bool            // by newest
	doomed  []mvcc.Revision // superseded; oldest first
}

// read gathers records from the key on, until there is enough.
func (w *purgeWindow) read(from []byte) (err error) {
	end := mvcc.AppendEventKey(nil, mvcc.Revision{Main: w.mark + 1})
	it, err := w.p.g.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: end})
	if err != nil {
		return fmt.Errorf("read the event log: %w", err)
	}
	defer func() {
		if cerr := it.Close(); err == nil {
			err = cerr
		}
	}()
	for it.First(); it.Valid(); it.Next() {
		if err := w.p.stopping(); err != nil {
			return err
		}
		if w.size >= w.p.s.purge.window {
			w.next = bytes.Clone(it.Key())
			return nil
		}
		last, err := w.record(it)
		if err != nil {
			return err
		}
		if w.first == nil {
			w.first = bytes.Clone(it.Key())
		}
		if w.keep == nil && last >= w.mark {
			w.keep = bytes.Clone(it.Key())
		}
	}
	return it.Error()
}

func (p *purger) stopping() error {
	select {
	case <-p.quit:
		return errPurgeStopped
	default:
		return nil
	}
}

// record takes one in; last is the newest revision in it.
func (w *purgeWindow) record(it *pebble.Iterator) (last int64, err error) {
	value, err := it.ValueAndErr()
	if err != nil {
		return 0, fmt.Errorf("read the event log: %w", err)
	}
	r, ok := mvcc.ReadEvents(it.Key(), value)
	for ok {
		var e mvcc.Event
		var more bool
		if e, more, ok = r.Next(); !more {
			break
		}
		last = e.Main
		if e.Main <= w.mark {
			w.event(e)
		}
	}
	if !ok {
		return 0, fmt.Errorf("damaged store: the event log's record %x can't be read", it.Key())
	}
	return last, nil
}

func (w *purgeWindow) event(e mvcc.Event) {
	k := w.keys[text(e.Key)]
	if k == nil {
		k = &purgeKey{first: e.Revision, fresh: e.Created}
		w.keys[string(e.Key)] = k
		w.size += len(e.Key) + 160
	} else if k.newest.Main < w.mark {
		k.doomed = append(k.doomed, k.newest)
		w.size += 16
	}
	k.newest, k.deleted = e.Revision, e.Deleted
}

// delete carries the window out.
func (w *purgeWindow) delete() (err error) {
	// The database sorts versions by key: in that order each search starts
	// where the one before ended.
	it, err := w.p.g.db.NewIter(nil)
	if err != nil {
		return fmt.Errorf("find versions: %w", err)
	}
	defer func() {
		if cerr := it.Close(); err == nil {
			err = cerr
		}
		if w.batch != nil {
			closeQuietly(w.batch)
		}
	}()
	w.began = time.Now()
	for _, user := range slices.Sorted(maps.Keys(w.keys)) {
		if err := w.versions(it, []byte(user), w.keys[user]); err != nil {
			return fmt.Errorf("key %q: %w", user, err)
		}
	}
	if err := w.records(); err != nil {
		return err
	}
	return w.flush()
}

// records deletes those that name nothing for a later purge or for a watch.
func (w *purgeWindow) records() error {
	end := w.keep
	if end == nil {
		end = w.next
	}
	if w.first == nil || end == nil || bytes.Compare(w.first, end) >= 0 {
		return nil
	}
	return w.writable().DeleteRange(w.first, end, nil)
}

// versions deletes those of one key that the mark put out of reach, oldest
// first. Before the window there is at most one: the one that was current
// when the purge before this one ended.
func (w *purgeWindow) versions(it *pebble.Iterator, user []byte, k *purgeKey) error {
	prefix := mvcc.AppendPrefix(w.key[:0], user)
	w.key = prefix
	if !k.fresh {
		if err := w.before(it, k.first); err != nil {
			return err
		}
	}
	if k.deleted && k.newest.Main < w.mark {
		k.doomed = append(k.doomed, k.newest)
	}
	for _, rev := range k.doomed {
		w.key = mvcc.AppendSuffix(w.key[:len(prefix)], rev)
		if err := w.remove(w.key); err != nil {
			return err
		}
	}
	return nil
}

// before deletes the version that the one at first has superseded, of the key
// whose prefix is in w.key. It is found in the tables, a block for each key that
// is not near the last: keys that first created are spared that. What came
// before such a one was a tombstone, which a window up to this one deletes.
func (w *purgeWindow) before(it *pebble.Iterator, first mvcc.Revision) error {
	w.key = mvcc.AppendSuffix(w.key, first)
	found := it.SeekPrefixGE(w.key)
	if found && bytes.Equal(it.Key(), w.key) {
		found = it.Next()
	}
	if !found {
		return it.Error()
	}
	_, _, rev, ok := mvcc.SplitVersion(it.Key(), nil)
	if !ok {
		return fmt.Errorf("damaged store: %x is no version of a key", it.Key())
	}
	if rev.Main >= w.mark {
		return nil
	}
	return w.remove(it.Key())
}

func (w *purgeWindow) writable() *pebble.Batch {
	if w.batch == nil {
		w.batch = w.p.g.db.NewBatch()
	}
	return w.batch
}

func (w *purgeWindow) remove(version []byte) error {
	if err := w.writable().Delete(version, nil); err != nil {
		return err
	}
	if w.batch.Len() < w.p.s.purge.batch {
		return nil
	}
	return w.flush()
}

// flush writes the batch, and rests.
func (w *purgeWindow) flush() error {
	if w.batch == nil {
		return nil
	}
	if step := w.p.s.purge.step; step != nil {
		if err := step(w.p.quit); err != nil {
			return err
		}
	}
	if err := w.p.s.failure(); err != nil {
		return errPurgeStopped
	}
	if err := w.p.g.db.Apply(w.batch, pebble.NoSync); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	closeQuietly(w.batch)
	w.batch = nil
	err := w.p.pause(time.Since(w.began))
	w.began = time.Now()
	return err
}
