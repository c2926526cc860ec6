package kv

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// TestWatchersBesideWrites: readers that wait, in goroutines of their own, are
// each told every revision once, whether they are fast or dawdle, while the
// store is written to, flushed, and given images.
func TestWatchersBesideWrites(t *testing.T) {
	d := newDriver(t)
	d.hub.limits.inbox, d.hub.limits.tail, d.hub.limits.due = 4<<10, 2<<10, 4
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const last = 900
	var readers sync.WaitGroup
	for n := range 8 {
		readers.Go(func() {
			if err := readAll(ctx, d.Store, last, n%4 == 0); err != nil {
				t.Errorf("reader %d: %v", n, err)
			}
		})
	}
	rnd := newRand(6)
	for i := int64(2); i <= last; i++ {
		d.smallPieces(rnd)
		d.do(&pb.TxnRequest{Success: []*pb.RequestOp{deleteOp("c", "d"), putOp("c", ""), putOp("a", fmt.Sprint(i)), putOp("b", fmt.Sprint(i))}})
		if i%200 == 0 {
			dir := fmt.Sprint("image-", i)
			must(t, d.opt.FS.MkdirAll(dir, 0o755))
			must(t, d.Checkpoint(dir))
			must(t, d.Restore(dir, d.index))
		}
	}
	late := time.AfterFunc(time.Minute, cancel) // from now on: the writing may take long itself
	defer late.Stop()
	readers.Wait()
}

// readAll watches from the first revision on, in a group with another watch
// that never hears anything.
func readAll(ctx context.Context, s *Store, last int64, dawdle bool) error {
	g := s.NewWatches()
	defer g.Close()
	if _, err := g.Add(1, WatchSpec{Key: []byte("a"), End: []byte("c"), From: 2, PrevKV: dawdle}); err != nil {
		return err
	}
	if _, err := g.Add(2, WatchSpec{Key: []byte("never")}); err != nil {
		return err
	}
	for next := int64(2); next <= last; {
		b, err := g.Next(ctx)
		if err != nil {
			return err
		}
		for i, e := range b.Events {
			rev, key := next+int64(i/2), string("ab"[i%2])
			if b.IDs[0] != 1 || e.Kv.ModRevision != rev || string(e.Kv.Key) != key || string(e.Kv.Value) != fmt.Sprint(rev) {
				return fmt.Errorf("watch %d, event %d after revision %d: %v", b.IDs[0], i, next-1, e)
			}
		}
		if next += int64(len(b.Events) / 2); len(b.Events)%2 != 0 {
			return fmt.Errorf("a revision was divided: %v", b.Events)
		}
		if dawdle {
			time.Sleep(time.Millisecond)
		}
	}
	return nil
}

// TestWatchAfterClose: readers that wait hear of the end, with watches or
// without.
func TestWatchAfterClose(t *testing.T) {
	d := newDriver(t)
	with, without := d.NewWatches(), d.NewWatches()
	_, err := with.Add(1, WatchSpec{Key: []byte("a")})
	must(t, err)
	ended := make(chan error)
	for _, g := range []*Watches{with, without} {
		go func() { _, err := g.Next(t.Context()); g.Close(); ended <- err }()
	}
	must(t, d.Close())
	for range 2 {
		if err := <-ended; !errors.Is(err, ErrClosed) {
			t.Errorf("Next after Close: %v", err)
		}
	}
	if _, err := d.NewWatches().Add(1, WatchSpec{}); !errors.Is(err, ErrClosed) {
		t.Errorf("Add after Close: %v", err)
	}
}

// TestProgressFollowsEvents: no progress is told that is ahead of what the
// watch was given.
func TestProgressFollowsEvents(t *testing.T) {
	d := newDriver(t)
	g := d.NewWatches()
	defer g.Close()
	_, err := g.Add(1, WatchSpec{Key: []byte("a")})
	must(t, err)
	_, err = g.Add(2, WatchSpec{Key: []byte("b")})
	must(t, err)
	d.put("a", "x")
	if rev, ok := g.Progress(1); ok {
		t.Errorf("progress at %d before the event", rev)
	}
	if rev, ok := g.Progress(2); !ok || rev != 2 {
		t.Errorf("progress of another watch: %d, %v", rev, ok)
	}
	if rev, ok := g.ProgressAll(); ok {
		t.Errorf("progress of all at %d before the event", rev)
	}
	b, more, err := g.Poll()
	if err != nil || b == nil || b.IDs[0] != 1 || b.Revision != 2 || more {
		t.Fatalf("poll: %+v, %v, %v", b, more, err)
	}
	if rev, ok := g.ProgressAll(); !ok || rev != 2 {
		t.Errorf("progress of all after the event: %d, %v", rev, ok)
	}
}

