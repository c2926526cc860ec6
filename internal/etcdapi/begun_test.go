package etcdapi

import (
	"context"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/status"
)

// TestWatchBeforeThereIsALeader: of a member that has just been started, and knows
// no leader yet, a client that requires one hears nothing rather than that there
// is none, which would end its watch.
func TestWatchBeforeThereIsALeader(t *testing.T) {
	begun, asked := make(chan struct{}), make(chan struct{}, 1)
	r := newRig(t, func(c *Config) {
		c.Ready = func(ctx context.Context) error {
			select {
			case asked <- struct{}{}:
			default:
			}
			select {
			case <-begun:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	r.node.loseLeader()
	c := r.client(t)
	go func() {
		<-asked
		r.node.lost.Store(false)
		close(begun)
	}()
	w := c.Watch(clientv3.WithRequireLeader(testContext(t)), "k", clientv3.WithCreatedNotify())
	if resp := <-w; !resp.Created || resp.Err() != nil {
		t.Fatalf("first of the watch: %+v, %v", resp, resp.Err())
	}
	r.put(t, "k", "1")
	if resp := <-w; len(resp.Events) != 1 {
		t.Errorf("then: %+v, %v", resp, resp.Err())
	}
}

// TestNoLeaderInTime: who waits in vain goes on at another member; to etcd's client
// that is any answer but that there is no leader.
func TestNoLeaderInTime(t *testing.T) {
	r := newRig(t, func(c *Config) {
		c.RequestTimeout = time.Millisecond
		c.Ready = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	})
	stream, err := pb.NewWatchClient(r.conn(t)).Watch(clientv3.WithRequireLeader(testContext(t)))
	if err == nil {
		_, err = stream.Recv()
	}
	if status.Convert(err).Message() != status.Convert(rpctypes.ErrGRPCTimeout).Message() {
		t.Errorf("ended with %v, want %v", err, rpctypes.ErrGRPCTimeout)
	}
}
