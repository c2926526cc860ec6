package process

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// observers are clients with a watch each, and what they were told. Each may go
// to any member, and begins at another one.
type observers struct {
	t     *testing.T
	stop  context.CancelFunc
	wg    sync.WaitGroup
	mu    sync.Mutex
	heard [][]string // by observer
	last  []int64    // revision, by observer
}

func newObservers(t *testing.T, n int, ms []*member) *observers {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	o := &observers{t: t, stop: stop, heard: make([][]string, n), last: make([]int64, n)}
	for i := range n {
		o.wg.Go(func() { o.watch(ctx, i, ms) })
	}
	t.Cleanup(o.end)
	return o
}

func (o *observers) end() { o.stop(); o.wg.Wait() }

func (o *observers) watch(ctx context.Context, i int, ms []*member) {
	var endpoints []string
	for j := range ms {
		endpoints = append(endpoints, ms[(i+j)%len(ms)].client)
	}
	c, err := clientv3.New(clientv3.Config{Endpoints: endpoints, Logger: zap.NewNop(), DialTimeout: time.Second})
	if err != nil {
		o.t.Error(err)
		return
	}
	defer c.Close()
	for r := range c.Watch(clientv3.WithRequireLeader(ctx), "told/", clientv3.WithPrefix(), clientv3.WithRev(1), clientv3.WithPrevKV()) {
		if r.Err() != nil && ctx.Err() == nil {
			o.t.Errorf("observer %d: %v", i, r.Err())
		}
		o.mu.Lock()
		for _, e := range r.Events {
			o.heard[i] = append(o.heard[i], describeEvent(e))
			o.last[i] = e.Kv.ModRevision
		}
		o.mu.Unlock()
	}
}

func describeEvent(e *clientv3.Event) string {
	s := fmt.Sprintf("%v %s=%s at %d", e.Type, e.Kv.Key, e.Kv.Value, e.Kv.ModRevision)
	if e.PrevKv != nil {
		s += fmt.Sprintf(" was %s at %d", e.PrevKv.Value, e.PrevKv.ModRevision)
	}
	return s
}

// reach waits until every observer has heard of the revision.
func (o *observers) reach(rev int64) {
	o.t.Helper()
	eventually(o.t, fmt.Sprintf("every observer has heard of revision %d", rev), func() bool {
		return o.least() >= rev
	})
}

// least is the revision that every observer has heard of.
func (o *observers) least() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Min(o.last)
}

// Watches go on at another member when theirs is killed, without a gap and
// without a repetition: each is told what a watch is told that reads all of
// history at the end.
func TestWatchesOutliveMembers(t *testing.T) {
	ms := formed(t)
	o := newObservers(t, 6, ms)
	c := dial(t, ms...)
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
			key := fmt.Sprint("told/", rand.IntN(5))
			wctx, cancel := context.WithTimeout(ctx, 2*electionTimeout)
			if i%7 == 0 {
				_, _ = c.Delete(wctx, key) // whether it happened, the watches will tell
			} else {
				_, _ = c.Put(wctx, key, fmt.Sprint(i))
			}
			cancel()
		}
	})
	for _, m := range ms {
		o.reach(o.least() + 50)
		m.Kill()
		others := make([]*member, 0, len(ms))
		for _, other := range ms {
			if other != m {
				others = append(others, other)
			}
		}
		leader(t, others)
		o.reach(o.least() + 50)
		m.start()
		ready(t, ms...)
	}
	close(stop)
	writer.Wait()
	end, err := c.Put(ctx, "told/end", "")
	if err != nil {
		t.Fatal(err)
	}
	o.reach(end.Header.Revision)
	o.end()
	all := newObservers(t, 1, ms)
	all.reach(end.Header.Revision)
	all.end()
	want := all.heard[0]
	if len(want) < 100 {
		t.Errorf("%d events: hardly anything was tried", len(want))
	}
	for i, got := range o.heard {
		for n := range max(len(got), len(want)) {
			if n >= len(got) || n >= len(want) || got[n] != want[n] {
				t.Fatalf("observer %d heard %d events of %d, and the one at %d differs: %q, %q", i, len(got), len(want), n, got[min(n, len(got)):min(n+2, len(got))], want[min(n, len(want)):min(n+2, len(want))])
			}
		}
	}
}
