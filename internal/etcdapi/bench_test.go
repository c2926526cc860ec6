package etcdapi

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/kv"
	"github.com/musterhq/muster/statemachine"
)

// echo answers every proposal at once.
type echo struct {
	status cluster.Status
	result statemachine.Result
}

func (e *echo) Propose(context.Context, []byte) (statemachine.Result, error) {
	return e.result, nil
}
func (e *echo) ReadIndex(context.Context) (uint64, error) { return 1, nil }
func (e *echo) Glance() cluster.Glance {
	return cluster.Glance{ClusterID: e.status.ClusterID, Self: e.status.Self.ID, Leader: e.status.Leader, Term: e.status.Term}
}
func (e *echo) Status() *cluster.Status { return &e.status }
func (e *echo) Why() []event.Reason     { return nil }

// BenchmarkPut is what this package adds to a put between gRPC and the node.
func BenchmarkPut(b *testing.B) {
	resp := &pb.PutResponse{Header: &pb.ResponseHeader{Revision: 7}}
	e := &echo{result: kv.Reply{Response: proto.Message(resp)}}
	s := &kvService{Server: New(Config{Proposer: e, Faults: testFaults()})}
	req := &pb.PutRequest{Key: []byte("some/key/of/normal/length"), Value: make([]byte, 256)}
	for name, ctx := range map[string]context.Context{"deadline": testContext(b), "none": context.Background()} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Put(ctx, req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPutOverTCP is the whole way of a put but for the log: 128 clients
// on 4 connections to a node that answers at once.
func BenchmarkPutOverTCP(b *testing.B) {
	resp := &pb.PutResponse{Header: &pb.ResponseHeader{Revision: 7}}
	e := &echo{result: kv.Reply{Response: proto.Message(resp)}}
	api := New(Config{Proposer: e, Faults: testFaults()})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := grpc.NewServer(api.Options()...)
	api.Register(srv)
	done := make(chan struct{})
	go func() { defer close(done); srv.Serve(l) }()
	defer func() { srv.Stop(); <-done }()

	const clients, conns = 128, 4
	var kvs [conns]pb.KVClient
	for i := range kvs {
		c, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		kvs[i] = pb.NewKVClient(c)
	}
	req := &pb.PutRequest{Key: []byte("some/key/of/normal/length"), Value: make([]byte, 256)}
	b.ReportAllocs()
	b.ResetTimer()
	var group sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(b.N))
	for i := range clients {
		group.Go(func() {
			for left.Add(-1) >= 0 {
				if _, err := kvs[i%conns].Put(context.Background(), req); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}
