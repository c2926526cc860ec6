package etcdapi

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// TestTenThousandWatches: on one member, in a hundred streams, over keys and
// prefixes; each is told of its own key, and of nothing else.
func TestTenThousandWatches(t *testing.T) {
	r := newRig(t)
	const streams, each = 100, 100
	c := pb.NewWatchClient(r.conn(t))
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	var ready, told sync.WaitGroup
	ready.Add(streams)
	for i := range streams {
		told.Go(func() {
			s, err := c.Watch(ctx)
			if err != nil {
				t.Error(err)
				ready.Done()
				return
			}
			w := rawWatch{t, s}
			for j := range each {
				create := &pb.WatchCreateRequest{Key: fmt.Appendf(nil, "%d/%d/", i, j)}
				if create.RangeEnd = fmt.Appendf(nil, "%d/%d0", i, j); j%2 == 0 {
					create.Key, create.RangeEnd = append(create.Key, 'k'), nil
				}
				w.create(create)
			}
			ready.Done()
			for range each {
				resp := w.next()
				if want := fmt.Sprintf("%d/%d/k", i, resp.WatchId); len(resp.Events) != 1 || string(resp.Events[0].Kv.Key) != want {
					t.Errorf("stream %d, watch %d: %v; want %s", i, resp.WatchId, resp.Events, want)
					return
				}
			}
		})
	}
	ready.Wait()
	kvs := pb.NewKVClient(r.conn(t))
	for j := range each {
		txn := &pb.TxnRequest{}
		for i := range streams {
			txn.Success = append(txn.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: fmt.Appendf(nil, "%d/%d/k", i, j)}}})
		}
		if _, err := kvs.Txn(ctx, txn); err != nil {
			t.Fatal(err)
		}
	}
	told.Wait()
}

// TestSlowWatch: a stream that nobody reads holds back neither writes nor the
// others, and has everything when somebody reads it again.
func TestSlowWatch(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	slow, fast := r.rawWatch(t, ctx), r.rawWatch(t, ctx)
	slow.create(&pb.WatchCreateRequest{Key: []byte("k")})
	fast.create(&pb.WatchCreateRequest{Key: []byte("k")})
	const last = 180
	kvs := pb.NewKVClient(r.conn(t))
	value := make([]byte, 110<<10) // more in all than is kept in memory, and than the buffers on the way hold
	for rev := int64(2); rev <= last; rev++ {
		if _, err := kvs.Put(ctx, &pb.PutRequest{Key: []byte("k"), Value: value}); err != nil {
			t.Fatal(err)
		}
		if got := describeRevisions(fast.next()); got != fmt.Sprint([]int64{rev}) {
			t.Fatalf("the fast watch was told of %s, want %d", got, rev)
		}
	}
	for next := int64(2); next <= last; {
		for _, e := range slow.next().Events {
			if e.Kv.ModRevision != next {
				t.Fatalf("the slow watch was told of revision %d, want %d", e.Kv.ModRevision, next)
			}
			next++
		}
	}
}

func describeRevisions(r *pb.WatchResponse) string {
	var revs []int64
	for _, e := range r.Events {
		revs = append(revs, e.Kv.ModRevision)
	}
	return fmt.Sprint(revs)
}
