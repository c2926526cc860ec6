package lessor_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/lessor"
	"github.com/musterhq/muster/kv"
	"github.com/musterhq/muster/mustertest"
	"github.com/musterhq/muster/statemachine"
)

// world is some members in virtual time, each with a store and a keeper.
type world struct {
	*mustertest.Cluster
	t       *testing.T
	ctx     context.Context
	mu      sync.Mutex
	keepers map[string]*lessor.Keeper
}

const noteEvery = 20 * time.Second

func story(t *testing.T, tell func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, ctx: t.Context(), keepers: map[string]*lessor.Keeper{}}
		w.Cluster = mustertest.New(t, mustertest.Options{
			Machine: func(string) statemachine.Machine {
				return kv.New(kv.Options{CacheBytes: 1 << 20, MemTableBytes: 1 << 20})
			},
			Config: func(name string, c *muster.Config) {
				c.Answer = func(ctx context.Context, _ cluster.NodeID, q []byte) ([]byte, error) {
					if k := w.keeper(name); k != nil {
						return k.Answer(ctx, q[1:])
					}
					return nil, muster.ErrRefused
				}
				next := c.OnEvent
				c.OnEvent = func(e event.Event) {
					if k := w.keeper(name); k != nil {
						k.Nudge()
					}
					if next != nil {
						next(e)
					}
				}
			},
		})
		w.start("n1", "n2", "n3")
		w.Ready(w.ctx)
		defer w.end("n1", "n2", "n3")
		tell(w)
	})
}

func (w *world) keeper(name string) *lessor.Keeper {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.keepers[name]
}

func (w *world) start(names ...string) {
	w.Start(names...)
	for _, name := range names {
		m := w.Member(name)
		k := lessor.NewKeeper(lessor.Config{
			Node: m.Node, Store: store(m), NoLeader: muster.ErrNotLeader, NoteEvery: noteEvery,
			Frame: func(q []byte) []byte { return append([]byte("L"), q...) },
		})
		k.Start()
		w.mu.Lock()
		w.keepers[name] = k
		w.mu.Unlock()
	}
}

// end stops keepers; the members go on.
func (w *world) end(names ...string) {
	for _, name := range names {
		w.mu.Lock()
		k := w.keepers[name]
		delete(w.keepers, name)
		w.mu.Unlock()
		if k != nil {
			k.Close()
		}
	}
}

func store(m *mustertest.Member) *kv.Store { return m.Machine.(*kv.Store) }

func (w *world) propose(cmd []byte, err error) kv.Reply {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	for {
		res, err := w.Leader(w.ctx).Propose(w.ctx, cmd)
		if err == nil {
			return res.(kv.Reply)
		}
		time.Sleep(time.Second)
	}
}

// grant makes a lease with two keys on it.
func (w *world) grant(id, ttl int64) {
	w.t.Helper()
	w.propose(kv.EncodeLeaseGrant(&pb.LeaseGrantRequest{ID: id, TTL: ttl}))
	for i := range 2 {
		r := w.propose(kv.EncodePut(&pb.PutRequest{Key: fmt.Appendf(nil, "%d/%d", id, i), Lease: id}))
		if r.Err != nil {
			w.t.Fatal(r.Err)
		}
	}
}

// alive says whether a lease and its keys are there, for all that a member knows.
func (w *world) alive(m *mustertest.Member, id int64) bool {
	w.t.Helper()
	synctest.Wait() // else the lease may end between the two looks
	prefix := fmt.Sprintf("%d/", id)
	resp, err := store(m).Range(w.ctx, &pb.RangeRequest{Key: []byte(prefix), RangeEnd: []byte(prefix[:len(prefix)-1] + "0")})
	if err != nil {
		w.t.Fatal(err)
	}
	_, ok := store(m).Lease(id)
	if ok != (len(resp.Kvs) == 2) {
		w.t.Fatalf("%s: lease %d is there: %v, and %d of its keys", m.Name, id, ok, len(resp.Kvs))
	}
	return ok
}

func (w *world) renew(name string, id, want int64) {
	w.t.Helper()
	got, err := w.keeper(name).Renew(w.ctx, []int64{id})
	if err != nil || got[0] != want {
		w.t.Errorf("%s renews %d: %d s, %v; want %d", name, id, got[0], err, want)
	}
}

