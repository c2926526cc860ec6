package raftlog

import (
	"fmt"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/internal/crashfs"
)

// BenchmarkAppend is one entry and a hard state per append, on the disk that
// holds the temporary directory; "unsynced" shows what it costs beside the disk.
func BenchmarkAppend(b *testing.B) {
	for _, sync := range []bool{true, false} {
		for _, size := range []int{128, 1 << 10, 128 << 10} {
			b.Run(fmt.Sprintf("sync=%v/%d", sync, size), func(b *testing.B) {
				l, err := Open(b.TempDir(), Options{})
				must(b, err)
				benchAppend(b, l, size, sync)
			})
		}
	}
}

func benchAppend(b *testing.B, l *Log, size int, sync bool) {
	data := make([]byte, size)
	term := uint64(1)
	entries := make([]*raftpb.Entry, 0, 1)
	batch := make([]Batch, 1)
	h := hard(1, 1, 0)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.ResetTimer()
	var slab []raftpb.Entry // so that what raft allocates isn't counted
	var indexes []uint64
	for i := range uint64(b.N) {
		k := i % 1024
		if k == 0 {
			slab, indexes = make([]raftpb.Entry, 1024), make([]uint64, 1024)
		}
		e := &slab[k]
		indexes[k] = i + 1
		e.Index, e.Term, e.Data = &indexes[k], &term, data
		*h.Commit = i
		batch[0] = Batch{Entries: append(entries[:0], e), HardState: h, Sync: sync}
		must(b, l.Append(batch))
	}
	b.StopTimer()
	must(b, l.Close())
}

// BenchmarkEntries reads 64 entries of 1 KiB.
func BenchmarkEntries(b *testing.B) {
	for name, cacheBytes := range map[string]int64{"cached": 64 << 20, "disk": 1} {
		b.Run(name, func(b *testing.B) {
			l := open(b, Options{FS: crashfs.New(), CacheBytes: cacheBytes})
			for i := range uint64(640) {
				must(b, l.Append([]Batch{{Entries: run(i+1, 1, 1, 1024)}}))
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range uint64(b.N) {
				lo := 1 + i%576
				if _, err := l.Entries(lo, lo+64, 1<<20); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestAppendAllocates holds the path that matters to its allocations: the
// places of the entries grow, and nothing else does.
func TestAppendAllocates(t *testing.T) {
	l, err := Open(t.TempDir(), Options{SegmentBytes: 1 << 30})
	must(t, err)
	data := make([]byte, 200)
	term := uint64(1)
	h := hard(1, 1, 1)
	const n = 2000
	es := run(1, 1, n+10, 0)
	for _, e := range es {
		e.Data, e.Term = data, &term
	}
	batch := make([]Batch, 1)
	i := 0
	got := testing.AllocsPerRun(n, func() {
		batch[0] = Batch{Entries: es[i : i+1], HardState: h}
		if err := l.Append(batch); err != nil {
			t.Fatal(err)
		}
		i++
	})
	if got > 0.5 {
		t.Errorf("%.2f allocations per append", got)
	}
	must(t, l.Close())
}

// BenchmarkOpen recovers 64 MiB of 1 KiB entries.
func BenchmarkOpen(b *testing.B) {
	d := b.TempDir()
	l, err := Open(d, Options{})
	must(b, err)
	for i := range uint64(64 << 10) {
		must(b, l.Append([]Batch{{Entries: run(i+1, 1, 1, 1024)}}))
	}
	must(b, l.Close())
	b.ResetTimer()
	for range b.N {
		l, err := Open(d, Options{})
		must(b, err)
		must(b, l.Close())
	}
}
