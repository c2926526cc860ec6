package kv

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"golang.org/x/sys/unix"

	"github.com/musterhq/muster/kv/internal/mvcc"
	"github.com/musterhq/muster/statemachine"
)

const benchBatch = 100 // entries per Apply call

// benchPuts applies b.N puts in batches and reports puts a second.
func benchPuts(b *testing.B, valueLen int, wanted bool, key func(buf []byte, i int) []byte) {
	s := New(Options{})
	if _, err := s.Open(b.TempDir()); err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	value := make([]byte, valueLen)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range value {
		value[i] = byte(r.Uint32())
	}
	entries := make([]statemachine.Entry, benchBatch)
	var keyBuf []byte
	index := uint64(0)
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuTime(b)
	for i := 0; i < b.N; {
		n := min(benchBatch, b.N-i)
		index++
		for j := range entries[:n] {
			keyBuf = key(keyBuf[:0], i+j)
			cmd, err := AppendPut(entries[j].Command[:0], &pb.PutRequest{Key: keyBuf, Value: value})
			if err != nil {
				b.Fatal(err)
			}
			entries[j] = statemachine.Entry{Index: index, Command: cmd, Wanted: wanted}
		}
		if _, err := s.Apply(index, entries[:n]); err != nil {
			b.Fatal(err)
		}
		i += n
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "puts/s")
	b.ReportMetric(float64(cpuTime(b)-cpu)/float64(b.N), "cpu-ns/op")
}

// cpuTime is what the whole process used, background flushes and compactions
// included; it says more than the clock on a busy machine.
func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkApplyPut(b *testing.B) {
	rnd := rand.New(rand.NewPCG(3, 4))
	keys := map[string]func([]byte, int) []byte{
		"new":    func(buf []byte, i int) []byte { return fmt.Appendf(buf, "/bench/%016x", rnd.Uint64()) },
		"append": func(buf []byte, i int) []byte { return fmt.Appendf(buf, "/bench/%016d", i) },
		"hot":    func(buf []byte, i int) []byte { return fmt.Appendf(buf, "/bench/%016d", rnd.IntN(20_000)) },
		"over":   func(buf []byte, i int) []byte { return fmt.Appendf(buf, "/bench/%016d", rnd.IntN(1_000_000)) },
	}
	for _, name := range []string{"hot", "over", "append", "new"} {
		for _, size := range []int{128, 256} {
			b.Run(fmt.Sprintf("%s/%dB", name, size), func(b *testing.B) { benchPuts(b, size, true, keys[name]) })
		}
	}
}

// BenchmarkPebblePut is the yardstick for BenchmarkApplyPut: the same bytes
// written blindly, in the same batches, with nothing looked up.
func BenchmarkPebblePut(b *testing.B) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for _, name := range []string{"append", "new"} {
		b.Run(name+"/128B", func(b *testing.B) {
			s := New(Options{})
			if _, err := s.Open(b.TempDir()); err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			value := make([]byte, 131)
			var key, enc []byte
			b.ResetTimer()
			cpu := cpuTime(b)
			for i := 0; i < b.N; {
				batch := s.live.db.NewBatch()
				for range min(benchBatch, b.N-i) {
					id := uint64(i)
					if name == "new" {
						id = rnd.Uint64()
					}
					key = fmt.Appendf(key[:0], "/bench/%016x", id)
					enc = mvcc.AppendSuffix(mvcc.AppendPrefix(enc[:0], key), mvcc.Revision{Main: int64(i)})
					if err := batch.Set(enc, value, nil); err != nil {
						b.Fatal(err)
					}
					i++
				}
				if err := s.live.db.Apply(batch, pebble.NoSync); err != nil {
					b.Fatal(err)
				}
				closeQuietly(batch)
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "puts/s")
			b.ReportMetric(float64(cpuTime(b)-cpu)/float64(b.N), "cpu-ns/op")
		})
	}
}

// benchStore holds n keys of 128 bytes, flushed.
func benchStore(b *testing.B, n int) *Store {
	s := New(Options{})
	if _, err := s.Open(b.TempDir()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	var entries []statemachine.Entry
	for i := range n {
		cmd, err := EncodePut(&pb.PutRequest{Key: fmt.Appendf(nil, "/bench/%08d", i), Value: make([]byte, 128)})
		if err != nil {
			b.Fatal(err)
		}
		entries = append(entries, statemachine.Entry{Index: uint64(i + 1), Command: cmd})
		if len(entries) == 1000 || i == n-1 {
			if _, err := s.Apply(uint64(i+1), entries); err != nil {
				b.Fatal(err)
			}
			entries = entries[:0]
		}
	}
	if err := s.Prepare(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	return s
}

func BenchmarkRangeOne(b *testing.B) {
	const n = 200_000
	s := benchStore(b, n)
	rnd := rand.New(rand.NewPCG(5, 6))
	var key []byte
	for b.Loop() {
		key = fmt.Appendf(key[:0], "/bench/%08d", rnd.IntN(n))
		resp, err := s.Range(context.Background(), &pb.RangeRequest{Key: key})
		if err != nil || len(resp.Kvs) != 1 {
			b.Fatal(len(resp.GetKvs()), err)
		}
	}
}

func BenchmarkRangePrefix(b *testing.B) {
	s := benchStore(b, 200_000)
	for _, mode := range []string{"all", "keys", "count"} {
		b.Run(mode+"/1000", func(b *testing.B) {
			r := &pb.RangeRequest{Key: []byte("/bench/00100"), RangeEnd: []byte("/bench/00101"),
				KeysOnly: mode == "keys", CountOnly: mode == "count"}
			b.ReportAllocs()
			for b.Loop() {
				resp, err := s.Range(context.Background(), r)
				if err != nil || resp.Count != 1000 {
					b.Fatal(resp.GetCount(), err)
				}
			}
			b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "keys/s")
		})
	}
}
