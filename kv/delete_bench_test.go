package kv

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/musterhq/muster/statemachine"
)

// BenchmarkDeleteAll deletes 300,000 keys by one command, and reports the memory
// that it takes for each: all that is allocated, and the most that is in use at
// once beside what the store has anyway.
func BenchmarkDeleteAll(b *testing.B) {
	const keys = 300_000
	for range b.N {
		b.StopTimer()
		s, index := loaded(b, keys)
		cmd, err := EncodeDeleteRange(&pb.DeleteRangeRequest{Key: []byte{0}, RangeEnd: []byte{0}})
		if err != nil {
			b.Fatal(err)
		}
		peak := watchHeap()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		b.StartTimer()
		if _, err := s.Apply(index+1, []statemachine.Entry{{Index: index + 1, Command: cmd, Wanted: true}}); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/keys, "B-allocated/key")
		b.ReportMetric(float64(peak())/keys, "B-in-use/key")
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// loaded is a store with so many keys, and the index that it is at.
func loaded(b *testing.B, keys int) (s *Store, index uint64) {
	b.Helper()
	s = New(Options{})
	if _, err := s.Open(b.TempDir()); err != nil {
		b.Fatal(err)
	}
	for i := 0; i < keys; {
		var batch []statemachine.Entry
		index++
		for range 1000 {
			cmd, err := EncodePut(&pb.PutRequest{Key: fmt.Appendf(nil, "/bench/%016d", i), Value: make([]byte, 100)})
			if err != nil {
				b.Fatal(err)
			}
			batch, i = append(batch, statemachine.Entry{Index: index, Command: cmd}), i+1
		}
		if _, err := s.Apply(index, batch); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Prepare(); err != nil {
		b.Fatal(err)
	}
	return s, index
}

// BenchmarkCountBeforeDelete counts 300,000 keys as of before they were deleted,
// as everybody reads while a delete is carried out: each has a newer version.
func BenchmarkCountBeforeDelete(b *testing.B) {
	const keys = 300_000
	s, index := loaded(b, keys)
	cmd, err := EncodeDeleteRange(&pb.DeleteRangeRequest{Key: []byte{0}, RangeEnd: []byte{0}})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := s.Apply(index+1, []statemachine.Entry{{Index: index + 1, Command: cmd}}); err != nil {
		b.Fatal(err)
	}
	rev, _ := s.Revision()
	for b.Loop() {
		r, err := s.Range(b.Context(), &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, CountOnly: true, Revision: rev - 1})
		if err != nil || r.Count != keys {
			b.Fatal(r, err)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

// watchHeap collects garbage all the time, until the returned function is
// called, which tells by how much the heap grew at most.
func watchHeap() func() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	base, most := m.HeapAlloc, uint64(0)
	quit := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			select {
			case <-quit:
				return
			case <-time.After(time.Millisecond):
				runtime.GC()
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapAlloc)
			}
		}
	})
	return func() uint64 {
		close(quit)
		watching.Wait()
		return max(most, base) - base
	}
}
