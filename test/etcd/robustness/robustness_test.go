package robustness

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/tests/v3/robustness/client"
	"go.etcd.io/etcd/tests/v3/robustness/identity"
	"go.etcd.io/etcd/tests/v3/robustness/model"
	"go.etcd.io/etcd/tests/v3/robustness/validate"
	"go.uber.org/zap"

	"github.com/musterhq/muster/test/etcd/internal/system"
)

const (
	clients     = 6
	trafficTime = 12 * time.Second
	callTime    = 2 * time.Second // a call without an answer is one of unknown outcome
	validTime   = 2 * time.Minute
	// tries are etcd's. It is there to show that such a history can pass; but when
	// its members are killed, 3.7.3 now and then tells of progress before the events.
	tries     = 3
	keyPrefix = "key/"
)

func TestRobustness(t *testing.T) {
	for _, kind := range system.Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			for range tries {
				err := check(t, kind)
				if err == nil {
					return
				}
				if kind.Name != system.Etcd.Name || !strings.Contains(err.Error(), "broke Bookmarkable") {
					t.Fatal(err)
				}
				t.Log(err)
			}
			t.Skipf("etcd broke its own promise of progress notifications %d times in a row", tries)
		})
	}
}

// check says which promise was broken.
func check(t *testing.T, kind system.Kind) error {
	c := system.Start(t, kind, 3)
	set := client.NewSet(identity.NewIDProvider(), time.Now())
	defer set.Close()
	// The validators want to see that nothing was there at first.
	first := newClient(t, set, c.Endpoints())
	if _, err := first.Get(t.Context(), keyPrefix); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), trafficTime)
	defer cancel()
	var wg sync.WaitGroup
	for i := range clients {
		kv, watcher := newClient(t, set, c.Endpoints()), newClient(t, set, c.Endpoints()[i%3:][:1])
		wg.Go(func() { traffic(ctx, kv, rand.New(rand.NewPCG(uint64(i), 1))) })
		wg.Go(func() { watches(ctx, watcher, i) })
	}
	if err := killMembers(ctx, c); err != nil {
		t.Error(err)
	}
	wg.Wait()
	happened, err := everything(t.Context(), newClient(t, set, c.Endpoints()))
	if err != nil {
		t.Fatal(err)
	}
	reports := set.Reports()
	result := validate.ValidateAndReturnVisualize(zap.NewNop(), validate.Config{ExpectRevisionUnique: true}, reports, happened, validTime)
	broken := result.Error()
	if broken != nil {
		name := t.ArtifactDir() + "/history.html"
		_ = result.Linearization.Visualize(zap.NewNop(), name) // it is there to help
		broken = fmt.Errorf("%w (see %s)", broken, name)
	}
	operations, events := 0, 0
	for _, r := range reports {
		operations += len(r.KeyValue)
		events += r.WatchEventCount()
	}
	t.Logf("%d operations, %d revisions, %d events of watches", operations, len(happened), events)
	return broken
}

func newClient(t *testing.T, set *client.ClientSet, endpoints []string) *client.RecordingClient {
	t.Helper()
	c, err := set.NewClient(endpoints)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// traffic writes, deletes and reads a few keys. No value is written twice, for
// that is how the validators tell writes apart.
func traffic(ctx context.Context, c *client.RecordingClient, r *rand.Rand) {
	for n := 0; ctx.Err() == nil; n++ {
		call, cancel := context.WithTimeout(ctx, callTime)
		key, value := fmt.Sprint(keyPrefix, r.IntN(10)), fmt.Sprintf("%p-%d", c, n)
		switch r.IntN(10) {
		case 0, 1, 2, 3: // how they end is in the record
			_, _ = c.Put(call, key, value)
		case 4:
			_, _ = c.Delete(call, key)
		case 5, 6:
			_, _ = c.Txn(call).If(clientv3.Compare(clientv3.ModRevision(key), "=", 0)).
				Then(clientv3.OpPut(key, value)).Else(clientv3.OpGet(key)).Commit()
		case 7:
			_, _ = c.Range(call, keyPrefix, clientv3.GetPrefixRangeEnd(keyPrefix), 0, 0, false)
		default:
			_, _ = c.Get(call, key)
		}
		cancel()
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// watches follows the keys at one member. When the member ends the watch or a
// while has passed, it begins again after the last revision that it saw.
func watches(ctx context.Context, c *client.RecordingClient, i int) {
	var next int64
	for ctx.Err() == nil {
		part, cancel := context.WithTimeout(ctx, 3*time.Second)
		ch := c.Watch(part, keyPrefix, next, true, true, i%2 == 0)
		for resp := range ch {
			if n := len(resp.Events); n > 0 {
				next = resp.Events[n-1].Kv.ModRevision + 1
			}
			_ = c.RequestProgress(part) // the answer is in the record
		}
		cancel()
	}
}

// killMembers kills one after the other, and starts it again, until ctx ends.
func killMembers(ctx context.Context, c *system.Cluster) error {
	for i := 0; ctx.Err() == nil; i++ {
		m := c.Members[i%len(c.Members)]
		m.Kill()
		if err := m.Start(); err != nil {
			return err
		}
		if err := m.WaitReady(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
	return nil
}

// everything is what was written, by revision, as a watch from the first
// revision tells it.
func everything(ctx context.Context, c *client.RecordingClient) ([]model.EtcdRequest, error) {
	ctx, cancel := context.WithTimeout(ctx, system.Patience)
	defer cancel()
	end, err := c.Put(ctx, keyPrefix+"end", "end")
	if err != nil {
		return nil, fmt.Errorf("the last put: %w", err)
	}
	var out []model.EtcdRequest
	var rev int64
	for resp := range c.Watch(ctx, keyPrefix, 1, true, false, false) {
		for _, e := range resp.Events {
			if e.Kv.ModRevision != rev {
				rev = e.Kv.ModRevision
				out = append(out, model.EtcdRequest{Type: model.Txn, Txn: &model.TxnRequest{}})
			}
			txn := out[len(out)-1].Txn
			txn.OperationsOnSuccess = append(txn.OperationsOnSuccess, operation(e))
		}
		if rev >= end.Header.Revision {
			return out, nil
		}
	}
	return nil, fmt.Errorf("the watch of everything ended at revision %d of %d: %w", rev, end.Header.Revision, ctx.Err())
}

func operation(e *clientv3.Event) model.EtcdOperation {
	if e.Type == clientv3.EventTypeDelete {
		return model.EtcdOperation{Type: model.DeleteOperation, Delete: model.DeleteOptions{Key: string(e.Kv.Key)}}
	}
	return model.EtcdOperation{Type: model.PutOperation, Put: model.PutOptions{Key: string(e.Kv.Key), Value: model.ToValueOrHash(string(e.Kv.Value))}}
}
