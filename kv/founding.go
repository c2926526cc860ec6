package kv

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// FoundingOptions say how the image in a backup is changed before a new cluster
// begins with it. The zero value changes no key and no revision.
type FoundingOptions struct {
	// BumpRevision is added to the revision. A client that has seen more than
	// what the backup holds then never meets a revision of before with other
	// content, if it is at least the number of writes since the backup.
	BumpRevision int64
	// MarkCompacted compacts all history, so that every watch of before ends
	// with "compacted" and its client reads everything anew.
	MarkCompacted bool
}

// ImageInfo is what an image holds.
type ImageInfo struct {
	Applied   uint64 // index of the last entry of the log that is in it
	Revision  int64
	Compacted int64 // -1: nothing is
	Keys      int64 // that are there, at the revision
	Versions  int64 // that may be read, of all keys
	Hash      KeysHash
}

// PrepareFounding changes the image in dir, which is that of an extracted
// backup and nobody else's, to what a new cluster begins with: alarms are
// cleared, since the members that raised them are not of the new one, and so is
// the term in which leases were taken over last, since the new one counts terms
// from the beginning. It returns the index that the cluster begins at. Everything is durable on return.
func PrepareFounding(fs vfs.FS, dir string, opt FoundingOptions) (index uint64, err error) {
	s, g, err := openImage(fs, dir)
	if err != nil {
		return 0, err
	}
	defer s.cache.Unref()
	index, err = s.prepareFounding(g, opt)
	if err = errors.Join(err, g.db.Close()); err != nil {
		return 0, fmt.Errorf("kv: prepare the image %s: %w", dir, err)
	}
	return index, s.opt.FS.RemoveAll(s.path(imageDir, "LOCK"))
}

// openImage opens the image in dir, in a store that has nothing else. Where there
// is none, none is made. The caller lets go of the store's cache at the end.
func openImage(fs vfs.FS, dir string) (*Store, *generation, error) {
	s := New(Options{FS: fs, CacheBytes: 8 << 20})
	s.dir = dir
	if _, err := s.opt.FS.Stat(s.path(imageDir)); err != nil {
		return nil, nil, fmt.Errorf("kv: no image of a store in %s: %w", dir, err)
	}
	s.cache = pebble.NewCache(s.opt.CacheBytes)
	g, err := s.openGeneration(imageDir)
	if err != nil {
		s.cache.Unref()
		return nil, nil, fmt.Errorf("kv: %w", err)
	}
	return s, g, nil
}

func (s *Store) prepareFounding(g *generation, opt FoundingOptions) (uint64, error) {
	if err := s.takeBack(g); err != nil {
		return 0, err
	}
	st := *g.state.Load()
	st.applied = max(st.applied, firstIndex)
	switch {
	case opt.BumpRevision < 0:
		return 0, fmt.Errorf("revisions never fall: can't be bumped by %d", opt.BumpRevision)
	case opt.BumpRevision > maxBumpedRevision-st.current:
		return 0, fmt.Errorf("revision %d can't be bumped by %d: that leaves too few for the writes to come; at most %d may be added",
			st.current, opt.BumpRevision, max(0, maxBumpedRevision-st.current))
	}
	st.current += opt.BumpRevision
	if opt.MarkCompacted {
		st.compacted = st.current
	}
	a := applier{known: &known{}}
	if err := a.attach(g); err != nil {
		return 0, err
	}
	a.deleteFact(alarmsKey())
	a.deleteFact(leaseTermKey())
	if err := a.commit(g, &st); err != nil {
		return 0, err
	}
	return st.applied, s.flush(g)
}

// maxBumpedRevision leaves as many revisions for what is written as it spends.
const maxBumpedRevision = math.MaxInt64 / 2

// firstIndex is the lowest that an image can have that is not of a cluster's
// beginning, which is empty.
const firstIndex = 2

// InspectImage counts what an extracted backup holds. It reads all of it, and
// changes nothing.
func InspectImage(ctx context.Context, fs vfs.FS, dir string) (info ImageInfo, err error) {
	s, g, err := openImage(fs, dir)
	if err != nil {
		return info, err
	}
	defer s.cache.Unref()
	s.swap(g)
	defer func() {
		s.swap(nil)
		err = errors.Join(err, g.closeWhenUnused())
	}()
	st := g.state.Load()
	info.Applied, info.Revision, info.Compacted = st.applied, st.current, st.compacted
	if info.Hash, err = s.HashKV(ctx, 0); err != nil {
		return info, err
	}
	err = s.read(func(v *view) error {
		return v.scan(span{open: true}, v.rev, func(item) (bool, error) {
			info.Keys++
			return true, ctx.Err()
		})
	})
	if err == nil {
		info.Versions, err = countVersions(ctx, g.db, st.current, st.compacted)
	}
	return info, err
}

func countVersions(ctx context.Context, r pebble.Reader, current, compacted int64) (n int64, err error) {
	var v view
	lower, upper := span{open: true}.bounds()
	err = eachEntry(ctx, r, lower, upper, func(it *pebble.Iterator) error {
		cur, at, err := v.decode(it)
		old := at.Main <= compacted
		if at.Main <= current && !(old && cur.meta.Version == 0) {
			n++
		}
		if old {
			it.NextPrefix()
		} else {
			it.Next()
		}
		return err
	})
	return n, err
}
