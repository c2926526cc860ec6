package kv

import (
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// wasFlushed takes what a flush has written out of what is pending. A memtable
// holds a little more than the batches that went into it, so that the
// difference would fall below zero.
func (g *generation) wasFlushed(i pebble.FlushInfo) {
	for {
		was := g.pending.Load()
		now := max(0, was-int64(i.InputBytes))
		if i.Err != nil || g.pending.CompareAndSwap(was, now) {
			return
		}
	}
}

// Used is how many bytes the store's content takes: tables in use, and what
// was written and not flushed yet. It is what a quota is about: unlike the size
// on disk it has nothing of files that wait for deletion, and it falls by
// itself once history is compacted, as the engine rewrites its tables;
// [Store.Reclaim] has it do so at once. 0 while the store is not open.
func (s *Store) Used() int64 {
	_, used := s.Size()
	return used
}

// Written is how many bytes were written since the store was made, for who wants
// to know how [Store.Used] has grown since it was measured. It costs nothing.
func (s *Store) Written() int64 { return s.known.written.Load() }

// Reclaim waits for what compactions put out of reach to be purged, rewrites the
// tables without what was deleted in them, and returns when that is done. It
// takes reading and writing of the whole store, and is for when space is short:
// where it is not, the engine chooses better itself what to rewrite, and when.
func (s *Store) Reclaim(ctx context.Context) error {
	if err := s.Purged(ctx); err != nil {
		return err
	}
	g, err := s.acquire()
	if err != nil {
		return err
	}
	defer g.release()
	g.settle()
	if err := s.flush(g.generation); err != nil {
		return err
	}
	if err := g.db.Compact(ctx, []byte{0}, []byte{0xff}, true); err != nil {
		return fmt.Errorf("kv: reclaim space: %w", err)
	}
	return nil
}

// ImageBytes implements [statemachine.Sized]. It is settled when everything that
// compactions put out of reach is purged, and no tables are being merged.
func (s *Store) ImageBytes() (size int64, settled bool) {
	g, err := s.acquire()
	if err != nil {
		return 0, false
	}
	defer g.release()
	g.settle()
	_, size = s.Size()
	return size, g.purger.idle(g.state.Load().compacted) && g.db.Metrics().Compact.NumInProgress == 0
}
