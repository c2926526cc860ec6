package server

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// BenchmarkWatched has each client put a key that it watches, on a stream of its
// own, until the event is there: how long that is after the answer, in the median and in a
// hundredth of the cases, is what package kv and the server add to a put.
func BenchmarkWatched(b *testing.B) {
	conns := startAlone(b)
	for _, clients := range []int{1, 64} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			streams := make([]pb.Watch_WatchClient, clients)
			key := func(i int) []byte { return fmt.Appendf(nil, "watch/%04d", i) }
			for i := range streams {
				w, err := pb.NewWatchClient(conns[i%len(conns)]).Watch(b.Context())
				if err == nil {
					err = w.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{Key: key(i)}}})
				}
				if err == nil {
					_, err = w.Recv()
				}
				if err != nil {
					b.Fatal(err)
				}
				streams[i] = w
			}
			late := make([][]time.Duration, clients)
			b.ReportAllocs()
			cpu := cpuTime(b)
			b.ResetTimer()
			var group sync.WaitGroup
			for i := range clients {
				group.Go(func() {
					c, events := pb.NewKVClient(conns[i%len(conns)]), make(chan time.Time)
					go func() {
						defer close(events)
						for range (b.N - i + clients - 1) / clients {
							if _, err := streams[i].Recv(); err != nil {
								b.Error(err)
								return
							}
							events <- time.Now()
						}
					}()
					for n := i; n < b.N; n += clients {
						if _, err := c.Put(b.Context(), &pb.PutRequest{Key: key(i), Value: make([]byte, 256)}); err != nil {
							b.Error(err)
							return
						}
						answered := time.Now()
						seen, ok := <-events
						if !ok {
							return
						}
						late[i] = append(late[i], max(0, seen.Sub(answered)))
					}
				})
			}
			group.Wait()
			b.StopTimer()
			all := slices.Concat(late...)
			slices.Sort(all)
			b.ReportMetric(float64(cpuTime(b)-cpu)/float64(b.N), "cpu-ns/op")
			b.ReportMetric(float64(all[len(all)/2].Nanoseconds()), "p50-late-ns")
			b.ReportMetric(float64(all[len(all)*99/100].Nanoseconds()), "p99-late-ns")
		})
	}
}
