package kv

import (
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/musterhq/muster/kv/internal/mvcc"
)

// state is the store's own facts, kept under one key in the batch of every
// Apply call. Immutable once published.
//
//	+--------------+--------------+--------------+----------------+
//	| format (1) 2 | applied (8)  | current (8)  | compacted (8)  |  big-endian
//	+--------------+--------------+--------------+----------------+
type state struct {
	applied   uint64 // index of the last raft entry carried out
	current   int64  // revision of the last write; 1 when there was none
	compacted int64  // history below it may not be read; -1 when there was no compaction

	unfinished bool // there are pieces of an Apply call that is not over; they are above current

	auth *Auth // as of then; not encoded, and set only in what is published
}

const (
	stateFormat = 2
	// oldFormat had no leases, users and alarms, and older records of the event
	// log. It is read, and becomes stateFormat at the next commit.
	oldFormat = 1
	// unfinishedFormat is stateFormat with pieces of an Apply call after it.
	// Versions that know nothing of those must not open such a database.
	unfinishedFormat = 3
	stateLen         = 1 + 3*8
)

func emptyState() *state { return &state{current: 1, compacted: -1} }

func stateKey() []byte { return mvcc.MetaKey("state") }

func (s *state) append(dst []byte) []byte {
	format := byte(stateFormat)
	if s.unfinished {
		format = unfinishedFormat
	}
	dst = append(dst, format)
	dst = binary.BigEndian.AppendUint64(dst, s.applied)
	dst = binary.BigEndian.AppendUint64(dst, uint64(s.current))
	return binary.BigEndian.AppendUint64(dst, uint64(s.compacted))
}

func decodeState(b []byte) (*state, error) {
	if len(b) > 0 && b[0] != stateFormat && b[0] != oldFormat && b[0] != unfinishedFormat {
		return nil, fmt.Errorf("the store has format %d, this version reads up to %d: run the version that wrote it", b[0], unfinishedFormat)
	}
	if len(b) != stateLen {
		return nil, fmt.Errorf("damaged store: its state has %d bytes, want %d", len(b), stateLen)
	}
	return &state{
		applied:   binary.BigEndian.Uint64(b[1:]),
		current:   int64(binary.BigEndian.Uint64(b[9:])),
		compacted: int64(binary.BigEndian.Uint64(b[17:])),

		unfinished: b[0] == unfinishedFormat,
	}, nil
}

// encoder turns pending changes into Pebble's batches. It keeps its buffers.
type encoder struct {
	key    []byte
	record []byte // of the event log, being filled
	value  []byte
}

// encode adds the changes, their event log and the state to the batch.
func (e *encoder) encode(b *pebble.Batch, changes []change, st *state) error {
	for i := range changes {
		e.version(b, &changes[i])
	}
	if err := e.events(b, changes); err != nil {
		return err
	}
	e.value = st.append(e.value[:0])
	e.key = append(e.key[:0], stateKey()...)
	return b.Set(e.key, e.value, nil)
}

// batchSize is about how much encode adds to a batch, in bytes. Many changes make
// a batch too large to be kept and used again, and better not grown piece by piece.
func batchSize(changes []change) int {
	if len(changes) <= maxKeptChanges {
		return 0
	}
	n := 1 << 10
	for i := range changes {
		n += 2*len(changes[i].key) + len(changes[i].value) + changeOverhead
	}
	return n
}

// changeOverhead is what a version and its place in the event log take beside
// the key, twice, and the value: the suffix, the meta, lengths. Bytes.
const changeOverhead = mvcc.SuffixLen + 20

func (e *encoder) version(b *pebble.Batch, c *change) {
	e.key = mvcc.AppendPrefix(e.key[:0], c.key)
	e.key = mvcc.AppendSuffix(e.key, c.rev)
	var head [mvcc.MaxMetaLen]byte
	n := 0
	if c.meta.Version > 0 {
		n = mvcc.PutMeta(head[:], c.rev.Main, c.meta)
	}
	op := b.SetDeferred(len(e.key), n+len(c.value))
	copy(op.Key, e.key)
	copy(op.Value, head[:n])
	copy(op.Value[n:], c.value)
	_ = op.Finish() // fails only for indexed batches
}

func (e *encoder) events(b *pebble.Batch, changes []change) error {
	e.record = e.record[:0]
	first, last := mvcc.Revision{}, int64(0)
	for i := range changes {
		c := &changes[i]
		if len(e.record) == 0 {
			first, last = c.rev, c.rev.Main
		}
		e.record = mvcc.AppendEvent(e.record, last, c.rev.Main, c.kind(), c.key)
		last = c.rev.Main
		if len(e.record) < mvcc.EventRecordLen && i+1 < len(changes) {
			continue
		}
		e.key = mvcc.AppendEventKey(e.key[:0], first)
		if err := b.Set(e.key, e.record, nil); err != nil {
			return fmt.Errorf("event log at revision %d: %w", first.Main, err)
		}
		e.record = e.record[:0]
	}
	return nil
}

func (c *change) kind() mvcc.EventKind {
	switch c.meta.Version {
	case 0:
		return mvcc.Deleted
	case 1:
		return mvcc.Created
	}
	return mvcc.Updated
}
