package raftlog

import (
	"errors"
	"fmt"
	"hash/crc32"

	"go.etcd.io/raft/v3/raftpb"
)

// Kinds of items in a record's payload; 0 is padding.
const (
	itemEntry   = 1
	itemHard    = 2
	itemReset   = 3
	itemCompact = 4
	itemBegin   = 5
)

// Sizes of items in bytes; an entry's data follows its head.
const (
	entryHead = 28
	hardSize  = 32
	markSize  = 24
	beginSize = 40
)

// hardState is raftpb.HardState as a value.
type hardState struct{ term, vote, commit uint64 }

// begin opens a segment.
type begin struct {
	prev    uint32 // the segment before; 0: none
	prevLen int64  // bytes of prev that count
	mark    Mark   // the log begins after this entry
	last    uint64 // last index before the items that follow
}

// entry is one decoded entry item.
type entry struct {
	term, index uint64
	typ         byte
	data        []byte // memory of the payload
}

// item is one decoded item; kind says which field is set.
type item struct {
	kind  byte
	at    int // offset in the payload
	entry entry
	hard  hardState
	mark  Mark // reset, compact
	begin begin
}

func appendEntry(buf []byte, e *raftpb.Entry) []byte {
	at := len(buf)
	buf = append(buf, itemEntry, byte(e.GetType()), 0, 0)
	buf = le.AppendUint32(buf, uint32(len(e.GetData())))
	buf = le.AppendUint64(buf, e.GetTerm())
	buf = le.AppendUint64(buf, e.GetIndex())
	sum := crc32.Update(checksum(buf[at:]), castagnoli, e.GetData())
	buf = le.AppendUint32(buf, sum)
	return append(buf, e.GetData()...)
}

func appendHard(buf []byte, h hardState) []byte {
	buf = append(buf, itemHard, 0, 0, 0, 0, 0, 0, 0)
	buf = le.AppendUint64(buf, h.term)
	buf = le.AppendUint64(buf, h.vote)
	return le.AppendUint64(buf, h.commit)
}

func appendMark(buf []byte, kind byte, m Mark) []byte {
	buf = append(buf, kind, 0, 0, 0, 0, 0, 0, 0)
	buf = le.AppendUint64(buf, m.Index)
	return le.AppendUint64(buf, m.Term)
}

func appendBegin(buf []byte, b begin) []byte {
	buf = append(buf, itemBegin, 0, 0, 0)
	buf = le.AppendUint32(buf, b.prev)
	buf = le.AppendUint64(buf, uint64(b.prevLen))
	buf = le.AppendUint64(buf, b.mark.Index)
	buf = le.AppendUint64(buf, b.mark.Term)
	return le.AppendUint64(buf, b.last)
}

var errShortItem = errors.New("item ends behind its record")

// parseItem reads the item at payload[at:] and returns the offset of the next
// one. Padding yields kind 0 and the payload's end.
func parseItem(payload []byte, at int) (it item, next int, err error) {
	b := payload[at:]
	it = item{kind: b[0], at: at}
	size := 0
	switch it.kind {
	case 0:
		return it, len(payload), parsePadding(b)
	case itemEntry:
		size = entryHead
	case itemHard:
		size = hardSize
	case itemReset, itemCompact:
		size = markSize
	case itemBegin:
		size = beginSize
	default:
		return it, 0, fmt.Errorf("unknown item %d, written by a newer version", it.kind)
	}
	if len(b) < size {
		return it, 0, errShortItem
	}
	switch it.kind {
	case itemEntry:
		n := le.Uint32(b[4:])
		if uint64(n) > uint64(len(b)-size) {
			return it, 0, errShortItem
		}
		size += int(n)
		if it.entry, err = parseEntryAt(b[:size]); err != nil {
			return it, 0, err
		}
	case itemHard:
		it.hard = hardState{term: le.Uint64(b[8:]), vote: le.Uint64(b[16:]), commit: le.Uint64(b[24:])}
	case itemReset, itemCompact:
		it.mark = Mark{Index: le.Uint64(b[8:]), Term: le.Uint64(b[16:])}
	case itemBegin:
		it.begin = begin{
			prev: le.Uint32(b[4:]), prevLen: int64(le.Uint64(b[8:])),
			mark: Mark{Index: le.Uint64(b[16:]), Term: le.Uint64(b[24:])}, last: le.Uint64(b[32:]),
		}
	}
	return it, at + size, nil
}

func parsePadding(b []byte) error {
	if len(b) > 7 {
		return errors.New("more padding than a record has")
	}
	for _, c := range b {
		if c != 0 {
			return errors.New("padding is not zero")
		}
	}
	return nil
}

// eachItem calls f for every item of a payload, in order, padding left out.
func eachItem(payload []byte, f func(item) error) error {
	for at := 0; at < len(payload); {
		it, next, err := parseItem(payload, at)
		if err != nil {
			return err
		}
		if it.kind != 0 {
			if err := f(it); err != nil {
				return err
			}
		}
		at = next
	}
	return nil
}

// parseEntryAt reads an entry item, by its own checksum.
func parseEntryAt(b []byte) (entry, error) {
	if len(b) < entryHead || b[0] != itemEntry {
		return entry{}, errors.New("no entry there")
	}
	if n := le.Uint32(b[4:]); uint64(n) != uint64(len(b)-entryHead) {
		return entry{}, fmt.Errorf("entry of %d bytes, want %d", n, len(b)-entryHead)
	}
	if crc32.Update(checksum(b[:entryHead-4]), castagnoli, b[entryHead:]) != le.Uint32(b[entryHead-4:]) {
		return entry{}, errors.New("entry's checksum does not match")
	}
	return entry{typ: b[1], term: le.Uint64(b[8:]), index: le.Uint64(b[16:]), data: b[entryHead:]}, nil
}

// message makes the raft message; its Data is e's memory, nil when empty.
func (e entry) message() *raftpb.Entry {
	typ := raftpb.EntryType(e.typ)
	m := &raftpb.Entry{Term: new(e.term), Index: new(e.index), Type: &typ}
	if len(e.data) > 0 {
		m.Data = e.data[:len(e.data):len(e.data)]
	}
	return m
}

// entrySize is the size that raft counts for an entry: its protobuf encoding
// with every field present.
func entrySize(term, index uint64, data int) uint64 {
	n := 2 + 1 + varint(term) + 1 + varint(index)
	if data > 0 {
		n += 1 + varint(uint64(data)) + uint64(data)
	}
	return n
}

func varint(v uint64) uint64 {
	n := uint64(1)
	for v >= 0x80 {
		v >>= 7
		n++
	}
	return n
}
