package etcdapi

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/kv"
)

// errorTable is every error a node may give, and what the client is told.
var errorTable = []struct {
	name string
	is   error
	code codes.Code
	text string // part of the message
	read bool   // etcd's client repeats a read after it
}{
	{"unknown outcome", errUnknown, codes.Unavailable, "etcdserver: request timed out", true},
	{"no leader", errNotLeader, codes.Unavailable, "etcdserver: no leader", true},
	{"overloaded", errOverloaded, codes.ResourceExhausted, "etcdserver: too many requests", false},
	{"not a member", errNotMember, codes.Unavailable, "this node is in no cluster yet: waiting for seed c", true},
	{"refused", errRefused, codes.FailedPrecondition, "refused", false},
	{"removed", errRemoved, codes.Unavailable, "was removed", true},
	{"stopped", errStopped, codes.Unavailable, "etcdserver: server stopped", true},
	{"too large", errTooLarge, codes.InvalidArgument, "etcdserver: request is too large", false},
	{"store closed", kv.ErrClosed, codes.Unavailable, "etcdserver: server stopped", true},
	{"deadline", context.DeadlineExceeded, codes.Unavailable, "etcdserver: request timed out", true},
	{"canceled", context.Canceled, codes.Unavailable, "etcdserver: request timed out", true},
	{"gRPC deadline", status.Error(codes.DeadlineExceeded, "x"), codes.Unavailable, "etcdserver: request timed out", true},
	{"gRPC canceled", status.Error(codes.Canceled, "x"), codes.Unavailable, "etcdserver: request timed out", true},
	{"etcd's own", rpctypes.ErrGRPCCompacted, codes.OutOfRange, "etcdserver: mvcc: required revision has been compacted", false},
	{"nobody's", errors.New("surprise"), codes.Unknown, "surprise", false},
}

func waiting(n *fakeNode) { n.why = []event.Reason{{Code: "seed", Text: "waiting for seed c"}} }

func TestErrorTable(t *testing.T) {
	for _, tt := range errorTable {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			waiting(r.node)
			r.node.before = func(context.Context) error { return fmt.Errorf("propose: %w", tt.is) }
			_, err := pb.NewKVClient(r.conn(t)).Put(testContext(t), &pb.PutRequest{Key: []byte("k")})
			if st := status.Convert(err); st.Code() != tt.code || !strings.Contains(st.Message(), tt.text) || strings.Contains(st.Message(), "rpc error") {
				t.Errorf("%v, want %v: %s", err, tt.code, tt.text)
			}
		})
	}
}

// Whatever a write ends with after it was handed over, etcd's client must not
// send it again by itself: it would be carried out twice.
func TestEtcdsClientNeverRepeatsAWrite(t *testing.T) {
	for _, tt := range errorTable {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			r.node.after = func(context.Context) error { return tt.is }
			c, ctx := r.client(t), testContext(t)
			writes := map[string]func() error{
				"put":    func() error { _, err := c.Put(ctx, "k", "v"); return err },
				"delete": func() error { _, err := c.Delete(ctx, "k"); return err },
				"txn":    func() error { _, err := c.Txn(ctx).Then(clientv3.OpPut("k", "v")).Commit(); return err },
			}
			for name, write := range writes {
				before := r.node.proposals
				if err := write(); err == nil {
					t.Errorf("%s succeeded, want an error", name)
				}
				if n := r.node.proposals - before; n != 1 {
					t.Errorf("%s was proposed %d times", name, n)
				}
			}
		})
	}
}

func TestEtcdsClientRepeatsReadsWhereThatCanHelp(t *testing.T) {
	for _, tt := range errorTable {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			r.node.onRead = func(_ context.Context, n int) error {
				if n == 1 {
					return tt.is
				}
				return nil
			}
			_, err := r.client(t).Get(testContext(t), "k")
			if repeated := err == nil && r.node.reads == 2; repeated != tt.read {
				t.Errorf("error %v after %d reads; want the read to be repeated: %v", err, r.node.reads, tt.read)
			}
		})
	}
}

func TestClientThatRequiresALeader(t *testing.T) {
	r := newRig(t)
	r.node.status.Leader = 0
	c := pb.NewKVClient(r.conn(t))
	old := &pb.RangeRequest{Key: []byte("k"), Serializable: true}
	if _, err := c.Range(testContext(t), old); err != nil {
		t.Errorf("serializable read without a leader: %v", err)
	}
	ctx := clientv3.WithRequireLeader(testContext(t))
	if _, err := c.Range(ctx, old); !errors.Is(err, rpctypes.ErrGRPCNoLeader) {
		t.Errorf("the same with the leader required: %v, want %v", err, rpctypes.ErrGRPCNoLeader)
	}
	stream, err := c.RangeStream(ctx, old)
	if err == nil {
		_, err = stream.Recv()
	}
	if !errors.Is(err, rpctypes.ErrGRPCNoLeader) {
		t.Errorf("a stream with the leader required: %v, want %v", err, rpctypes.ErrGRPCNoLeader)
	}
	r.node.status.Leader = cluster.NodeID(3)
	if _, err := c.Range(ctx, old); err != nil {
		t.Errorf("with a leader: %v", err)
	}
}
