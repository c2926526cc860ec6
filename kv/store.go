package kv

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/musterhq/muster/statemachine"
)

var (
	_ statemachine.Machine  = (*Store)(nil)
	_ statemachine.Preparer = (*Store)(nil)
	_ statemachine.Sized    = (*Store)(nil)
)

// Store is the machine. Of its methods, those of [statemachine.Machine]
// belong to the goroutine that drives it; all others, and Durable and Prepare,
// may be called from any, at any time.
type Store struct {
	opt   Options
	purge purgeLimits
	dir   string        // set by Open
	cache *pebble.Cache // set by Open

	applier applier // belongs to the driving goroutine
	known   known
	hub     hub
	counts  counts

	mu   sync.RWMutex
	live *generation // nil while not open

	backups atomic.Int64   // taken so far
	hashing chan struct{}  // holds one value while a hash is taken
	retired sync.WaitGroup // databases that Restore replaced and readers still use

	failOnce sync.Once
	failed   chan struct{} // closed once failErr is set
	failErr  error
}

// New makes a store that is not open yet. It starts nothing.
func New(opt Options) *Store {
	s := &Store{
		opt: opt.withDefaults(), purge: defaultPurgeLimits(),
		failed: make(chan struct{}), hashing: make(chan struct{}, 1),
	}
	s.applier.known, s.applier.hub, s.applier.counts = &s.known, &s.hub, &s.counts
	s.applier.limits, s.applier.committed = defaultPieceLimits(), s.opt.OnCommit
	s.hub.init()
	s.known.tokens = s.opt.Tokens
	return s
}

// fail stops the store for good: what could not be written once is not
// written again.
func (s *Store) fail(err error) {
	s.failOnce.Do(func() {
		s.failErr = err
		close(s.failed)
	})
}

// failure is why the store stopped, or nil.
func (s *Store) failure() error {
	select {
	case <-s.failed:
		return fmt.Errorf("kv: store %s stopped: %w", s.dir, s.failErr)
	default:
		return nil
	}
}

// Open implements [statemachine.Machine]. The directory may be empty. Nothing
// of the keys is loaded, so that it takes about as long for many as for few.
func (s *Store) Open(dir string) (applied uint64, err error) {
	if s.dir != "" {
		return 0, errors.New("kv: a store is opened once; make another with kv.New")
	}
	s.dir = dir
	name, err := s.recoverDir()
	if err != nil {
		return 0, fmt.Errorf("kv: open store %s: %w", dir, err)
	}
	s.cache = pebble.NewCache(s.opt.CacheBytes)
	g, err := s.openGeneration(name)
	if err != nil {
		s.cache.Unref()
		return 0, fmt.Errorf("kv: %w", err)
	}
	if err := s.takeBack(g); err != nil {
		s.cache.Unref()
		return 0, errors.Join(fmt.Errorf("kv: %w", err), g.db.Close())
	}
	if err := s.applier.attach(g); err != nil {
		s.cache.Unref()
		return 0, errors.Join(fmt.Errorf("kv: open database %s: %w", s.path(name), err), g.db.Close())
	}
	s.startPurge(g)
	s.swap(g)
	s.hub.reset(g.state.Load().current)
	return g.state.Load().applied, nil
}

// Apply implements [statemachine.Machine]. The results are a [Reply] for each
// entry that is wanted and nil for the others. A refused command is a Reply
// and no error. What readers see moves at once, from before the call to after.
func (s *Store) Apply(through uint64, entries []statemachine.Entry) ([]statemachine.Result, error) {
	if err := s.failure(); err != nil {
		return nil, err
	}
	if s.live == nil {
		return nil, ErrClosed
	}
	results, err := s.apply(s.live, through, entries)
	if err != nil {
		s.fail(err)
		return nil, s.failure()
	}
	return results, nil
}