// over waits until a lease is gone and says how long that took.
func (w *world) over(id int64) time.Duration {
	w.t.Helper()
	begun := time.Now()
	for w.alive(w.Leader(w.ctx), id) {
		time.Sleep(100 * time.Millisecond)
		if time.Since(begun) > time.Hour {
			w.t.Fatalf("lease %d never ends", id)
		}
	}
	return time.Since(begun)
}

func within(t *testing.T, what string, got, from, to time.Duration) {
	t.Helper()
	if got < from || got > to {
		t.Errorf("%s: after %v, want %v to %v", what, got, from, to)
	}
}

// TestExpiry: a lease ends when its time is over, its keys in one revision, and
// renewals through any member keep it.
func TestExpiry(t *testing.T) {
	story(t, func(w *world) {
		w.grant(1, 10)
		w.grant(2, 10)
		for range 20 {
			time.Sleep(5 * time.Second)
			for name := range w.keepers {
				w.renew(name, 1, 10)
			}
		}
		leader := w.Leader(w.ctx)
		if w.alive(leader, 2) || !w.alive(leader, 1) {
			t.Fatal("the one that is renewed is gone, or the other isn't")
		}
		before, _ := store(leader).Revision()
		within(t, "lease 1 is over", w.over(1), 10*time.Second, 11*time.Second)
		if after, _ := store(leader).Revision(); after != before+1 {
			t.Errorf("it took %d revisions", after-before)
		}
		for name, k := range w.keepers {
			w.renew(name, 1, 0)
			if _, _, ok, err := k.Left(w.ctx, 1); ok || err != nil {
				t.Errorf("%s: time of a lease that is gone: %v, %v", name, ok, err)
			}
		}
		w.grant(3, 60)
		time.Sleep(20*time.Second + 300*time.Millisecond)
		for name, k := range w.keepers {
			left, granted, ok, err := k.Left(w.ctx, 3)
			if left != 39 || granted != 60 || !ok || err != nil {
				t.Errorf("%s: %d of %d s are left, %v, %v", name, left, granted, ok, err)
			}
		}
	})
}

// TestLeaderDies: the next leader gives a lease all of its time again, and then
// ends it.
func TestLeaderDies(t *testing.T) {
	story(t, func(w *world) {
		w.grant(1, 15)
		time.Sleep(12 * time.Second)
		dead := w.Leader(w.ctx).Name
		w.end(dead)
		w.Crash(dead)
		w.Leader(w.ctx)
		within(t, "lease 1 is over", w.over(1), 13*time.Second, 17*time.Second)
	})
}

// TestManyLeaders: leaders that change often don't keep a lease for ever. What it
// has left is noted; a renewal takes that back.
func TestManyLeaders(t *testing.T) {
	story(t, func(w *world) {
		w.grant(1, 120)
		w.grant(2, 120)
		begun := time.Now()
		for time.Since(begun) < 20*time.Minute && w.alive(w.Leader(w.ctx), 1) {
			time.Sleep(noteEvery + 5*time.Second)
			w.renew("n1", 2, 120)
			leader := w.Leader(w.ctx)
			if err := leader.Transfer(w.ctx, 0); err != nil {
				t.Log(err)
			}
		}
		// Each leader notes once and then counts 5 s that the next one doesn't know of.
		within(t, "lease 1 is over", time.Since(begun), 120*time.Second, 200*time.Second)
		if !w.alive(w.Leader(w.ctx), 2) {
			t.Error("lease 2 is gone, which was renewed")
		}
	})
}

// TestNoteAndRenewal: a lease that was noted to have little left has all of its
// time once it was renewed, also with the next leader.
func TestNoteAndRenewal(t *testing.T) {
	story(t, func(w *world) {
		w.grant(1, 60)
		time.Sleep(45 * time.Second)
		if l, ok := store(w.Leader(w.ctx)).Lease(1); !ok || l.Remaining == 0 || l.Remaining > 41 {
			t.Fatalf("noted: %v, %v", l, ok)
		}
		w.renew("n2", 1, 60)
		if l, _ := store(w.Leader(w.ctx)).Lease(1); l.Remaining != 0 {
			t.Fatalf("noted after the renewal: %v", l)
		}
		dead := w.Leader(w.ctx).Name
		w.end(dead)
		w.Crash(dead)
		w.Leader(w.ctx)
		within(t, "lease 1 is over", w.over(1), 58*time.Second, 62*time.Second)
	})
}

