package kv

import (
	"fmt"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/musterhq/muster/statemachine"
)

// BenchmarkApplyWatched is BenchmarkApplyPut's hot/256B, beside watches that
// somebody reads: none, ten thousand of other keys, and ten thousand of the keys that
// are written.
func BenchmarkApplyWatched(b *testing.B) {
	for _, c := range []struct {
		name, watched string
		n             int
	}{{"none", "", 0}, {"other", "/other/%d", 10_000}, {"written", "/bench/%016d", 10_000}} {
		b.Run(c.name, func(b *testing.B) {
			s := New(Options{})
			if _, err := s.Open(b.TempDir()); err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			g := s.NewWatches()
			for i := range c.n {
				if _, err := g.Add(int64(i+1), WatchSpec{Key: fmt.Appendf(nil, c.watched, i)}); err != nil {
					b.Fatal(err)
				}
			}
			told := make(chan int)
			go func() {
				n := 0
				for {
					w, err := g.Next(b.Context())
					if err != nil {
						told <- n
						return
					}
					n += len(w.Events)
				}
			}()
			entries := make([]statemachine.Entry, benchBatch)
			value := make([]byte, 256)
			index := uint64(0)
			b.ReportAllocs()
			b.ResetTimer()
			cpu := cpuTime(b)
			for i := 0; i < b.N; i += benchBatch {
				index++
				for j := range entries {
					cmd, err := AppendPut(entries[j].Command[:0], &pb.PutRequest{Key: fmt.Appendf(nil, "/bench/%016d", (i+j)%20_000), Value: value})
					if err != nil {
						b.Fatal(err)
					}
					entries[j] = statemachine.Entry{Index: index, Command: cmd, Wanted: true}
				}
				if _, err := s.Apply(index, entries); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "puts/s")
			b.ReportMetric(float64(cpuTime(b)-cpu)/float64(b.N), "cpu-ns/op")
			s.hub.close()
			b.ReportMetric(float64(<-told)/float64(b.N), "events/op")
		})
	}
}

// BenchmarkFanOut is one put and what it takes until ten thousand watches of
// its key, in as many groups or in one, have their event.
func BenchmarkFanOut(b *testing.B) {
	const n = 10_000
	for _, groups := range []int{1, n} {
		b.Run(fmt.Sprintf("groups=%d", groups), func(b *testing.B) {
			d := newDriver(b)
			var gs []*Watches
			for i := range n {
				if i < groups {
					gs = append(gs, d.NewWatches())
				}
				if _, err := gs[i%groups].Add(int64(i+1), WatchSpec{Key: []byte("k")}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				d.put("k", "v")
				told := 0
				for _, g := range gs {
					for more := true; more; {
						var w *WatchBatch
						var err error
						if w, more, err = g.Poll(); err != nil {
							b.Fatal(err)
						}
						told += len(w.Events)
					}
				}
				if told != n {
					b.Fatal(told)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/event")
		})
	}
}
