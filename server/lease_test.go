package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	locks "go.etcd.io/etcd/client/v3/concurrency"
	"go.uber.org/zap"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/internal/loopback"
)

// trio is three servers on real sockets, which found a cluster.
type trio struct {
	t       testing.TB
	servers []*Server
}

func startTrio(t testing.TB) *trio {
	t.Helper()
	addrs := loopback.Addrs(t, 6)
	x := &trio{t: t, servers: make([]*Server, 3)}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for i := range x.servers {
		s, err := Start(ctx, Config{
			Listen: addrs[3+i], CacheBytes: 1 << 20,
			Node: muster.Config{
				Name: fmt.Sprintf("n%d", i+1), DataDir: t.TempDir(), PeerListen: addrs[i], Seeds: addrs[:3],
				HeartbeatInterval: 50 * time.Millisecond, ElectionTimeout: 500 * time.Millisecond,
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		x.servers[i] = s
	}
	for _, s := range x.servers {
		if err := s.Ready(ctx); err != nil {
			t.Fatal(err)
		}
	}
	return x
}

// leader is the server that leads, and the others.
func (x *trio) leader() (leader *Server, others []*Server) {
	for {
		leader, others = nil, nil
		for _, s := range x.servers {
			select {
			case <-s.Done():
				continue
			default:
			}
			if st := s.Status(); st.Leader == st.Self.ID {
				leader = s
			} else {
				others = append(others, s)
			}
		}
		if leader != nil {
			return leader, others
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// client is one of etcd's, for some of the servers.
func (x *trio) client(of ...*Server) *clientv3.Client {
	x.t.Helper()
	var endpoints []string
	for _, s := range of {
		endpoints = append(endpoints, s.ClientAddr())
	}
	c, err := clientv3.New(clientv3.Config{Endpoints: endpoints, Logger: zap.NewNop(), DialTimeout: 10 * time.Second})
	if err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(func() { c.Close() })
	return c
}

// TestLeasesOutliveLeaders: a lease that a client keeps alive through a follower
// outlives the leader; one that nobody keeps alive ends, its keys with it.
func TestLeasesOutliveLeaders(t *testing.T) {
	x := startTrio(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	leader, others := x.leader()
	c := x.client(others...)
	const ttl = 6 // seconds: more than a busy machine takes from one step to the next
	kept, err := c.Grant(ctx, ttl)
	if err != nil {
		t.Fatal(err)
	}
	left, err := c.Grant(ctx, ttl)
	if err != nil {
		t.Fatal(err)
	}
	last := int64(0)
	for key, id := range map[string]clientv3.LeaseID{"kept": kept.ID, "left/1": left.ID, "left/2": left.ID} {
		resp, err := c.Put(ctx, key, "", clientv3.WithLease(id))
		if err != nil {
			t.Fatal(err)
		}
		last = max(last, resp.Header.Revision)
	}
	gone := c.Watch(ctx, "left/", clientv3.WithPrefix(), clientv3.WithRev(last+1))
	alive, err := c.KeepAlive(ctx, kept.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := leader.Close(); err != nil {
		t.Fatal(err)
	}
	var resp clientv3.WatchResponse
	for ended := false; !ended; {
		select {
		case _, ok := <-alive:
			if !ok {
				t.Fatal("the lease could not be kept alive")
			}
		case resp, ended = <-gone:
			if !ended {
				t.Fatal("the watch ended")
			}
		}
	}
	if resp, err := c.Get(ctx, "kept"); err != nil || len(resp.Kvs) != 1 {
		t.Errorf("the key on the lease that was kept alive: %v, %v", resp, err)
	}
	if len(resp.Events) != 2 || resp.Events[0].Kv.ModRevision != resp.Events[1].Kv.ModRevision || string(resp.Events[0].Kv.Key) != "left/1" {
		t.Errorf("the keys on the other went by %v", resp.Events)
	}
	if ttl, err := c.TimeToLive(ctx, left.ID); err != nil || ttl.TTL != -1 {
		t.Errorf("the other lease has %v, %v", ttl, err)
	}
}

// TestConcurrency: etcd's recipes for mutual exclusion and elections work, with
// the sessions of those who die.
func TestConcurrency(t *testing.T) {
	x := startTrio(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var count, inside atomic.Int32
	var group sync.WaitGroup
	for i := range 3 {
		c := x.client(x.servers[i])
		group.Go(func() {
			s, err := locks.NewSession(c, locks.WithTTL(10))
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			m := locks.NewMutex(s, "mutex/")
			for range 5 {
				if err := m.Lock(ctx); err != nil {
					t.Error(err)
					return
				}
				if inside.Add(1) != 1 {
					t.Error("two hold the mutex")
				}
				count.Add(1)
				inside.Add(-1)
				if err := m.Unlock(ctx); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if n := count.Load(); n != 15 {
		t.Errorf("locked %d times, want 15", n)
	}

	first, second := x.client(x.servers[0]), x.client(x.servers[1])
	one, err := locks.NewSession(first, locks.WithTTL(5))
	if err != nil {
		t.Fatal(err)
	}
	if err := locks.NewElection(one, "election").Campaign(ctx, "one"); err != nil {
		t.Fatal(err)
	}
	two, err := locks.NewSession(second, locks.WithTTL(60))
	if err != nil {
		t.Fatal(err)
	}
	one.Orphan() // it dies: nobody keeps its lease alive any more
	if err := locks.NewElection(two, "election").Campaign(ctx, "two"); err != nil {
		t.Fatal(err)
	}
	if resp, err := locks.NewElection(two, "election").Leader(ctx); err != nil || string(resp.Kvs[0].Value) != "two" {
		t.Errorf("elected: %v, %v", resp, err)
	}
	select {
	case <-two.Done():
		t.Error("its session has ended")
	default:
	}
}

// TestEarlyAnswers: before there is a server, and to what it doesn't know, the
// answer is that the question was not looked at.
func TestEarlyAnswers(t *testing.T) {
	e := &early{}
	if _, err := e.answer(t.Context(), 1, []byte{askLeases}); !errors.Is(err, muster.ErrRefused) {
		t.Errorf("early: %v", err)
	}
	e.leases.Store(newRig(t).leases)
	if _, err := e.answer(t.Context(), 1, []byte("?")); !errors.Is(err, muster.ErrRefused) {
		t.Errorf("unknown: %v", err)
	}
	if _, err := e.answer(t.Context(), 1, []byte{askLeases, 'r', 1}); err == nil || errors.Is(err, muster.ErrRefused) {
		t.Errorf("damaged: %v", err)
	}
}

// BenchmarkLeases has 10,000 leases, each with a key, and measures one round in
// which a tenth of them is revoked and granted anew while all others are kept alive
// through one member that does not lead.
func BenchmarkLeases(b *testing.B) {
	x := startTrio(b)
	_, others := x.leader()
	c := x.client(others[0])
	ctx := b.Context()
	const all = 10_000
	grant := func(i int) clientv3.LeaseID {
		g, err := c.Grant(ctx, 600)
		if err == nil {
			_, err = c.Put(ctx, fmt.Sprintf("key-%d", i), "", clientv3.WithLease(g.ID))
		}
		if err != nil {
			b.Error(err)
			return 0
		}
		return g.ID
	}
	ids := make([]clientv3.LeaseID, all)
	each := func(n int, f func(i int)) {
		var group sync.WaitGroup
		work := make(chan int)
		for range 64 {
			group.Go(func() {
				for i := range work {
					f(i)
				}
			})
		}
		for i := range n {
			work <- i
		}
		close(work)
		group.Wait()
	}
	each(all, func(i int) { ids[i] = grant(i) })
	round := 0
	for b.Loop() {
		each(all, func(i int) {
			if i%10 != round%10 {
				if _, err := c.KeepAliveOnce(ctx, ids[i]); err != nil {
					b.Error(err)
				}
				return
			}
			if _, err := c.Revoke(ctx, ids[i]); err != nil {
				b.Error(err)
			}
			ids[i] = grant(i)
		})
		round++
	}
	b.ReportMetric(float64(all)*float64(b.N)/b.Elapsed().Seconds(), "leases/s")
}
