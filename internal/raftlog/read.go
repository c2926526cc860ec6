package raftlog

import (
	"fmt"
	"io"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

const (
	readChunk = 1 << 20 // most bytes of one read, unless one entry is larger
	readGap   = 4 << 10 // bytes between two entries that are read rather than skipped
)

// Term returns the term of entry i, FirstIndex-1 <= i <= LastIndex. Errors:
// raft.ErrCompacted below, raft.ErrUnavailable above. It does no I/O.
func (l *Log) Term(i uint64) (uint64, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	switch {
	case i < l.x.mark.Index:
		return 0, raft.ErrCompacted
	case i > l.x.last():
		return 0, raft.ErrUnavailable
	}
	return l.x.term(i), nil
}

// Entries returns the entries of [lo, hi), as many as fit into maxSize bytes of
// their protobuf encoding, but at least one if there is one. They must not be
// changed. Errors: raft.ErrCompacted when lo is below FirstIndex,
// raft.ErrUnavailable when hi-1 is above LastIndex, a *[CorruptError] when an
// old entry can't be read back, or what the file system says. It works on
// after [ErrFailed], with what was readable before.
func (l *Log) Entries(lo, hi, maxSize uint64) ([]*raftpb.Entry, error) {
	p, out, err := l.planRead(lo, hi, maxSize)
	if err != nil || len(p.locs) == 0 {
		return out, err
	}
	defer p.release()
	for at := 0; at < len(p.locs); {
		n := p.run(at)
		if err := p.read(at, n, lo, out); err != nil {
			return nil, fmt.Errorf("read raft entries [%d, %d): %w", lo, hi, err)
		}
		at += n
	}
	return out, nil
}

// readPlan lists the entries that have to come from disk: the first len(locs)
// of the result.
type readPlan struct {
	locs     []loc
	segments []*segment // ascending, each with a reference; all that locs name
}

// planRead fills in what is in memory and plans the rest.
func (l *Log) planRead(lo, hi, maxSize uint64) (readPlan, []*raftpb.Entry, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	switch {
	case lo <= l.x.mark.Index:
		return readPlan{}, nil, raft.ErrCompacted
	case hi > l.x.last()+1:
		return readPlan{}, nil, raft.ErrUnavailable
	case lo >= hi:
		return readPlan{}, nil, nil
	}
	hi = l.fit(lo, hi, maxSize)
	out := make([]*raftpb.Entry, hi-lo)
	cached := min(max(l.cache.first(), lo), hi) // [cached, hi) is in memory
	if cached < hi {
		first := l.cache.first()
		copy(out[cached-lo:], l.cache.ents[cached-first:hi-first])
	}
	if cached == lo {
		return readPlan{}, out, nil
	}
	if l.segments == nil {
		return readPlan{}, nil, ErrClosed
	}
	at := lo - l.x.mark.Index - 1
	p := readPlan{locs: slices.Clone(l.x.locs[at : at+cached-lo])}
	from, to := p.locs[0].seg, p.locs[len(p.locs)-1].seg
	for _, s := range l.segments {
		if s.number >= from && s.number <= to {
			s.acquire()
			p.segments = append(p.segments, s)
		}
	}
	return p, out, nil
}

// fit returns the largest hi for which [lo, hi) fits into maxSize, or lo+1.
func (l *Log) fit(lo, hi, maxSize uint64) uint64 {
	size := uint64(0)
	for i := lo; i < hi; i++ {
		p := l.x.at(i)
		size += entrySize(p.term, i, int(p.size))
		if size > maxSize && i > lo {
			return i
		}
	}
	return hi
}

func (p *readPlan) release() {
	for _, s := range p.segments {
		s.release()
	}
}

// run says how many entries from at on are read at once.
func (p *readPlan) run(at int) int {
	first := p.locs[at]
	n := 1
	for ; at+n < len(p.locs); n++ {
		prev, next := p.locs[at+n-1], p.locs[at+n]
		if next.seg != first.seg || next.off < prev.end() || next.off-prev.end() > readGap || next.end()-first.off > readChunk {
			break
		}
	}
	return n
}

func (p loc) end() int64 { return p.off + entryHead + int64(p.size) }

// read reads the n entries from at on into out; entry at is index lo+at.
func (p *readPlan) read(at, n int, lo uint64, out []*raftpb.Entry) error {
	first, last := p.locs[at], p.locs[at+n-1]
	k, ok := slices.BinarySearchFunc(p.segments, first.seg, func(s *segment, n uint32) int { return int(int64(s.number) - int64(n)) })
	if !ok {
		panic(fmt.Sprintf("raftlog: entry %d is in segment %d, which is not open", lo+uint64(at), first.seg))
	}
	s := p.segments[k]
	buf := make([]byte, last.end()-first.off)
	if n, err := s.file.ReadAt(buf, first.off); n < len(buf) {
		if err == io.EOF {
			return s.corrupt(first.off+int64(n), "the file ends before entry %d does", lo+uint64(at))
		}
		return fmt.Errorf("%s at byte %d: %w", s.path, first.off, err)
	}
	for i := at; i < at+n; i++ {
		l := p.locs[i]
		e, err := parseEntryAt(buf[l.off-first.off : l.end()-first.off])
		if err != nil {
			return s.corrupt(l.off, "entry %d: %s", lo+uint64(i), err)
		}
		if e.index != lo+uint64(i) || e.term != l.term {
			return s.corrupt(l.off, "holds entry %d of term %d, want %d of term %d", e.index, e.term, lo+uint64(i), l.term)
		}
		out[i] = e.message()
	}
	return nil
}