// pollAll describes the events that there are for a group.
func pollAll(t *testing.T, g *Watches) (out string) {
	t.Helper()
	for more := true; more; {
		var b *WatchBatch
		var err error
		b, more, err = g.Poll()
		must(t, err)
		if b == nil {
			continue
		}
		for _, e := range b.Events {
			out += fmt.Sprintf(" %s=%s@%d", e.Kv.Key, e.Kv.Value, e.Kv.ModRevision)
		}
	}
	return out
}

// TestWatchLags: a watch that nobody reads for a while has everything later.
func TestWatchLags(t *testing.T) {
	d := newDriver(t)
	d.hub.limits.due = 2
	g := d.NewWatches()
	defer g.Close()
	for id, key := range []string{"a", "b"} {
		_, err := g.Add(int64(id), WatchSpec{Key: []byte(key)})
		must(t, err)
	}
	for _, v := range []string{"1", "2", "3", "4"} {
		d.put("a", v)
		if v == "2" {
			d.put("b", v)
		}
	}
	if st := d.WatchStats(); st != (WatchStats{Groups: 1, Watches: 2, Behind: 2}) {
		t.Errorf("stats while both lag: %+v", st)
	}
	if got := pollAll(t, g); got != " a=1@2 a=2@3 b=2@4 a=3@5 a=4@6" {
		t.Error("told of" + got)
	}
	if st := d.WatchStats(); st.Behind != 0 {
		t.Errorf("stats when all is told: %+v", st)
	}
}

// TestWatchSeesImage: what an image that is installed brings along is told.
func TestWatchSeesImage(t *testing.T) {
	d := newDriver(t)
	d.put("a", "1")
	d.put("b", "2")
	must(t, d.opt.FS.MkdirAll("image", 0o755))
	must(t, d.Checkpoint("image"))
	s := New(d.opt)
	must(t, d.opt.FS.MkdirAll("other", 0o755))
	_, err := s.Open("other")
	must(t, err)
	g := s.NewWatches()
	_, err = g.Add(1, WatchSpec{Key: []byte("a"), End: []byte("c")})
	must(t, err)
	must(t, s.Restore("image", d.index))
	if got := pollAll(t, g); got != " a=1@2 b=2@3" {
		t.Error("told of" + got)
	}
	g.Close()
	must(t, s.Close())
}

// TestNobodyWatches: what is applied while nobody watches is not kept.
func TestNobodyWatches(t *testing.T) {
	d := newDriver(t)
	for range 3 {
		g := d.NewWatches()
		_, err := g.Add(1, WatchSpec{Key: []byte("a")})
		must(t, err)
		d.put("a", "x")
		if len(d.hub.in.pages)+len(d.hub.tail.pages) != 1 {
			t.Error("a watched change is not kept")
		}
		g.Close()
		d.put("a", "y")
		if d.hub.in.pages != nil || d.hub.tail.pages != nil || len(d.hub.groups) > 0 {
			t.Error("something is kept for nobody")
		}
	}
}

// TestApplyTellsFewWatches: a group is woken by the time that Apply returns, unless
// watches are many, or somebody else is at it: then the hub's goroutine has to.
func TestApplyTellsFewWatches(t *testing.T) {
	d := newDriver(t)
	g := d.NewWatches()
	defer g.Close()
	_, err := g.Add(1, WatchSpec{Key: []byte("a")})
	must(t, err)
	d.hub.limits.few = 1
	d.put("a", "1")
	if len(g.wake) != 1 || len(d.hub.kick) != 0 {
		t.Errorf("one watch: woken %d times by Apply, left to the goroutine %d times", len(g.wake), len(d.hub.kick))
	}
	if got := pollAll(t, g); got != " a=1@2" {
		t.Errorf("told of%s", got)
	}
	<-g.wake
	d.hub.mu.Lock()
	d.put("a", "2")
	d.hub.mu.Unlock()
	if len(g.wake) != 0 || len(d.hub.kick) != 1 {
		t.Errorf("while somebody is at it: woken %d times by Apply, left to the goroutine %d times", len(g.wake), len(d.hub.kick))
	}
	<-d.hub.kick
	d.hub.limits.few = 0
	d.put("a", "3")
	if len(g.wake) != 0 || len(d.hub.kick) != 1 {
		t.Errorf("many watches: woken %d times by Apply, left to the goroutine %d times", len(g.wake), len(d.hub.kick))
	}
	if got := pollAll(t, g); got != " a=2@3 a=3@4" {
		t.Errorf("told of%s", got)
	}
}
