package raftlog

import "fmt"

// loc says where one entry is.
type loc struct {
	term uint64
	off  int64 // of the entry item in its segment
	seg  uint32
	size uint32 // bytes of data
}

// index is the log's shape in memory: what replay builds and Append extends.
// Its segments grow with its indexes: an entry never lies in an older segment
// than its predecessor, since overwriting one overwrites all behind it.
type index struct {
	mark    Mark
	locs    []loc // locs[i] is entry mark.Index+1+i
	hard    hardState
	hasHard bool

	// During replay only: the log really begins after hole, and the entries
	// from there up to mark are in segments that are gone. A later compact or
	// reset item has to cover them. mark.Term is unknown then.
	hole *Mark
}

func (x *index) last() uint64 { return x.mark.Index + uint64(len(x.locs)) }

// at returns the place of entry i, mark.Index < i <= last.
func (x *index) at(i uint64) *loc { return &x.locs[i-x.mark.Index-1] }

// term returns the term of i, mark.Index <= i <= last.
func (x *index) term(i uint64) uint64 {
	if i == x.mark.Index {
		return x.mark.Term
	}
	return x.at(i).term
}

// begins returns after which index the log begins, missing entries included.
func (x *index) begins() uint64 {
	if x.hole != nil {
		return x.hole.Index
	}
	return x.mark.Index
}

// put stores entry i, dropping it and everything behind it first.
func (x *index) put(i uint64, p loc) error {
	if i <= x.begins() || i > x.last()+1 {
		return fmt.Errorf("entry %d does not fit a log of (%d, %d]", i, x.begins(), x.last())
	}
	x.truncate(i - 1)
	x.locs = append(x.locs, p)
	return nil
}

// truncate drops the entries behind last, begins() <= last <= last().
func (x *index) truncate(last uint64) {
	if last >= x.mark.Index {
		x.locs = x.locs[:last-x.mark.Index]
		return
	}
	x.mark, x.locs = Mark{Index: last}, x.locs[:0]
	x.closeHole()
}

// closeHole ends the hole when nothing is missing any more.
func (x *index) closeHole() {
	if x.hole != nil && x.hole.Index == x.mark.Index {
		x.mark, x.hole = *x.hole, nil
	}
}

func (x *index) setHard(h hardState) { x.hard, x.hasHard = h, true }

// reset empties the log; it begins after m.
func (x *index) reset(m Mark) {
	x.mark, x.locs, x.hole = m, x.locs[:0], nil
}

// compact forgets the entries up to m.
func (x *index) compact(m Mark) error {
	if m.Index < x.begins() || m.Index > x.last() {
		return fmt.Errorf("compaction to %d of a log of (%d, %d]", m.Index, x.begins(), x.last())
	}
	if m.Index < x.mark.Index {
		x.hole = &m
		return nil
	}
	x.locs = x.locs[m.Index-x.mark.Index:]
	x.mark, x.hole = m, nil
	return nil
}

// begin takes over what a segment says the log was before it.
func (x *index) begin(b begin) error {
	if b.last < b.mark.Index {
		return fmt.Errorf("segment begins with a log of (%d, %d]", b.mark.Index, b.last)
	}
	if b.mark.Index < x.begins() || b.mark.Index > x.last() {
		x.reset(b.mark)
	} else if err := x.compact(b.mark); err != nil {
		return err
	}
	if b.last < x.last() {
		x.truncate(b.last)
	}
	if b.last > x.last() {
		hole := b.mark
		x.mark, x.locs, x.hole = Mark{Index: b.last}, x.locs[:0], &hole
	}
	return nil
}

// firstNeeded is the oldest segment that holds an entry; current when none.
func (x *index) firstNeeded(current uint32) uint32 {
	if len(x.locs) == 0 {
		return current
	}
	return x.locs[0].seg
}
