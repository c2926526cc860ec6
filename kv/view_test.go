package kv

import (
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/musterhq/muster/internal/race"
)

// TestReadsAllocate holds reads of one key and of some to their allocations: the
// answer, and no scratch.
func TestReadsAllocate(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector has pools forget")
	}
	d := newDriver(t)
	for _, k := range []string{"a", "b", "c", "d"} {
		d.put(k, "value")
	}
	for _, c := range []struct {
		r    *pb.RangeRequest
		most float64
	}{{&pb.RangeRequest{Key: []byte("a")}, 5}, {&pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte("e")}, 9}} {
		got := testing.AllocsPerRun(200, func() {
			if _, err := d.Range(t.Context(), c.r); err != nil {
				t.Fatal(err)
			}
		})
		if got > c.most {
			t.Errorf("%v: %v allocations, want at most %v", c.r, got, c.most)
		}
	}
}

// TestLargeScratchIsNotKept: one large key does not stay in memory with the pool.
func TestLargeScratchIsNotKept(t *testing.T) {
	for _, size := range []int{maxScratch, maxScratch + 1} {
		s := scratch{lower: make([]byte, 0, size)}
		s.trim()
		if kept := s.lower != nil; kept != (size <= maxScratch) {
			t.Errorf("%d bytes: kept %v", size, kept)
		}
	}
}
