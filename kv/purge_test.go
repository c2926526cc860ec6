package kv

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/musterhq/muster/kv/internal/mvcc"
)

// store makes one whose purger takes small bites, as many as are allowed.
func (w *world) store() *Store {
	s := New(smallOptions(w.disk))
	s.purge = purgeLimits{window: 1 + w.rnd.IntN(4000), batch: 1 + w.rnd.IntN(400), step: func(quit <-chan struct{}) error {
		select {
		case <-w.bites:
			return nil
		case <-quit:
			return errPurgeStopped
		}
	}}
	return s
}

// purge lets the purger write some batches, and sometimes all.
func (w *world) purge() {
	w.t.Helper()
	for range w.rnd.IntN(20) {
		w.bites <- struct{}{}
	}
	if w.rnd.IntN(4) == 0 {
		w.purgeAll()
	}
}

func (w *world) purgeAll() {
	w.t.Helper()
	free := make(chan struct{})
	var feeding sync.WaitGroup
	feeding.Go(func() {
		for {
			select {
			case w.bites <- struct{}{}:
			case <-free:
				return
			}
		}
	})
	must(w.t, w.s.Purged(context.Background()))
	close(free)
	feeding.Wait()
	for len(w.bites) > 0 {
		<-w.bites
	}
}

// versions lists what the database holds of keys, as key@main.sub, with - for
// a tombstone.
func versions(t testing.TB, s *Store) (out []string) {
	t.Helper()
	lower, upper := span{open: true}.bounds()
	it, err := s.live.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	must(t, err)
	defer it.Close()
	for it.First(); it.Valid(); it.Next() {
		user, _, rev, _ := mvcc.SplitVersion(it.Key(), nil)
		out = append(out, describeVersion(string(user), rev.Main, len(it.Value()) == 0))
	}
	must(t, it.Error())
	slices.Sort(out)
	return out
}

func describeVersion(key string, main int64, deleted bool) string {
	if deleted {
		return fmt.Sprintf("%q@%d-", key, main)
	}
	return fmt.Sprintf("%q@%d", key, main)
}

// left is what a purge leaves: the newest version before the mark, if it is
// live and nothing of the mark itself replaces it; and all from the mark on.
func (m *model) left() (out []string) {
	for key, versions := range m.hist {
		for i, v := range versions {
			last := i+1 == len(versions) || versions[i+1].main > m.compacted
			if v.main >= m.compacted || last && !v.deleted {
				out = append(out, describeVersion(key, v.main, v.deleted))
			}
		}
	}
	slices.Sort(out)
	return out
}

// samePurged lets the purge end: what is left is what the model says, to the
// version, and the answers are the same as before.
func (w *world) samePurged() {
	w.t.Helper()
	before, rev, err := w.s.Hash(context.Background())
	must(w.t, err)
	w.purgeAll()
	if got, want := versions(w.t, w.s), w.model.left(); !slices.Equal(got, want) {
		w.t.Errorf("compacted at %d, what is left is\n%v, want\n%v", w.model.compacted, got, want)
	}
	after, rev2, err := w.s.Hash(context.Background())
	if err != nil || before != after || rev != rev2 {
		w.t.Errorf("hash %08x at %d, %08x at %d when purged (%v)", before, rev, after, rev2, err)
	}
	w.sameEvents()
	for range 300 {
		w.read()
	}
}

// TestPurgeKeepsWhatEtcdKeeps: the mark's own revision stays whole, for a
// watch that starts there, until the compaction after.
func TestPurgeKeepsWhatEtcdKeeps(t *testing.T) {
	d := newDriver(t)
	d.put("a", "1")    // 2
	d.put("b", "1")    // 3
	d.put("a", "2")    // 4
	d.delete("b")      // 5
	d.put("c", "1")    // 6
	d.delete("c")      // 7
	d.put("a", "3")    // 8
	d.put("never", "") // 9
	for _, c := range []struct {
		at   int64
		want string
	}{
		{4, `["a"@4 "a"@8 "b"@3 "b"@5- "c"@6 "c"@7- "never"@9]`},
		{7, `["a"@4 "a"@8 "c"@7- "never"@9]`},
		{8, `["a"@8 "never"@9]`},
		{9, `["a"@8 "never"@9]`},
	} {
		d.do(&pb.CompactionRequest{Revision: c.at})
		must(t, d.Purged(context.Background()))
		if got := fmt.Sprint(versions(t, d.Store)); got != c.want {
			t.Errorf("compacted at %d: %s, want %s", c.at, got, c.want)
		}
	}
	if got := d.events(); got != "9.0 put never" {
		t.Errorf("event log: %s", got)
	}
}

