package kv

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/crc32"

	"github.com/cockroachdb/pebble/v2"

	"github.com/musterhq/muster/kv/internal/mvcc"
)

// Size returns the bytes on disk, and how many of them are live tables. What
// was not flushed yet is in neither.
func (s *Store) Size() (total, used int64) {
	st := s.Stats()
	return st.DiskBytes, st.LiveBytes
}

// Stats are figures of one moment, all 0 while the store is not open.
type Stats struct {
	Applied       uint64 // index of the last raft entry carried out
	Revision      int64  // of the last write
	Compacted     int64  // history below it is compacted; 0: none is
	DiskBytes     int64  // on disk, with what waits for deletion
	LiveBytes     int64  // of tables in use
	MemTableBytes int64  // written and not flushed
	CacheBytes    int64  // in the block cache
	ReadAmp       int    // tables that a read may have to look into
}

// Stats gathers them; it is cheap enough for a scrape, not for a hot path.
func (s *Store) Stats() Stats {
	g, err := s.acquire()
	if err != nil {
		return Stats{}
	}
	defer g.release()
	m, st := g.db.Metrics(), g.state.Load()
	return Stats{
		Applied:       st.applied,
		Revision:      st.current,
		Compacted:     max(st.compacted, 0),
		DiskBytes:     int64(m.DiskSpaceUsage()),
		LiveBytes:     int64(m.Table.Local.LiveSize + m.BlobFiles.Local.LiveSize),
		MemTableBytes: int64(m.MemTable.Size),
		CacheBytes:    m.BlockCache.Size,
		ReadAmp:       m.ReadAmp(),
	}
}

// Hash is a checksum (CRC-32C) over the logical content and the revision that
// it was taken at: every version that may still be read, the revisions, and
// the leases with what hangs on them. Members that applied the same commands
// have the same hash, whatever their files look like. Leases have no revisions:
// two hashes at one revision may differ in them while commands are applied. It
// reads the whole store.
func (s *Store) Hash(ctx context.Context) (sum uint32, rev int64, err error) {
	err = s.read(func(v *view) error {
		h := crc32.New(crc32.MakeTable(crc32.Castagnoli))
		hashInts(h, v.rev, v.compacted)
		rev = v.rev
		if err := v.hashVersions(ctx, h); err != nil {
			return fmt.Errorf("hash of revision %d: %w", v.rev, err)
		}
		for _, space := range [][2][]byte{bounds(mvcc.LeaseBounds()), bounds(mvcc.AllAttachments())} {
			if err := hashFacts(v.db, h, space[0], space[1]); err != nil {
				return fmt.Errorf("hash of revision %d: %w", v.rev, err)
			}
		}
		sum = h.Sum32()
		return nil
	})
	return sum, rev, err
}

func (v *view) hashVersions(ctx context.Context, h hash.Hash32) (err error) {
	lower, upper := span{open: true}.bounds()
	it, err := v.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return err
	}
	defer func() {
		if cerr := it.Close(); err == nil {
			err = cerr
		}
	}()
	v.hold.settle()
	n := 0
	for it.First(); it.Valid(); {
		if n++; n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		cur, rev, err := v.decode(it)
		if err != nil {
			return err
		}
		old := rev.Main <= v.compacted
		if rev.Main <= v.rev && !(old && cur.meta.Version == 0) {
			hashVersion(h, cur, rev)
		}
		if old { // what is older can't be read any more
			it.NextPrefix()
		} else {
			it.Next()
		}
	}
	return it.Error()
}

func hashVersion(h hash.Hash32, it item, rev mvcc.Revision) {
	hashInts(h, int64(len(it.key)), rev.Main, int64(rev.Sub), it.meta.Create, it.meta.Version, it.meta.Lease, int64(len(it.value)))
	h.Write(it.key)
	h.Write(it.value)
}

func bounds(lower, upper []byte) [2][]byte { return [2][]byte{lower, upper} }

func hashFacts(db *pebble.DB, h hash.Hash32, lower, upper []byte) error {
	return scanFacts(db, lower, upper, func(key, value []byte) error {
		hashInts(h, int64(len(key)), int64(len(value)))
		h.Write(key)
		h.Write(value)
		return nil
	})
}

func hashInts(h hash.Hash32, ints ...int64) {
	var b [8]byte
	for _, i := range ints {
		binary.LittleEndian.PutUint64(b[:], uint64(i))
		h.Write(b[:])
	}
}
