package etcdapi

import (
	"fmt"
	"sync"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// BenchmarkWatchFanOut is one put, and what it takes until ten thousand watches of
// its key have been told over gRPC, which is most of it: in one stream, and in
// a hundred.
func BenchmarkWatchFanOut(b *testing.B) {
	const n = 10_000
	for _, streams := range []int{1, 100} {
		b.Run(fmt.Sprintf("streams=%d", streams), func(b *testing.B) {
			r := newRig(b)
			ctx := b.Context()
			var group, round sync.WaitGroup
			group.Add(n)
			for range streams {
				w := r.rawWatch(b, ctx)
				go func() {
					for range n / streams {
						if err := w.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{Key: []byte("k")}}}); err != nil {
							return
						}
					}
				}()
				go func() {
					for {
						resp, err := w.Recv()
						if err != nil {
							return
						}
						if resp.Created {
							group.Done()
						}
						for range resp.Events {
							round.Done()
						}
					}
				}()
			}
			group.Wait()
			kvs := pb.NewKVClient(r.conn(b))
			req := &pb.PutRequest{Key: []byte("k"), Value: make([]byte, 128)}
			b.ReportAllocs()
			for b.Loop() {
				round.Add(n)
				if _, err := kvs.Put(ctx, req); err != nil {
					b.Fatal(err)
				}
				round.Wait()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/event")
		})
	}
}
