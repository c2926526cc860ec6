package kv

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// generation is one database of the store's life: the one that Open found, or
// one that Restore brought. Readers hold on to the one they started with.
type generation struct {
	name    string // of its directory
	db      *pebble.DB
	state   atomic.Pointer[state] // as of the last commit; set by the driving goroutine
	flushed atomic.Bool           // set when more of it became durable; for the applier
	pending atomic.Int64          // bytes written and not flushed, about
	readers sync.WaitGroup
	era     *era    // of the readers that begin now; guarded by Store.mu
	purger  *purger // set before it becomes live; nil for a database that is only looked at
}

// hold is a reader's on a database.
type hold struct {
	*generation
	era *era // nil once settled
}

// openGeneration opens the database in the store's subdirectory name.
func (s *Store) openGeneration(name string) (*generation, error) {
	g := &generation{name: name, era: &era{}}
	db, err := pebble.Open(s.path(name), s.pebbleOptions(g))
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", s.path(name), err)
	}
	g.db = db
	st, err := readState(db, nil)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", s.path(name), err), db.Close())
	}
	g.state.Store(st)
	return g, nil
}

// readState reads the state from all of the database, or from what opt leaves
// of it. Where there is none, the store is empty.
func readState(db pebble.Reader, opt *pebble.IterOptions) (st *state, err error) {
	it, err := db.NewIter(opt)
	if err != nil {
		return nil, err
	}
	defer func() {
		if cerr := it.Close(); err == nil {
			err = cerr
		}
	}()
	if !it.SeekPrefixGE(stateKey()) {
		if err := it.Error(); err != nil {
			return nil, err
		}
		return emptyState(), nil
	}
	b, err := it.ValueAndErr()
	if err != nil {
		return nil, err
	}
	return decodeState(b)
}

// durable is the state that survives power loss.
func (g *generation) durable() (*state, error) {
	st, err := readState(g.db, &pebble.IterOptions{OnlyReadGuaranteedDurable: true})
	if err != nil {
		return nil, fmt.Errorf("read the durable state of %s: %w", g.name, err)
	}
	return st, nil
}

// acquire takes hold of the live generation; the caller must release it. Until
// then, or until it is settled, nothing is purged that a compaction after the
// call puts out of reach.
func (s *Store) acquire() (hold, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.live == nil {
		return hold{}, ErrClosed
	}
	s.live.readers.Add(1)
	s.live.era.Add(1)
	return hold{s.live, s.live.era}, nil
}

// settle says that the holder has opened all iterators that it needs, and
// keeps no purge waiting. Who holds on for long must settle early.
func (h *hold) settle() {
	if h.era != nil {
		h.era.Done()
		h.era = nil
	}
}

func (h *hold) release() {
	h.settle()
	h.readers.Done()
}

// swap makes g the live generation and returns the one before.
func (s *Store) swap(g *generation) *generation {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.live
	s.live = g
	return old
}

// flush makes what was applied before the call durable.
func (s *Store) flush(g *generation) error {
	if err := s.failure(); err != nil {
		return err
	}
	done, err := g.db.AsyncFlush()
	if err != nil {
		return fmt.Errorf("flush database %s: %w", g.name, err)
	}
	select {
	case <-done:
		return s.failure()
	case <-s.failed:
		// Pebble repeats a failed flush for ever, and done may never come.
		return s.failure()
	}
}

// closeWhenUnused waits for the readers, then closes the database.
func (g *generation) closeWhenUnused() error {
	g.readers.Wait()
	if g.purger != nil {
		g.purger.stop()
	}
	return g.db.Close()
}

func closeQuietly(c io.Closer) { _ = c.Close() }