func (s *Store) apply(g *generation, through uint64, entries []statemachine.Entry) (results []statemachine.Result, err error) {
	a := &s.applier
	if at := g.state.Load().applied; through < at || len(entries) > 0 && entries[0].Index <= at {
		return nil, fmt.Errorf("apply through %d: the state is at index %d already", through, at)
	}
	defer func() {
		if ferr := a.finish(); err == nil && ferr != nil {
			results, err = nil, ferr
		}
	}()
	if err := a.start(g); err != nil {
		return nil, err
	}
	results = make([]statemachine.Result, len(entries))
	for i, e := range entries {
		reply, err := a.run(e)
		if err != nil {
			return nil, err
		}
		if e.Wanted {
			results[i] = reply
		}
	}
	if err := a.commit(g, &state{applied: through, current: a.begin, compacted: a.compacted}); err != nil {
		return nil, err
	}
	return results, s.settleRecent(g)
}

// commit writes everything pending and the state in one batch, then lets the
// readers see it, and pieces that were written before.
func (a *applier) commit(g *generation, st *state) error {
	b := g.db.NewBatchWithSize(batchSize(a.pend.changes))
	defer closeQuietly(b)
	if err := a.enc.encode(b, a.pend.changes, st); err != nil {
		return err
	}
	if err := a.facts.encode(b); err != nil {
		return err
	}
	if err := a.apply(g, b); err != nil {
		return fmt.Errorf("write revisions up to %d: %w", st.current, err)
	}
	a.recent.take(a.pend.changes)
	st.auth = a.known.auth.p
	moved := st.compacted != g.state.Load().compacted
	g.state.Store(st)
	a.known.leases.publish()
	if moved && g.purger != nil {
		g.purger.kick()
	}
	if a.hub != nil {
		a.hub.committed(a.pend.changes, a.pieces == 0, st.current)
	}
	return nil
}

// Range answers a range at one revision, concurrently with Apply. It takes
// the request as it is; see [Check]. The errors are [ErrFutureRev],
// [ErrCompacted], [ErrClosed], ctx's, and those of the disk.
func (s *Store) Range(ctx context.Context, r *pb.RangeRequest) (*pb.RangeResponse, error) {
	var resp *pb.RangeResponse
	err := s.read(func(v *view) (err error) {
		resp, err = v.rangeKeys(ctx, r)
		return err
	})
	s.counts.ranges.Add(1)
	return resp, err
}

// ReadTxn answers a transaction that holds neither puts nor deletes, at one
// revision and concurrently with Apply. The errors are those of Range.
func (s *Store) ReadTxn(ctx context.Context, t *pb.TxnRequest) (*pb.TxnResponse, error) {
	var resp *pb.TxnResponse
	err := s.read(func(v *view) error {
		b, err := v.choose(t)
		if err != nil {
			return err
		}
		if resp, err = v.readTxn(ctx, b); err != nil {
			return err
		}
		resp.Header.Revision = v.rev
		s.counts.read(b)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// read runs f with a view of the present.
func (s *Store) read(f func(*view) error) (err error) {
	g, err := s.acquire()
	if err != nil {
		return err
	}
	v := readView(g)
	defer func() {
		if cerr := v.close(); err == nil {
			err = cerr
		}
		v.hold.release()
		v.recycle()
	}()
	return f(v)
}

// Revision returns the revision of the last write, 1 if there was none, and
// the one below which history is compacted, 0 if none is. Both are 0 while the
// store is not open.
func (s *Store) Revision() (current, compacted int64) {
	g, err := s.acquire()
	if err != nil {
		return 0, 0
	}
	defer g.release()
	st := g.state.Load()
	return st.current, max(st.compacted, 0)
}

// Close implements [statemachine.Machine]. It waits for reads that are under
// way, makes what was applied durable so that the next start has less to
// repeat, and returns when nothing of the store runs any more. Closing again
// does nothing.
func (s *Store) Close() error {
	g := s.swap(nil)
	s.hub.close()
	s.retired.Wait()
	if g == nil {
		return nil
	}
	g.readers.Wait()
	g.purger.stop()
	ferr := s.flush(g)
	err := g.db.Close()
	s.cache.Unref()
	s.applier = applier{known: &s.known, hub: &s.hub, counts: &s.counts}
	s.known.alarms.list.Store(nil)
	s.known.leases.replace(nil)
	s.known.auth.p = nil
	return errors.Join(ferr, err)
}
