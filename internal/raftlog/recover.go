package raftlog

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/cockroachdb/errors/oserror"
	"go.etcd.io/raft/v3/raftpb"
)

// link is one segment of the chain that makes up the log.
type link struct {
	seg   *segment
	begin begin
	start int64 // end of the opening record
	limit int64 // end of its records, from its successor; -1 in the newest
}

// recover loads the directory and begins a new segment.
func (l *Log) recover() error {
	numbers, err := l.list()
	if err != nil {
		return err
	}
	if len(numbers) == 0 {
		if err := syncAncestors(l.fs, l.dir); err != nil {
			return fmt.Errorf("open raft log: %w", err)
		}
		return l.start(1, 1, begin{}, nil)
	}
	chain, err := l.chain(numbers)
	if err != nil {
		return err
	}
	var c scanner
	for _, k := range chain {
		if c, err = l.replay(k, c.window); err != nil {
			return err
		}
	}
	if hole := l.x.hole; hole != nil {
		gone := l.fs.PathJoin(l.dir, segmentName(chain[0].begin.prev))
		return &CorruptError{File: gone, Reason: fmt.Sprintf("the file is missing, and with it entries from %d to %d", hole.Index+1, l.x.mark.Index)}
	}
	return l.goOn(chain[len(chain)-1], c, numbers)
}

