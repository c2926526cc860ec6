package clients

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/musterhq/muster/test/etcd/internal/system"
)

// cases use a client's packages under prefixes of their own, so that they can
// share a cluster. Many members may be gone meanwhile, but a majority is there.
var cases = []struct {
	name string
	run  func(t *testing.T, c *system.Cluster)
}{
	{"Mutex", mutex},
	{"Election", election},
	{"STM", stm},
	{"Leasing", leasingKV},
	{"Namespace", namespaced},
	{"Mirror", mirrored},
	{"Ordering", ordered},
	{"Snapshot", snapshots},
}

// killTime is for how long members are killed.
const killTime = 10 * time.Second

func TestClients(t *testing.T) {
	for _, kind := range system.Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			c := system.Start(t, kind, 3)
			for _, tc := range cases {
				t.Run(tc.name, func(t *testing.T) { tc.run(t, c) })
			}
			// Not while members are killed: a lock of which nobody knows whether it
			// was taken can't be given back, for its key is drawn anew each time.
			t.Run("RWMutex", func(t *testing.T) { rwMutex(t, c) })
			t.Run("killed", func(t *testing.T) {
				stop := killing(t, c)
				defer stop()
				for end := time.Now().Add(killTime); time.Now().Before(end) && !t.Failed(); {
					for _, tc := range cases {
						t.Run(tc.name, func(t *testing.T) { tc.run(t, c) })
					}
				}
			})
		})
	}
}

// killing kills one member after the other and starts it again, until it is
// told to stop. All run when it has stopped.
func killing(t *testing.T, c *system.Cluster) (stop func()) {
	quit := make(chan struct{})
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for i := 0; ; i++ {
			m := c.Members[i%len(c.Members)]
			m.Kill()
			pause(quit, time.Second)
			if err := m.Start(); err != nil {
				t.Error(err)
				return
			}
			if err := m.WaitReady(); err != nil {
				t.Error(err)
				return
			}
			if pause(quit, time.Second) {
				return
			}
		}
	}()
	return func() {
		close(quit)
		wg.Wait()
	}
}

// pause waits, and says whether it is over.
func pause(quit chan struct{}, d time.Duration) bool {
	select {
	case <-quit:
		return true
	case <-time.After(d):
		return false
	}
}

// connect returns a client of all endpoints.
func connect(t *testing.T, c *system.Cluster) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: c.Endpoints(), DialTimeout: 10 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func patience(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), system.Patience)
	t.Cleanup(cancel)
	return ctx
}

// again calls do until it succeeds: for what may be asked twice. A client
// doesn't repeat a write by itself when a member goes away under it.
func again(ctx context.Context, do func() error) error {
	for {
		err := do()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no success in time: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// put is repeated until it is known to have happened.
func put(t *testing.T, kv clientv3.KV, key, value string) {
	t.Helper()
	ctx := patience(t)
	if err := again(ctx, func() error { _, err := kv.Put(ctx, key, value); return err }); err != nil {
		t.Fatal(err)
	}
}

// prefix is the test's own.
func prefix(t *testing.T) string { return t.Name() + "/" }
