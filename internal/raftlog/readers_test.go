package raftlog

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"go.etcd.io/raft/v3"

	"github.com/musterhq/muster/internal/crashfs"
)

// TestReadersSeeWholeBatches runs readers beside a writer that appends,
// overwrites and compacts. A batch has four entries of one term.
func TestReadersSeeWholeBatches(t *testing.T) {
	l := open(t, Options{FS: crashfs.New(), SegmentBytes: 4000, CacheBytes: 3000})
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := readSome(l); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range uint64(1500) {
		last := l.LastIndex()
		if i%7 == 6 {
			last -= 4
		}
		must(t, l.Append([]Batch{{Entries: run(last+1, i+1, 2, 50)}, {Entries: run(last+3, i+1, 2, 300)}}))
		if i%50 == 49 {
			must(t, l.Compact(last-40))
		}
	}
	close(done)
	wg.Wait()
	must(t, l.Close())
}

func readSome(l *Log) error {
	last := l.LastIndex()
	if last%4 != 0 {
		return fmt.Errorf("half a batch is seen: last index %d", last)
	}
	_ = l.HardState()
	lo := max(l.FirstIndex(), last-min(last, 60))
	if lo >= last {
		return nil
	}
	es, err := l.Entries(lo, last+1, 5000)
	switch {
	case errors.Is(err, raft.ErrCompacted), errors.Is(err, raft.ErrUnavailable):
		return nil // meanwhile
	case err != nil:
		return err
	}
	for k, e := range es {
		if e.GetIndex() != lo+uint64(k) {
			return fmt.Errorf("entry %d at the place of %d", e.GetIndex(), lo+uint64(k))
		}
		if i := e.GetIndex(); k > 0 && i%4 != 1 && e.GetTerm() != es[k-1].GetTerm() {
			return fmt.Errorf("entries %d and %d of one batch have terms %d and %d", i-1, i, es[k-1].GetTerm(), e.GetTerm())
		}
		if want := ent(e.GetIndex(), e.GetTerm(), len(e.GetData())); string(want.GetData()) != string(e.GetData()) {
			return fmt.Errorf("entry %d has another's data", e.GetIndex())
		}
	}
	return nil
}