// TestPurgeKeepsAllOfTheMark: the mark's command is longer than a record of
// the event log and a window of the purge.
func TestPurgeKeepsAllOfTheMark(t *testing.T) {
	d := newDriver(t)
	d.purge.window, d.purge.rest = 10<<10, 0
	const keys = 2000
	for i := range keys {
		d.put(fmt.Sprintf("%0100d", i), "")
	}
	d.do(&pb.DeleteRangeRequest{Key: []byte{0}, RangeEnd: []byte{0}})
	d.put("last", "")
	for mark, want := range []int{keys + 1, 1} {
		d.do(&pb.CompactionRequest{Revision: int64(keys + 2 + mark)})
		must(t, d.Purged(context.Background()))
		if events := readEvents(t, d.Store); len(events) != want {
			t.Errorf("%d changes are in the event log, want %d", len(events), want)
		}
		if left := versions(t, d.Store); len(left) != want {
			t.Errorf("%d versions are left, want %d", len(left), want)
		}
	}
}

// TestPurgeSparesNewKeys: of a put that created its key, nothing is searched
// that it might have superseded: one that was planted there stays.
func TestPurgeSparesNewKeys(t *testing.T) {
	d := newDriver(t)
	d.put("a", "1") // 2
	d.put("b", "1") // 3
	d.put("b", "2") // 4
	must(t, d.purged(4))
	d.put("b", "3") // 5
	plant := func(key string) {
		t.Helper()
		at := mvcc.AppendSuffix(mvcc.AppendPrefix(nil, []byte(key)), mvcc.Revision{Main: 1})
		must(t, d.live.db.Set(at, []byte("\x00\x01\x00old"), pebble.NoSync))
	}
	plant("c")
	d.put("c", "1") // 6: found none, as what is planted is in no table
	must(t, d.purged(6))
	if got, want := fmt.Sprint(versions(t, d.Store)), `["a"@2 "b"@5 "c"@1 "c"@6]`; got != want {
		t.Errorf("left is %s, want %s", got, want)
	}
}

// purged compacts at rev and waits for the purge.
func (d *driver) purged(rev int64) error {
	d.Helper()
	d.do(&pb.CompactionRequest{Revision: rev})
	return d.Purged(context.Background())
}

// TestPurgeWaitsForReaders: a reader that began before the compaction sees
// what it would have seen; one that has all its iterators holds nothing up.
func TestPurgeWaitsForReaders(t *testing.T) {
	d := newDriver(t)
	d.put("a", "1")
	var early int64
	must(t, d.read(func(v *view) error {
		d.put("a", "2")
		d.do(&pb.CompactionRequest{Revision: 3})
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		if err := d.Purged(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("purged under a reader: %v", err)
		}
		it, ok, err := v.get([]byte("a"), v.rev)
		if early = it.mod; !ok || err != nil {
			t.Errorf("the reader finds nothing: %v", err)
		}
		v.hold.settle()
		return d.Purged(context.Background())
	}))
	if got := fmt.Sprint(versions(t, d.Store)); early != 2 || got != `["a"@3]` {
		t.Errorf("read revision %d, want 2; left is %s", early, got)
	}
}

// TestPurgeGoesOn: a purge that Close cut short is taken up by Open.
func TestPurgeGoesOn(t *testing.T) {
	disk := vfs.NewMem()
	s := filled(t, disk, "kv", "v", 400)
	bites := 0
	stuck := make(chan struct{})
	s.purge = purgeLimits{window: 500, batch: 100, step: func(quit <-chan struct{}) error {
		if bites++; bites < 20 {
			return nil
		}
		close(stuck)
		<-quit
		return errPurgeStopped
	}}
	d := &driver{TB: t, Store: s, index: 400}
	d.do(&pb.CompactionRequest{Revision: 400})
	<-stuck
	must(t, s.Close())
	again, looked := New(smallOptions(disk)), make(chan struct{})
	again.purge = purgeLimits{window: 500, batch: 100, step: func(<-chan struct{}) error { <-looked; return nil }}
	_, err := again.Open("kv")
	must(t, err)
	if n := len(versions(t, again)); n <= 11 || n >= 400 {
		t.Errorf("%d versions are left of a purge cut short", n)
	}
	close(looked)
	must(t, again.Purged(context.Background()))
	if n := len(versions(t, again)); n != 11 {
		t.Errorf("%d versions are left, want the newest of ten keys and one after the mark", n)
	}
	must(t, again.Close())
}

