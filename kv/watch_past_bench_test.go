package kv

import (
	"fmt"
	"sync"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/musterhq/muster/statemachine"
)

// BenchmarkWatchPast is what it takes until range watches in a group each, that
// start at the first of 200,000 changes, have been told everything: a thousand of
// which each wants a thousandth, and twenty that want all of it. Deletes are those of
// all keys by one command, which every watch reads from disk.
func BenchmarkWatchPast(b *testing.B) {
	const changes, dirs = 200_000, 1000
	s := New(Options{})
	if _, err := s.Open(b.TempDir()); err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	index := uint64(0)
	for i := 0; i < changes; {
		var batch []statemachine.Entry
		index++
		for range 100 {
			cmd, err := EncodePut(&pb.PutRequest{Key: fmt.Appendf(nil, "/bench/%03d/%06d", i%dirs, i), Value: make([]byte, 100)})
			if err != nil {
				b.Fatal(err)
			}
			batch, i = append(batch, statemachine.Entry{Index: index, Command: cmd}), i+1
		}
		if _, err := s.Apply(index, batch); err != nil {
			b.Fatal(err)
		}
	}
	cmd, err := EncodeDeleteRange(&pb.DeleteRangeRequest{Key: []byte("/bench/"), RangeEnd: []byte("/bench0")})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := s.Apply(index+1, []statemachine.Entry{{Index: index + 1, Command: cmd}}); err != nil {
		b.Fatal(err)
	}
	puts := int64(changes + 1)
	parts := func(i int) (from, to string) { return fmt.Sprintf("/bench/%03d/", i), fmt.Sprintf("/bench/%03d0", i) }
	all := func(int) (from, to string) { return "/bench/", "/bench0" }
	for _, c := range []struct {
		name  string
		n     int
		span  func(i int) (from, to string)
		from  int64
		total int
	}{
		{"puts/one", 1, all, 2, 2 * changes},
		{"puts/parts", dirs, parts, 2, 2 * changes},
		{"puts/whole", 20, all, 2, 40 * changes},
		{"deletes/parts", dirs, parts, puts + 1, changes},
		{"deletes/whole", 20, all, puts + 1, 20 * changes},
	} {
		b.Run(c.name, func(b *testing.B) {
			cpu := cpuTime(b)
			for b.Loop() {
				var readers sync.WaitGroup
				told := make([]int, c.n)
				for i := range c.n {
					readers.Go(func() { told[i] = pastOf(b, s, c.span, i, c.from, c.total/c.n) })
				}
				readers.Wait()
			}
			b.ReportMetric(float64(cpuTime(b)-cpu)/float64(b.N)/1e6, "cpu-ms/op")
		})
	}
}

// pastOf reads until so many events are told.
func pastOf(b *testing.B, s *Store, span func(int) (string, string), i int, from int64, events int) (told int) {
	g := s.NewWatches()
	defer g.Close()
	key, end := span(i)
	if _, err := g.Add(1, WatchSpec{Key: []byte(key), End: []byte(end), From: from}); err != nil {
		b.Error(err)
		return 0
	}
	for told < events {
		w, err := g.Next(b.Context())
		if err != nil {
			b.Error(err)
			return told
		}
		told += len(w.Events)
	}
	return told
}
