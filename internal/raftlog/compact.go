package raftlog

import (
	"errors"
	"fmt"
)

// Compact forgets the entries up to through; its term is kept. Nothing happens
// when they are forgotten already; an index beyond LastIndex is an error.
//
// Only whole segments are dropped. When one can be, the new mark is first
// made durable; else it lives in memory, and the next Open may come up with
// the older FirstIndex, entries included. The caller is that of Append. An
// error that is not [ErrFailed] means that a file could not be removed: the
// log is sound, and the next Open tries again.
func (l *Log) Compact(through uint64) error {
	if err := l.failure(); err != nil {
		return err
	}
	if through <= l.x.mark.Index {
		return nil
	}
	if through > l.x.last() {
		return fmt.Errorf("compact raft log through %d: its last index is %d", through, l.x.last())
	}
	m := Mark{Index: through, Term: l.x.term(through)}
	needed := l.w.seg.number
	if through < l.x.last() {
		needed = l.x.at(through + 1).seg
	}
	if l.segments[0].number < needed {
		if err := l.storeMark(m); err != nil {
			return err
		}
	}
	l.mu.Lock()
	err := l.x.compact(m)
	l.cache.drop(through)
	l.mu.Unlock()
	if err != nil {
		panic("raftlog: checked compaction does not fit: " + err.Error())
	}
	return l.drop(needed)
}

// storeMark makes m durable.
func (l *Log) storeMark(m Mark) error {
	l.buf = appendMark(beginRecord(l.buf[:0]), itemCompact, m)
	if err := l.writeRecord(); err != nil {
		return err
	}
	return l.sync()
}

// drop removes the segments older than needed. What says that they are dead
// is on disk already. A file that comes back after a crash, because the
// directory wasn't synced, does no harm: replay passes through it or past it.
func (l *Log) drop(needed uint32) error {
	l.mu.Lock()
	n := 0
	for l.segments[n].number < needed {
		n++
	}
	dead := l.segments[:n]
	l.segments = l.segments[n:]
	l.mu.Unlock()
	var errs []error
	for _, s := range dead {
		if err := l.fs.Remove(s.path); err != nil {
			errs = append(errs, fmt.Errorf("remove dead raft log segment: %w", err))
		}
		l.size.Add(-s.size)
		s.release()
	}
	return errors.Join(errs...)
}
