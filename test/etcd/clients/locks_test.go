package clients

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	recipe "go.etcd.io/etcd/client/v3/experimental/recipes"

	"github.com/musterhq/muster/test/etcd/internal/system"
)

// session lives for a minute without being kept alive: no pause of the machine
// ends it.
func session(t *testing.T, client *clientv3.Client) *concurrency.Session {
	t.Helper()
	var s *concurrency.Session
	err := again(patience(t), func() (err error) {
		s, err = concurrency.NewSession(client, concurrency.WithTTL(60))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const lockers, rounds = 4, 5

// mutex has several hold a lock in turn, and add one to a number that only the
// lock protects. A write is fenced: it holds only while its writer has the lock.
func mutex(t *testing.T, c *system.Cluster) {
	key := prefix(t) + "number"
	put(t, connect(t, c), key, "0")
	var wg sync.WaitGroup
	for range lockers {
		client := connect(t, c)
		m := concurrency.NewMutex(session(t, client), prefix(t)+"lock")
		wg.Go(func() {
			ctx := patience(t)
			for range rounds {
				if err := addOne(ctx, client, m, key); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if got := number(t, connect(t, c), key); got != lockers*rounds {
		t.Errorf("%d increments made %d", lockers*rounds, got)
	}
}

// addOne is repeated as a whole: its write takes effect once, for it names the
// value that it follows.
func addOne(ctx context.Context, client *clientv3.Client, m *concurrency.Mutex, key string) error {
	if err := again(ctx, func() error { return m.Lock(ctx) }); err != nil {
		return err
	}
	var before *clientv3.GetResponse
	if err := again(ctx, func() (err error) { before, err = client.Get(ctx, key); return err }); err != nil {
		return err
	}
	n, err := strconv.Atoi(string(before.Kvs[0].Value))
	if err != nil {
		return err
	}
	same := clientv3.Compare(clientv3.ModRevision(key), "=", before.Kvs[0].ModRevision)
	err = again(ctx, func() error {
		_, err := client.Txn(ctx).If(m.IsOwner(), same).Then(clientv3.OpPut(key, strconv.Itoa(n+1))).Commit()
		return err
	})
	if err != nil {
		return err
	}
	return again(ctx, func() error { return m.Unlock(ctx) })
}

func number(t *testing.T, client *clientv3.Client, key string) int {
	t.Helper()
	ctx := patience(t)
	var resp *clientv3.GetResponse
	if err := again(ctx, func() (err error) { resp, err = client.Get(ctx, key); return err }); err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(string(resp.Kvs[0].Value))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// rwMutex lets readers in together, and a writer alone.
func rwMutex(t *testing.T, c *system.Cluster) {
	lock := func() *recipe.RWMutex { return recipe.NewRWMutex(session(t, connect(t, c)), prefix(t)+"lock") }
	one, two, writer := lock(), lock(), lock()
	for _, r := range []*recipe.RWMutex{one, two} {
		if err := r.RLock(); err != nil {
			t.Fatal(err)
		}
	}
	in := make(chan error, 1)
	go func() { in <- writer.Lock() }()
	select {
	case err := <-in:
		t.Fatalf("a writer came in beside two readers: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	for _, r := range []*recipe.RWMutex{one, two} {
		if err := r.RUnlock(); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-in:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(system.Patience):
		t.Fatal("the writer doesn't come in after the readers left")
	}
	if err := writer.Unlock(); err != nil {
		t.Fatal(err)
	}
}

// election has a second candidate follow when the first one's session ends.
func election(t *testing.T, c *system.Cluster) {
	ctx := patience(t)
	first, second := session(t, connect(t, c)), session(t, connect(t, c))
	if err := again(ctx, func() error { return concurrency.NewElection(first, prefix(t)).Campaign(ctx, "first") }); err != nil {
		t.Fatal(err)
	}
	follows := concurrency.NewElection(second, prefix(t))
	won := make(chan error, 1)
	go func() { won <- again(ctx, func() error { return follows.Campaign(ctx, "second") }) }()
	leaders := concurrency.NewElection(session(t, connect(t, c)), prefix(t)).Observe(ctx)
	seen := false
	for resp := range leaders {
		switch string(resp.Kvs[0].Value) {
		case "first":
			if !seen {
				seen = true
				_ = again(ctx, func() error { return revoke(ctx, first) }) // if it fails, nobody follows
			}
		case "second":
			if err := <-won; err != nil {
				t.Fatal(err)
			}
			if !seen {
				t.Error("the first leader was never seen")
			}
			return
		}
	}
	t.Fatal("the second candidate didn't become leader")
}

// revoke ends a session; one that has ended already is fine.
func revoke(ctx context.Context, s *concurrency.Session) error {
	_, err := s.Client().Revoke(ctx, s.Lease())
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return nil
	}
	return err
}
