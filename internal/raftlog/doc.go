// Package raftlog keeps raft's entries and hard state on disk.
//
// It is a segmented append-only log: one writer, many readers. It is not a
// general write-ahead log, holds no membership, no snapshot and no machine
// state, and knows nothing of peers. The body of a node (package host) owns
// the one writer; the brain reads through the raft.Storage that is built on it.
//
// # Invariants
//
//   - One [Log.Append] is one record, one write and at most one fdatasync;
//     after a crash it is there as a whole or not at all.
//   - No byte that was ever synced is written again. Recovery never truncates
//     or appends to a file that it found: it begins a new segment.
//   - A segment gets its name only when its first record is synced. So a named
//     segment whose first record can't be read is damaged, never torn.
//   - Every segment but the newest was synced in full before its successor got
//     its name, and the successor says how long it is.
//   - The first write or fsync that fails ends the Log ([ErrFailed]). Linux
//     may mark the pages of a failed fsync clean (fsyncgate, 2018), so nothing
//     is retried on that file, and what the next Open finds behind the last
//     synced mark is written anew into another file before it is believed.
//
// # Files
//
// A segment NNNNNNNN.log (its number in hex) is a file header and records, the
// rest is zeros written ahead of use (see preallocation in writer.go). All
// integers are little-endian, checksums are CRC32C (Castagnoli).
//
//	file header, 16 bytes
//	+----------------------------+--------------+
//	| magic "muster.log\r\n"  12 | version    4 |
//	+----------------------------+--------------+
//
//	record: 40 bytes of header, then the payload, a multiple of 8
//	+--------------+--------------+--------------+--------------+
//	| header sum 4 | payload sum 4| length     4 | segment    4 |
//	+--------------+--------------+--------------+--------------+
//	| sequence                  8 | offset                    8 |
//	+-----------------------------+-----------------------------+
//	| synced through            8 | payload, length bytes   ... |
//	+-----------------------------+-----------------------------+
//
// The header sum covers the other 36 bytes of the header. Sequence grows by
// one from record to record, across segments. Segment and offset say where the
// record stands, so that no copy of a record elsewhere (in a user's data, say)
// passes for one. Synced through is an offset in the same file: all before it
// was on disk when this record was written.
//
// The payload is a row of items, zero-padded at its end:
//
//	1 entry, 28 bytes + data
//	+--------+--------+-------------+-----------------------------+
//	| 1    1 | type 1 | zero      2 | data size                 4 |
//	+--------+--------+-------------+-----------------------------+
//	| term                        8 | index                     8 |
//	+-------------------------------+-----------------------------+
//	| sum of the 24 bytes + data  4 | data                    ... |
//	+-------------------------------+-----------------------------+
//	2 hard state    | 2 1 | zero 7 | term 8 | vote 8 | commit 8 |
//	3 reset         | 3 1 | zero 7 | index 8 | term 8 |
//	4 compact       | 4 1 | zero 7 | index 8 | term 8 |
//	5 begin         | 5 1 | zero 3 | previous segment 4 | its length 8 |
//	                | mark index 8 | mark term 8 | last index 8 |
//
// The first record of a segment opens with the begin item: which segment came
// before (0: none) and where that one ends, after which entry the log begins,
// and the last index so far. A hard state and copied entries may follow.
//
// # Torn or damaged
//
// After a crash the newest segment may end in a record that isn't whole. That
// is a torn tail, never acknowledged, and is cut silently. It is cut only
// when nothing says that it was synced: [Open] looks through the rest of the
// file for a record header whose mark lies beyond the bad place, and refuses
// with a [CorruptError] when there is one. Every damage in an older segment,
// and in the first record of any, is refused too.
//
// What can't be told apart: damage to the last synced record (or, after
// unsynced appends, to the records since the last mark) when the process died
// before the next record was begun, and a newest file that was cut short or is
// gone, since nothing behind the cut is left to speak up.
// The next Append closes that window, of whichever kind it is, since its header
// carries the mark; so does a clean [Log.Close], which writes a last mark.
package raftlog
