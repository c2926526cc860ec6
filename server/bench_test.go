package server

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/internal/loopback"
)

// benchKeys are there to be read, of 256 bytes each.
const benchKeys = 20_000

func benchKey(i int) []byte { return fmt.Appendf(nil, "read/%08d", i) }

// BenchmarkRequests is the whole way of a request through one member that is a
// cluster by itself: by gRPC over TCP, from 1 client and from 64 on 4 connections. Time, CPU
// time and allocations are those of the server and of the bare client together; of a
// read of one key, the client has about half.
func BenchmarkRequests(b *testing.B) {
	conns := startAlone(b)
	value := make([]byte, 256)
	lease := prepareRequests(b, conns[0], value)
	for _, r := range requests(value, lease) {
		for _, clients := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/clients=%d", r.name, clients), func(b *testing.B) {
				benchRequests(b, conns, clients, r.do)
			})
		}
	}
}

// startAlone starts a member that is a cluster by itself, and connects to it four
// times.
func startAlone(b *testing.B) []*grpc.ClientConn {
	b.Helper()
	addrs := loopback.Addrs(b, 2)
	s, err := Start(b.Context(), Config{Listen: addrs[1], Node: muster.Config{Name: "n1", DataDir: b.TempDir(), PeerListen: addrs[0], Single: true}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	if err := s.Ready(b.Context()); err != nil {
		b.Fatal(err)
	}
	conns := make([]*grpc.ClientConn, 4)
	for i := range conns {
		if conns[i], err = grpc.NewClient(addrs[1], grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { conns[i].Close() })
	}
	return conns
}

type request struct {
	name string
	do   func(ctx context.Context, c pb.KVClient, client int) error
}

func requests(value []byte, lease int64) []request {
	read := func(name string, keys int, serializable bool) request {
		return request{name, func(ctx context.Context, c pb.KVClient, _ int) error {
			from := rand.IntN(benchKeys - keys)
			r := &pb.RangeRequest{Key: benchKey(from), Serializable: serializable}
			if keys > 1 {
				r.RangeEnd = benchKey(from + keys)
			}
			_, err := c.Range(ctx, r)
			return err
		}}
	}
	txn := func(ctx context.Context, c pb.KVClient, ops []*pb.RequestOp) error {
		_, err := c.Txn(ctx, &pb.TxnRequest{Success: ops})
		return err
	}
	get := func() *pb.RequestOp {
		return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: benchKey(rand.IntN(benchKeys))}}}
	}
	own := func(client, i int) []byte { return fmt.Appendf(nil, "own/%04d/%04d", client, i) }
	return []request{
		read("one/serializable", 1, true), read("one/linearizable", 1, false),
		read("ten/serializable", 10, true), read("ten/linearizable", 10, false),
		{"txn/reads", func(ctx context.Context, c pb.KVClient, _ int) error {
			return txn(ctx, c, []*pb.RequestOp{get(), get(), get()})
		}},
		{"txn/six", func(ctx context.Context, c pb.KVClient, client int) error {
			at := rand.IntN(1000)
			ops := make([]*pb.RequestOp, 0, 6)
			for i := range 4 {
				ops = append(ops, &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: own(client, at+i), Value: value}}})
			}
			return txn(ctx, c, append(ops, get(), &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{
				RequestDeleteRange: &pb.DeleteRangeRequest{Key: own(client, at+4)},
			}}))
		}},
		{"put/lease", func(ctx context.Context, c pb.KVClient, client int) error {
			_, err := c.Put(ctx, &pb.PutRequest{Key: own(client, rand.IntN(16)), Value: value, Lease: lease})
			return err
		}},
	}
}

// prepareRequests puts the keys that are read, and grants a lease.
func prepareRequests(b *testing.B, c *grpc.ClientConn, value []byte) (lease int64) {
	b.Helper()
	for from := 0; from < benchKeys; from += 100 {
		t := &pb.TxnRequest{}
		for i := range 100 {
			t.Success = append(t.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: benchKey(from + i), Value: value}}})
		}
		if _, err := pb.NewKVClient(c).Txn(b.Context(), t); err != nil {
			b.Fatal(err)
		}
	}
	l, err := pb.NewLeaseClient(c).LeaseGrant(b.Context(), &pb.LeaseGrantRequest{TTL: 3600})
	if err != nil {
		b.Fatal(err)
	}
	return l.ID
}

func benchRequests(b *testing.B, conns []*grpc.ClientConn, clients int, do func(context.Context, pb.KVClient, int) error) {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	b.ReportAllocs()
	cpu := cpuTime(b)
	b.ResetTimer()
	var group sync.WaitGroup
	for i := range clients {
		group.Go(func() {
			c := pb.NewKVClient(conns[i%len(conns)])
			for n := i; n < b.N; n += clients {
				if err := do(ctx, c, i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	b.StopTimer()
	b.ReportMetric(float64(cpuTime(b)-cpu)/float64(b.N), "cpu-ns/op")
}

// cpuTime is what the whole process used; it says more than the clock on a busy
// machine.
func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
