package kv

import (
	"fmt"
	"runtime"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/musterhq/muster/statemachine"
)

// BenchmarkRevokeMany revokes leases with 1000 keys each by one Apply call, and
// reports the most memory that is in use at once beside what the store has anyway.
func BenchmarkRevokeMany(b *testing.B) {
	const keys = 1000
	for _, leases := range []int{50, 200, 800} {
		b.Run(fmt.Sprintf("leases=%d", leases), func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				s, index := leased(b, leases, keys)
				index++
				var batch []statemachine.Entry
				for id := range leases {
					cmd, err := EncodeLeaseRevoke(&pb.LeaseRevokeRequest{ID: int64(7 * (id + 1))})
					if err != nil {
						b.Fatal(err)
					}
					batch = append(batch, statemachine.Entry{Index: index, Command: cmd, Wanted: true})
				}
				peak := watchHeap()
				b.StartTimer()
				if _, err := s.Apply(index, batch); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				b.ReportMetric(float64(peak())/(1<<20), "MiB-in-use")
				if got, err := s.Range(b.Context(), &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, CountOnly: true}); err != nil || got.Count != 0 {
					b.Fatal(got, err)
				}
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*leases*keys), "ns/key")
		})
	}
}

// leased is a store with so many leases, and so many keys on each.
func leased(b *testing.B, leases, keys int) (s *Store, index uint64) {
	b.Helper()
	s = New(Options{})
	if _, err := s.Open(b.TempDir()); err != nil {
		b.Fatal(err)
	}
	for id := range leases {
		index++
		lease := int64(7 * (id + 1))
		cmd, err := EncodeLeaseGrant(&pb.LeaseGrantRequest{ID: lease, TTL: 60})
		if err != nil {
			b.Fatal(err)
		}
		batch := []statemachine.Entry{{Index: index, Command: cmd}}
		for i := range keys {
			cmd, err := EncodePut(&pb.PutRequest{Key: fmt.Appendf(nil, "/bench/%016d/%d", i, lease), Lease: lease, Value: make([]byte, 100)})
			if err != nil {
				b.Fatal(err)
			}
			batch = append(batch, statemachine.Entry{Index: index, Command: cmd})
		}
		if _, err := s.Apply(index, batch); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Prepare(); err != nil {
		b.Fatal(err)
	}
	runtime.GC()
	return s, index
}