// list returns the numbers of the segments, ascending. Files that never got a
// segment's name are removed; others are not touched.
func (l *Log) list() ([]uint32, error) {
	names, err := l.fs.List(l.dir)
	if err != nil {
		return nil, fmt.Errorf("open raft log: %w", onFile("list", l.dir, err))
	}
	var numbers []uint32
	for _, name := range names {
		if n, ok := parseSegmentName(name); ok {
			numbers = append(numbers, n)
		}
		if base, ok := strings.CutSuffix(name, tmpSuffix); ok {
			if _, ok := parseSegmentName(base); ok {
				if err := l.remove(name); err != nil {
					return nil, err
				}
			}
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

func (l *Log) remove(name string) error {
	path := l.fs.PathJoin(l.dir, name)
	if err := l.fs.Remove(path); err != nil && !oserror.IsNotExist(err) {
		return fmt.Errorf("open raft log: %w", onFile("remove", path, err))
	}
	return nil
}

// chain follows the segments back from the newest, and returns them oldest
// first. It ends where a predecessor was dropped. The files are left open in
// l.segments.
func (l *Log) chain(numbers []uint32) ([]link, error) {
	var chain []link
	n, limit := numbers[len(numbers)-1], int64(-1)
	for {
		seg, err := openSegment(l.fs, l.fs.PathJoin(l.dir, segmentName(n)), n)
		if err != nil {
			return nil, fmt.Errorf("open raft log: %w", err)
		}
		l.segments = slices.Insert(l.segments, 0, seg)
		k, err := readOpening(seg)
		if err != nil {
			return nil, err
		}
		if k.limit = limit; limit > seg.size || limit >= 0 && limit < k.start {
			return nil, seg.corrupt(seg.size, "the next segment counts on %d bytes of it", limit)
		}
		chain = append(chain, k)
		n, limit = k.begin.prev, k.begin.prevLen
		if _, found := slices.BinarySearch(numbers, n); !found {
			slices.Reverse(chain)
			return chain, nil
		}
	}
}

// readOpening checks the head of a segment. Since it was synced before the
// file got its name, nothing is forgiven.
func readOpening(s *segment) (link, error) {
	c := scanner{s: s, limit: s.size}
	if s.size < fileHeader {
		return link{}, s.corrupt(0, "file of %d bytes has no header", s.size)
	}
	b, err := c.bytes(0, fileHeader)
	if err != nil {
		return link{}, err
	}
	if string(b[:len(magic)]) != magic {
		return link{}, s.corrupt(0, "file header is not a raft log's")
	}
	if v := le.Uint32(b[len(magic):]); v != version {
		return link{}, s.corrupt(int64(len(magic)), "format version %d, this build reads %d", v, version)
	}
	c.off = fileHeader
	_, payload, ok, err := c.next()
	if err != nil {
		return link{}, err
	}
	if !ok || len(payload) == 0 {
		return link{}, s.corrupt(fileHeader, "the first record is not whole")
	}
	it, _, err := parseItem(payload, 0)
	if err != nil || it.kind != itemBegin {
		return link{}, s.corrupt(fileHeader, "the first record does not begin a segment")
	}
	if it.begin.prev >= s.number || it.begin.prevLen < 0 {
		return link{}, s.corrupt(fileHeader, "follows segment %d of %d bytes", it.begin.prev, it.begin.prevLen)
	}
	return link{seg: s, begin: it.begin, start: c.off}, nil
}

// replay reads all records of a segment into the index. The returned scanner
// stands at the end of the last whole one.
func (l *Log) replay(k link, window []byte) (scanner, error) {
	c := scanner{s: k.seg, limit: k.seg.size, off: fileHeader, synced: k.start, window: window[:0]}
	if k.limit >= 0 {
		c.limit = k.limit
	}
	for {
		h, payload, ok, err := c.next()
		if err != nil {
			return c, err
		}
		if !ok {
			return c, k.checkEnd(&c)
		}
		if err := l.replayRecord(k.seg, h, payload); err != nil {
			return c, k.seg.corrupt(h.offset, "%s", err)
		}
	}
}

// checkEnd says whether the records may end where the scanner stopped.
func (k link) checkEnd(c *scanner) error {
	if k.limit >= 0 {
		if c.off != k.limit {
			return k.seg.corrupt(c.off, "bad record before the segment's end at byte %d", k.limit)
		}
		return nil
	}
	at, found, err := c.witness()
	if err != nil {
		return err
	}
	if found {
		return k.seg.corrupt(c.off, "bad record, and the one at byte %d says that it was synced", at)
	}
	return nil
}

func (l *Log) replayRecord(s *segment, h header, payload []byte) error {
	return eachItem(payload, func(it item) error {
		switch it.kind {
		case itemEntry:
			e := it.entry
			return l.x.put(e.index, loc{
				term: e.term, off: h.offset + recordHead + int64(it.at), seg: s.number, size: uint32(len(e.data)),
			})
		case itemHard:
			l.x.setHard(it.hard)
		case itemReset:
			l.x.reset(it.mark)
		case itemCompact:
			return l.x.compact(it.mark)
		case itemBegin:
			if h.offset != fileHeader || it.at != 0 {
				return errors.New("begins a segment in its middle")
			}
			return l.x.begin(it.begin)
		}
		return nil
	})
}

// goOn begins a segment behind the newest, of which c has read all. What lies
// behind the newest mark is copied, and no longer counts in the old place: it
// may be in memory only, in pages that a failed fsync has marked clean. A
// segment that holds nothing before its mark is left out of the chain
// altogether, so that restarts don't pile up files.
func (l *Log) goOn(newest link, c scanner, numbers []uint32) error {
	x := &l.x
	tail := x.last() // the first entries up to here stay where they are
	for tail > x.mark.Index && x.at(tail).seg == newest.seg.number && x.at(tail).off >= c.synced {
		tail--
	}
	entries, err := l.readTail(tail + 1)
	if err != nil {
		return err
	}
	b := begin{prev: newest.seg.number, prevLen: c.synced, mark: x.mark, last: tail}
	superseded := tail == x.mark.Index || x.at(tail).seg != newest.seg.number
	if superseded {
		b.prev, b.prevLen = newest.begin.prev, newest.begin.prevLen
	}
	if newest.seg.number == math.MaxUint32 {
		return fmt.Errorf("open raft log: no segment number is left after %s", newest.seg.path)
	}
	if err := l.start(newest.seg.number+1, c.seq, b, entries); err != nil {
		return err
	}
	return l.removeDead(superseded, numbers)
}

// readTail reads the entries from lo on back from disk.
func (l *Log) readTail(lo uint64) ([]*raftpb.Entry, error) {
	p := readPlan{locs: l.x.locs[lo-l.x.mark.Index-1:], segments: l.segments}
	out := make([]*raftpb.Entry, len(p.locs))
	for at := 0; at < len(p.locs); {
		n := p.run(at)
		if err := p.read(at, n, lo, out); err != nil {
			return nil, fmt.Errorf("open raft log: %w", err)
		}
		at += n
	}
	return out, nil
}

// start begins a segment with copies of the log's last entries and makes it
// the current one.
func (l *Log) start(number uint32, seq uint64, b begin, entries []*raftpb.Entry) error {
	w, locs, err := l.createSegment(number, seq, b, entries)
	if err != nil {
		return fmt.Errorf("open raft log: %w", err)
	}
	l.w = w
	l.segments = append(l.segments, w.seg)
	copy(l.x.locs[len(l.x.locs)-len(locs):], locs)
	for _, s := range l.segments {
		l.size.Add(s.size)
	}
	return nil
}

// removeDead removes the segments that the log no longer needs, in the chain
// and beside it.
func (l *Log) removeDead(superseded bool, numbers []uint32) error {
	if superseded {
		n := len(l.segments) - 2
		l.size.Add(-l.segments[n].size)
		l.segments[n].release()
		l.segments = slices.Delete(l.segments, n, n+1)
	}
	for needed := l.x.firstNeeded(l.w.seg.number); l.segments[0].number < needed; l.segments = l.segments[1:] {
		l.size.Add(-l.segments[0].size)
		l.segments[0].release()
	}
	for _, n := range numbers {
		alive := slices.ContainsFunc(l.segments, func(s *segment) bool { return s.number == n })
		if !alive {
			if err := l.remove(segmentName(n)); err != nil {
				return err
			}
		}
	}
	return nil
}
