package raftlog

import (
	"fmt"
	"slices"
)

// Append stores the batches in order, all or nothing: one write, and one
// fdatasync when any batch asks for it. On return readers see them, and they
// survive power loss if a batch had Sync set. One caller at a time; it may
// overlap the readers, who never see a part.
//
// Errors: [ErrTooLarge] and batches that don't fit the log (a gap before the
// first entry, an entry at or below the mark) leave the log as it was. Any
// failure to write is [ErrFailed], for this and every later call.
func (l *Log) Append(bs []Batch) error {
	if err := l.failure(); err != nil {
		return err
	}
	size, sync, err := l.check(bs)
	if err != nil {
		return err
	}
	if size > 0 {
		if l.w.off >= l.opt.SegmentBytes {
			if err := l.rotate(); err != nil {
				return err
			}
		}
		l.encode(bs)
		if err := l.writeRecord(); err != nil {
			return err
		}
	}
	if sync {
		if err := l.sync(); err != nil {
			return err
		}
	}
	if size > 0 {
		l.publish(bs)
		l.dropAfterReset(bs)
	}
	return nil
}

// dropAfterReset removes the segments before a reset, once that is on disk. A
// file that can't be removed is left to the next Open: the append succeeded.
func (l *Log) dropAfterReset(bs []Batch) {
	reset := slices.ContainsFunc(bs, func(b Batch) bool { return b.Reset != nil })
	if reset && l.w.synced == l.w.off {
		_ = l.drop(l.x.firstNeeded(l.w.seg.number))
	}
}

// check says how many bytes of items the batches make and whether one of them
// wants to be synced, or why they can't be stored.
func (l *Log) check(bs []Batch) (size int64, sync bool, err error) {
	first, last := l.x.mark.Index+1, l.x.last()
	for i := range bs {
		b := &bs[i]
		sync = sync || b.Sync
		if b.Reset != nil {
			size += markSize
			first, last = b.Reset.Index+1, b.Reset.Index
		}
		for k, e := range b.Entries {
			index := e.GetIndex()
			if k > 0 && index != last+1 || index < first || index > last+1 {
				return 0, false, fmt.Errorf("append entry %d to a raft log of [%d, %d]: it does not fit", index, first, last)
			}
			last = index
			size += entryHead + int64(len(e.GetData()))
		}
		if b.HardState != nil {
			size += hardSize
		}
	}
	if size > MaxAppendBytes-recordHead-8 {
		return 0, false, fmt.Errorf("append %d bytes to the raft log: %w (at most %d)", size, ErrTooLarge, MaxAppendBytes)
	}
	return size, sync, nil
}

// encode builds the record in l.buf and notes the places of its entries.
func (l *Log) encode(bs []Batch) {
	buf := beginRecord(l.buf[:0])
	l.pending = l.pending[:0]
	for i := range bs {
		b := &bs[i]
		if b.Reset != nil {
			buf = appendMark(buf, itemReset, *b.Reset)
		}
		for _, e := range b.Entries {
			l.pending = append(l.pending, loc{
				term: e.GetTerm(), off: l.w.off + int64(len(buf)), seg: l.w.seg.number, size: uint32(len(e.GetData())),
			})
			buf = appendEntry(buf, e)
		}
		if h := b.HardState; h != nil {
			buf = appendHard(buf, hardState{term: h.GetTerm(), vote: h.GetVote(), commit: h.GetCommit()})
		}
	}
	l.buf = buf
}

// publish lets the readers see what encode wrote.
func (l *Log) publish(bs []Batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	locs := l.pending
	for i := range bs {
		b := &bs[i]
		if b.Reset != nil {
			l.x.reset(*b.Reset)
			l.cache.clear()
		}
		for _, e := range b.Entries {
			if err := l.x.put(e.GetIndex(), locs[0]); err != nil {
				panic("raftlog: checked entry does not fit: " + err.Error())
			}
			l.cache.put(e)
			locs = locs[1:]
		}
		if h := b.HardState; h != nil {
			l.x.setHard(hardState{term: h.GetTerm(), vote: h.GetVote(), commit: h.GetCommit()})
		}
	}
}
