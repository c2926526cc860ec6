package clients

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.etcd.io/etcd/client/v3/leasing"
	"go.etcd.io/etcd/client/v3/mirror"
	"go.etcd.io/etcd/client/v3/namespace"
	"go.etcd.io/etcd/client/v3/ordering"
	"go.etcd.io/etcd/client/v3/snapshot"
	"go.uber.org/zap"

	"github.com/musterhq/muster/test/etcd/internal/system"
)

// stm moves money between accounts in transactions that are tried again when
// others were quicker. No money is made or lost, nor twice moved.
func stm(t *testing.T, c *system.Cluster) {
	const accounts, each = 4, 100
	name := func(i int) string { return fmt.Sprint(prefix(t), i%accounts) }
	client := connect(t, c)
	for i := range accounts {
		put(t, client, name(i), strconv.Itoa(each))
	}
	var wg sync.WaitGroup
	for i := range lockers {
		client := connect(t, c)
		wg.Go(func() {
			ctx := patience(t)
			for j := range rounds {
				from, to := name(i+j), name(i+j+1)
				move := func(s concurrency.STM) error {
					a, _ := strconv.Atoi(s.Get(from)) // what isn't a number shows in the sum
					b, _ := strconv.Atoi(s.Get(to))
					s.Put(from, strconv.Itoa(a-1))
					s.Put(to, strconv.Itoa(b+1))
					return nil
				}
				err := again(ctx, func() error { _, err := concurrency.NewSTM(client, move); return err })
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	sum := 0
	for i := range accounts {
		sum += number(t, client, name(i))
	}
	if sum != accounts*each {
		t.Errorf("%d in the accounts at last, %d at first", sum, accounts*each)
	}
}

// leasingKV reads from a cache that a lease protects: what another client
// writes is read at once all the same.
func leasingKV(t *testing.T, c *system.Cluster) {
	ctx := patience(t)
	open := func() clientv3.KV {
		kv, closeKV, err := leasing.NewKV(connect(t, c), prefix(t)+"lease/")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(closeKV)
		return kv
	}
	one, two := open(), open()
	key := prefix(t) + "key"
	for i := range rounds {
		want := strconv.Itoa(i)
		put(t, one, key, want)
		for _, kv := range []clientv3.KV{one, two, one} {
			var resp *clientv3.GetResponse
			if err := again(ctx, func() (err error) { resp, err = kv.Get(ctx, key); return err }); err != nil {
				t.Fatal(err)
			}
			if len(resp.Kvs) != 1 || string(resp.Kvs[0].Value) != want {
				t.Fatalf("read %v after %s was written", resp.Kvs, want)
			}
		}
	}
}

// namespaced sees its own keys, and nothing of the rest.
func namespaced(t *testing.T, c *system.Cluster) {
	client := connect(t, c)
	kv, watcher := namespace.NewKV(client, prefix(t)), namespace.NewWatcher(client, prefix(t))
	put(t, kv, "a", "1")
	if got := number(t, client, prefix(t)+"a"); got != 1 {
		t.Errorf("outside of the namespace the value is %d", got)
	}
	ctx := patience(t)
	resp := <-watcher.Watch(ctx, "a", clientv3.WithRev(1))
	if len(resp.Events) == 0 || string(resp.Events[0].Kv.Key) != "a" {
		t.Errorf("the watch got %v", resp)
	}
}

// mirrored copies what is there, and then every change in its order.
func mirrored(t *testing.T, c *system.Cluster) {
	client, writer := connect(t, c), connect(t, c)
	ctx := patience(t)
	key := func(i int) string { return fmt.Sprintf("%s%02d", prefix(t), i) }
	for i := range rounds {
		put(t, client, key(i), "base")
	}
	s := mirror.NewSyncer(client, prefix(t), 0)
	copied := map[string]string{}
	base, errs := s.SyncBase(ctx)
	for resp := range base {
		for _, kv := range resp.Kvs {
			copied[string(kv.Key)] = string(kv.Value)
		}
	}
	if err := <-errs; err != nil {
		t.Fatal(err)
	}
	updates := s.SyncUpdates(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		for i := range 2 * rounds {
			if err := again(ctx, func() error { _, err := writer.Put(ctx, key(i), strconv.Itoa(i)); return err }); err != nil {
				t.Error(err)
			}
		}
	})
	var last int64
	for resp := range updates {
		if err := resp.Err(); err != nil {
			t.Fatal(err)
		}
		for _, e := range resp.Events {
			if e.Kv.ModRevision <= last {
				t.Errorf("revision %d after %d", e.Kv.ModRevision, last)
			}
			last = e.Kv.ModRevision
			copied[string(e.Kv.Key)] = string(e.Kv.Value)
		}
		if copied[key(2*rounds-1)] == strconv.Itoa(2*rounds-1) {
			break
		}
	}
	for i := range 2 * rounds {
		if copied[key(i)] != strconv.Itoa(i) {
			t.Errorf("%s is %q in the copy", key(i), copied[key(i)])
		}
	}
}

// ordered never reads what is older than it has read, from whichever member
// that doesn't ask the others.
func ordered(t *testing.T, c *system.Cluster) {
	ctx := patience(t)
	client := connect(t, c)
	kv := ordering.NewKV(client, ordering.NewOrderViolationSwitchEndpointClosure(client))
	for i := range rounds {
		put(t, kv, prefix(t)+"key", strconv.Itoa(i))
		for _, opts := range [][]clientv3.OpOption{nil, {clientv3.WithSerializable()}} {
			var resp *clientv3.GetResponse
			err := again(ctx, func() (err error) { resp, err = kv.Get(ctx, prefix(t)+"key", opts...); return err })
			if err != nil {
				t.Fatal(err)
			}
			if string(resp.Kvs[0].Value) != strconv.Itoa(i) {
				t.Errorf("read %s after %d was written", resp.Kvs[0].Value, i)
			}
		}
	}
}

// snapshots are saved to a file, whole.
func snapshots(t *testing.T, c *system.Cluster) {
	ctx := patience(t)
	name := filepath.Join(t.TempDir(), "snapshot")
	err := again(ctx, func() error {
		for _, endpoint := range c.Endpoints() { // one that is there
			cfg := clientv3.Config{Endpoints: []string{endpoint}, Logger: zap.NewNop()}
			if _, err := snapshot.SaveWithVersion(ctx, zap.NewNop(), cfg, name); err == nil {
				return nil
			}
		}
		return fmt.Errorf("no member gave a snapshot")
	})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(name); err != nil || info.Size() == 0 {
		t.Errorf("the snapshot's file: %v, %v", info, err)
	}
}
