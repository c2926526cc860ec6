package kv

import (
	"fmt"
	"slices"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/musterhq/muster/statemachine"
)

// filler applies commands of its own, one after the other.
type filler struct {
	b     *testing.B
	s     *Store
	index uint64
}

func newFiller(b *testing.B) *filler {
	b.Helper()
	f := &filler{b: b, s: New(Options{})}
	if _, err := f.s.Open(b.TempDir()); err != nil {
		b.Fatal(err)
	}
	return f
}

func (f *filler) apply(n int, command func(i int) ([]byte, error)) {
	f.b.Helper()
	f.index++
	batch := make([]statemachine.Entry, n)
	for i := range batch {
		cmd, err := command(i)
		if err != nil {
			f.b.Fatal(err)
		}
		batch[i] = statemachine.Entry{Index: f.index, Command: cmd}
	}
	if _, err := f.s.Apply(f.index, batch); err != nil {
		f.b.Fatal(err)
	}
}

// fill puts each of so many keys once, far apart in time from its neighbours.
func (f *filler) fill(keys int, value []byte) {
	for i := 0; i < keys; i += 1000 {
		f.apply(1000, func(j int) ([]byte, error) {
			return EncodePut(&pb.PutRequest{Key: fmt.Appendf(nil, "/bench/%016x", uint64(i+j)*0x9e3779b97f4a7c15), Value: value})
		})
	}
}

// BenchmarkPurge purges what a million overwritten keys leave, and reports how
// long an Apply call of ten puts takes meanwhile, beside what it takes before.
func BenchmarkPurge(b *testing.B) {
	const keys = 1_000_000
	for range b.N {
		b.StopTimer()
		f := newFiller(b)
		value := make([]byte, 300)
		f.fill(keys, value)
		f.fill(keys, value)
		before := f.puts(func(i int) bool { return i < 3000 })
		rev := f.s.live.state.Load().current
		b.StartTimer()
		began := time.Now()
		f.apply(1, func(int) ([]byte, error) { return EncodeCompaction(&pb.CompactionRequest{Revision: rev}) })
		done := make(chan error, 1)
		go func() { done <- f.s.Purged(b.Context()) }()
		meanwhile := f.puts(func(int) bool { return len(done) == 0 })
		b.StopTimer()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(keys/time.Since(began).Seconds(), "keys/s")
		report(b, "before", before)
		report(b, "meanwhile", meanwhile)
		if err := f.s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// puts applies ten puts every two milliseconds, and returns how long each took.
func (f *filler) puts(more func(i int) bool) (took []time.Duration) {
	value := make([]byte, 300)
	for i := 0; more(i); i++ {
		began := time.Now()
		f.apply(10, func(j int) ([]byte, error) {
			return EncodePut(&pb.PutRequest{Key: fmt.Appendf(nil, "/other/%d", (10*i+j)%5000), Value: value})
		})
		took = append(took, time.Since(began))
		time.Sleep(2 * time.Millisecond)
	}
	slices.Sort(took)
	return took
}

func report(b *testing.B, what string, took []time.Duration) {
	for _, p := range []int{50, 99} {
		b.ReportMetric(float64(took[len(took)*p/100].Microseconds()), fmt.Sprintf("µs-p%d-%s", p, what))
	}
}

// BenchmarkOpenLeases opens a store with a million leases, all of which are kept
// in memory.
func BenchmarkOpenLeases(b *testing.B) {
	const leases = 1_000_000
	f := newFiller(b)
	for i := 0; i < leases; i += 1000 {
		f.apply(1000, func(j int) ([]byte, error) {
			return EncodeLeaseGrant(&pb.LeaseGrantRequest{ID: int64(i + j + 1), TTL: 600})
		})
	}
	if err := f.s.Prepare(); err != nil {
		b.Fatal(err)
	}
	dir := f.s.dir
	if err := f.s.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s := New(Options{})
		if _, err := s.Open(dir); err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