// TestCutOffLeader: a leader that is cut off neither renews nor ends a lease: who
// asks it hears that it doesn't know, and what it had decided is refused.
func TestCutOffLeader(t *testing.T) {
	story(t, func(w *world) {
		w.grant(1, 15)
		time.Sleep(13 * time.Second)
		old := w.Leader(w.ctx)
		w.Isolate(old.Name)
		if got, err := w.keeper(old.Name).Renew(w.ctx, []int64{1}); err == nil {
			t.Errorf("a leader that is cut off renews: %v", got)
		}
		time.Sleep(8 * time.Second)
		if !w.alive(old, 1) {
			t.Error("a leader that is cut off ended a lease")
		}
		next := w.Leader(w.ctx)
		if next.Name == old.Name {
			t.Fatal("no other leads")
		}
		w.renew(next.Name, 1, 15)
		w.Heal()
		for range 5 {
			time.Sleep(10 * time.Second)
			if !w.alive(w.Leader(w.ctx), 1) {
				t.Fatal("the lease is gone, though it is renewed")
			}
			w.renew(old.Name, 1, 15)
		}
	})
}

// TestCutOffAtOnce: a leader that is cut off renews for less than a second on what a
// quorum has confirmed before, and what it promises then is kept by the next.
func TestCutOffAtOnce(t *testing.T) {
	story(t, func(w *world) {
		w.grant(1, 15)
		time.Sleep(10 * time.Second)
		old := w.Leader(w.ctx)
		w.renew(old.Name, 1, 15)
		if g := old.Glance(); g.Applied == 0 || g.Committed < g.Applied {
			t.Errorf("applied through %d of %d", g.Applied, g.Committed)
		}
		w.Isolate(old.Name)
		time.Sleep(700 * time.Millisecond)
		begun := time.Now()
		w.renew(old.Name, 1, 15)
		if took := time.Since(begun); took > 0 {
			t.Errorf("it took %v", took)
		}
		time.Sleep(100 * time.Millisecond)
		if got, err := w.keeper(old.Name).Renew(w.ctx, []int64{1}); err == nil {
			t.Errorf("renewed, on what was confirmed before it was cut off: %v", got)
		}
		if next := w.Leader(w.ctx); next.Name == old.Name {
			t.Fatal("no other leads")
		}
		w.over(1)
		within(t, "the lease is over", time.Since(begun), 15*time.Second, 18*time.Second)
	})
}

// TestBackAgain: renewals that wait while there is no leader are answered by the
// next one.
func TestBackAgain(t *testing.T) {
	story(t, func(w *world) {
		w.grant(1, 60)
		old := w.Leader(w.ctx).Name
		names := w.Others(old)
		w.Isolate(old)
		for _, name := range names {
			w.renew(name, 1, 60)
		}
		w.Partition([]string{"n1"}, []string{"n2"}, []string{"n3"})
		time.Sleep(5 * time.Second)
		if _, err := w.keeper("n1").Renew(w.ctx, []int64{1}); err == nil || !strings.Contains(err.Error(), muster.ErrNotLeader.Error()) {
			t.Errorf("without a leader: %v", err)
		}
	})
}

// TestRate: no more than a thousand leases a second are revoked because they are
// over, and all of them in the end.
func TestRate(t *testing.T) {
	story(t, func(w *world) {
		time.Sleep(lessor.DefaultGrace) // since the election
		const all = 3000
		var group sync.WaitGroup
		for id := range int64(all) {
			group.Go(func() { w.propose(kv.EncodeLeaseGrant(&pb.LeaseGrantRequest{ID: id + 1, TTL: 10})) })
		}
		group.Wait()
		begun := time.Now()
		leader := store(w.Leader(w.ctx))
		for len(leader.Leases()) == all {
			time.Sleep(100 * time.Millisecond)
		}
		within(t, "the first are over", time.Since(begun), 9*time.Second, 11*time.Second)
		begun = time.Now()
		for len(leader.Leases()) > 0 {
			time.Sleep(100 * time.Millisecond)
		}
		within(t, "all are over", time.Since(begun), 2*time.Second, 5*time.Second)
	})
}
