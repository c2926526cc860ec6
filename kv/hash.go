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

// KeysHash is a checksum over the keys as of a revision: of every version that
// may be read at it or at one before it.
type KeysHash struct {
	Sum       uint32 // CRC-32C; not etcd's, and equal on members of muster alone
	Revision  int64  // that it was taken as of
	Compacted int64  // history below it is in no hash; -1: nothing is compacted
	Current   int64  // the revision of the last write when it was taken
}

// HashKV hashes the keys as of revision rev, 0 for the current one. Members
// that have carried out the same writes and compactions up to rev have the same
// hash, whatever they have purged or flushed: compare those whose Compacted is
// the same. It reads the whole store, one caller after the other, and keeps
// nobody from writing. The errors are [ErrCompacted], [ErrFutureRev],
// [ErrClosed], ctx's, and those of the disk.
func (s *Store) HashKV(ctx context.Context, rev int64) (KeysHash, error) {
	var out KeysHash
	err := s.hash(ctx, func(sn *pebble.Snapshot, st *state) error {
		out = KeysHash{Revision: rev, Compacted: st.compacted, Current: st.current}
		switch {
		case rev <= 0:
			out.Revision = st.current
		case rev < st.compacted:
			return ErrCompacted
		case rev > st.current:
			return ErrFutureRev
		}
		h := newHash()
		hashInts(h, out.Revision, out.Compacted)
		if err := hashVersions(ctx, h, sn, out.Revision, out.Compacted); err != nil {
			return fmt.Errorf("hash of revision %d: %w", out.Revision, err)
		}
		out.Sum = h.Sum32()
		return nil
	})
	return out, err
}

// Hash is a checksum (CRC-32C) over all that is replicated, at the current
// revision, which it returns: the keys as in [Store.HashKV], and beside them
// alarms, leases, users and roles. Members that applied the same commands have
// the same hash, whatever their files look like. It reads the whole store.
func (s *Store) Hash(ctx context.Context) (sum uint32, rev int64, err error) {
	err = s.hash(ctx, func(sn *pebble.Snapshot, st *state) error {
		rev = st.current
		h := newHash()
		hashInts(h, st.current, st.compacted)
		if err := hashVersions(ctx, h, sn, st.current, st.compacted); err != nil {
			return fmt.Errorf("hash of revision %d: %w", rev, err)
		}
		if err := hashFacts(ctx, h, sn); err != nil {
			return fmt.Errorf("hash of revision %d: %w", rev, err)
		}
		sum = h.Sum32()
		return nil
	})
	return sum, rev, err
}

// hash runs f over one moment of the database. As many wait as want to: two at
// once would read the whole store twice.
func (s *Store) hash(ctx context.Context, f func(*pebble.Snapshot, *state) error) (err error) {
	select {
	case s.hashing <- struct{}{}:
		defer func() { <-s.hashing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	g, err := s.acquire()
	if err != nil {
		return err
	}
	defer g.release()
	sn := g.db.NewSnapshot()
	g.settle()
	defer func() {
		if cerr := sn.Close(); err == nil {
			err = cerr
		}
	}()
	st, err := readState(sn, nil)
	if err != nil {
		return err
	}
	return f(sn, st)
}

// hashVersions adds what may be read at revision rev or before it. Of the
// versions up to the compacted revision only the newest of a key counts, and
// that not if it is a tombstone: those are what a purge leaves behind.
func hashVersions(ctx context.Context, h hash.Hash32, r pebble.Reader, rev, compacted int64) error {
	var v view // to decode with
	lower, upper := span{open: true}.bounds()
	return eachEntry(ctx, r, lower, upper, func(it *pebble.Iterator) error {
		cur, at, err := v.decode(it)
		if err != nil {
			return err
		}
		old := at.Main <= compacted
		if at.Main <= rev && !(old && cur.meta.Version == 0) {
			hashVersion(h, cur, at)
		}
		if old { // what is older can't be read any more
			it.NextPrefix()
		} else {
			it.Next()
		}
		return nil
	})
}

// hashFacts adds everything that is neither a version nor found again from the
// versions (the event log), nor about the log (the state, which says what was
// applied last: also entries that change nothing).
func hashFacts(ctx context.Context, h hash.Hash32, r pebble.Reader) error {
	own := string(stateKey())
	for _, space := range mvcc.FactSpaces() {
		err := eachEntry(ctx, r, []byte{space}, []byte{space + 1}, func(it *pebble.Iterator) error {
			value, err := it.ValueAndErr()
			if err == nil && string(it.Key()) != own {
				hashInts(h, int64(len(it.Key())), int64(len(value)))
				h.Write(it.Key())
				h.Write(value)
			}
			it.Next()
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// eachEntry visits the entries of [lower, upper) until visit, which moves the
// iterator on, fails or ctx ends.
func eachEntry(ctx context.Context, r pebble.Reader, lower, upper []byte, visit func(*pebble.Iterator) error) (err error) {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return err
	}
	defer func() {
		if cerr := it.Close(); err == nil {
			err = cerr
		}
	}()
	it.First()
	for n := 1; it.Valid(); n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := visit(it); err != nil {
			return err
		}
	}
	return it.Error()
}

func newHash() hash.Hash32 { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) }

func hashVersion(h hash.Hash32, it item, rev mvcc.Revision) {
	hashInts(h, int64(len(it.key)), rev.Main, int64(rev.Sub), it.meta.Create, it.meta.Version, it.meta.Lease, int64(len(it.value)))
	h.Write(it.key)
	h.Write(it.value)
}

func hashInts(h hash.Hash32, ints ...int64) {
	var b [8]byte
	for _, i := range ints {
		binary.LittleEndian.PutUint64(b[:], uint64(i))
		h.Write(b[:])
	}
}
