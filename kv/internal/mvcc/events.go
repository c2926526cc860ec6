package mvcc

import "encoding/binary"

// The event log answers "what changed at or after revision r?" in the order
// of revisions, which the order of keys can't. It names keys and holds no
// values: those are found under (key, revision).
//
// One record packs the changes of many commands, so that the log costs one
// Pebble entry for each applied batch and not one for each put. Its key is
// the revision of its first change; its value a byte 1 and a sequence of
//
//	+----------------------------+------------------+----------+
//	| main - last main, uvarint  | len<<2 | kind    | user key |
//	+----------------------------+------------------+----------+
//
// where "last main" starts as the key's main. Sub-revisions aren't stored:
// they count up from the record's first sub, and from 0 at each new main.
//
// Records of older stores lack the byte 1, and have len<<1 | deleted. They
// start with a 0, since the first change is of the key's own main.

const eventFormat = 1

// EventKind is what a change did to its key.
type EventKind byte

// The kinds, as they are on disk. A put that follows no live version is
// Created; in records of older stores it may be Updated, too.
const (
	Updated EventKind = 0
	Deleted EventKind = 1
	Created EventKind = 2
)

// EventRecordLen is the size at which a record is closed, in bytes.
const EventRecordLen = 32 << 10

// Event is one change of one key.
type Event struct {
	Revision
	Deleted bool
	Created bool   // nothing of the key was live before; false: not known
	Key     []byte // aliases the record
}

// AppendEventKey appends the key of the record that starts with r.
func AppendEventKey(dst []byte, r Revision) []byte {
	dst = append(dst, eventSpace)
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.Main))
	return binary.BigEndian.AppendUint32(dst, r.Sub)
}

// AppendEventEnd appends the bound above every record of the event log.
func AppendEventEnd(dst []byte) []byte { return append(dst, eventSpace+1) }

// AppendEvent appends one change to a record, which is empty before the first.
// last is the main revision of the change before it in the record, or its own
// for the first.
func AppendEvent(dst []byte, last, main int64, kind EventKind, user []byte) []byte {
	if len(dst) == 0 {
		dst = append(dst, eventFormat)
	}
	dst = binary.AppendUvarint(dst, uint64(main-last))
	dst = binary.AppendUvarint(dst, uint64(len(user))<<2|uint64(kind))
	return append(dst, user...)
}

// EventReader walks one record.
type EventReader struct {
	next Revision // of the coming change, when it is of the same main
	rest []byte
	old  bool // of the older format
}

// ReadEvents starts on a record; ok is false when key is none.
func ReadEvents(key, record []byte) (r EventReader, ok bool) {
	if len(key) != 1+8+4 || key[0] != eventSpace {
		return EventReader{}, false
	}
	r.next.Main = int64(binary.BigEndian.Uint64(key[1:]))
	r.next.Sub = binary.BigEndian.Uint32(key[9:])
	r.rest, r.old = record, true
	if len(record) > 0 && record[0] == eventFormat {
		r.rest, r.old = record[1:], false
	}
	return r, true
}

// Next returns the next change. more is false at the end; ok is false when
// the record is damaged.
func (r *EventReader) Next() (e Event, more, ok bool) {
	if len(r.rest) == 0 {
		return Event{}, false, true
	}
	delta, n := binary.Uvarint(r.rest)
	if n <= 0 {
		return Event{}, false, false
	}
	length, m := binary.Uvarint(r.rest[n:])
	rest := r.rest[n+max(m, 0):]
	kind := EventKind(length & 1)
	if length >>= 1; !r.old {
		kind |= EventKind(length&1) << 1
		length >>= 1
	}
	if m <= 0 || length > uint64(len(rest)) || kind > Created {
		return Event{}, false, false
	}
	if delta > 0 {
		r.next = Revision{Main: r.next.Main + int64(delta)}
	}
	e = Event{Revision: r.next, Deleted: kind == Deleted, Created: kind == Created, Key: rest[:length]}
	r.next.Sub++
	r.rest = rest[length:]
	return e, true, true
}