// TestPurgeFails: a batch that can't be written stops the store.
func TestPurgeFails(t *testing.T) {
	d := newDriver(t)
	broken := errors.New("broken")
	d.purge.step = func(<-chan struct{}) error { return broken }
	d.put("a", "1")
	d.put("a", "2")
	d.do(&pb.CompactionRequest{Revision: 3})
	if err := d.Purged(context.Background()); !errors.Is(err, broken) {
		t.Errorf("Purged: %v, want %v", err, broken)
	}
	if _, err := d.Apply(d.index+1, nil); !errors.Is(err, broken) {
		t.Errorf("Apply: %v, want %v", err, broken)
	}
}

// TestPurgeCutShort crashes at every write of a purge whose deletes are
// flushed a few at a time. Whatever is left of it, a key's newest version is
// right, as the next command sees it, and the purge ends as if nothing had been.
func TestPurgeCutShort(t *testing.T) {
	mem := vfs.NewCrashableMem()
	var mu sync.Mutex
	var after []*vfs.MemFS
	var armed atomic.Bool
	rnd := newRand(11)
	disk := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if armed.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && len(after) < 150 {
			after = append(after, mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: pick(rnd, 0, 50, 100), RNG: rnd}))
		}
		return nil
	}))
	s := filled(t, disk, "kv", "v", 100)
	d := &driver{TB: t, Store: s, index: 100}
	for i := range 5 {
		d.delete(fmt.Sprint(i))
	}
	durable := make(chan struct{}) // what the purge begins from
	s.purge = purgeLimits{window: 3200, batch: 40, step: func(<-chan struct{}) error {
		<-durable
		return s.flush(s.live)
	}}
	d.put("9", "last")
	d.do(&pb.CompactionRequest{Revision: 107})
	must(t, s.Prepare())
	armed.Store(true)
	close(durable)
	must(t, s.Purged(context.Background()))
	want := fmt.Sprint(versions(t, s))
	must(t, s.Close())
	if len(after) < 100 {
		t.Fatalf("no more than %d crashes", len(after))
	}
	for i, disk := range after {
		s := New(smallOptions(disk))
		applied, err := s.Open("kv")
		must(t, err)
		if applied != d.index {
			t.Fatalf("crash %d: applied %d, want %d", i, applied, d.index)
		}
		d := &driver{TB: t, Store: s, index: applied}
		d.expect(all(), "5=v@7.97.10 6=v@8.98.10 7=v@9.99.10 8=v@10.100.10 9=last@11.107.11", false, 5)
		must(t, s.Purged(context.Background()))
		if got := fmt.Sprint(versions(t, s)); got != want {
			t.Fatalf("crash %d: left is %s, want %s", i, got, want)
		}
		d.put("3", "") // deleted
		d.put("7", "")
		if got := show(d.get(all()).Kvs); got != "3=@108.108.1 5=v@7.97.10 6=v@8.98.10 7=@9.109.11 8=v@10.100.10 9=last@11.107.11" {
			t.Fatalf("crash %d: puts find their keys wrong: %s", i, got)
		}
		must(t, s.Close())
	}
}

// TestPurgeAfterStart: the many small memtables of a store that was just
// opened are no reason to wait.
func TestPurgeAfterStart(t *testing.T) {
	disk := vfs.NewMem()
	must(t, filled(t, disk, "kv", "v", 10).Close())
	s := New(Options{FS: disk, MemTableBytes: 64 << 20})
	_, err := s.Open("kv")
	must(t, err)
	d := &driver{TB: t, Store: s, index: 10}
	for range 3 { // each fills a memtable of the size that they start with
		d.put("large", string(make([]byte, 1<<20)))
	}
	if n := s.live.db.Metrics().MemTable.Count; n < 3 {
		t.Skipf("%d memtables", n)
	}
	d.do(&pb.CompactionRequest{Revision: 13})
	must(t, s.Purged(t.Context()))
	must(t, s.Close())
}
