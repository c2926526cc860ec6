package server

import (
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/status"

	"github.com/musterhq/muster/cluster"
)

// A stream that requires a leader waits on a member that was just started. Where a
// leader has been lost it hears so at once, be it the first of its kind.
func TestStreamsWithoutALeader(t *testing.T) {
	r := newRig(t)
	<-r.begun
	r.node.set(func(st *cluster.Status) { st.Leader = 0 })
	stream, err := pb.NewWatchClient(dialGRPC(t, r.addr)).Watch(clientv3.WithRequireLeader(t.Context()))
	if err == nil {
		_, err = stream.Recv()
	}
	if got, want := status.Convert(err).Message(), status.Convert(rpctypes.ErrGRPCNoLeader).Message(); got != want {
		t.Errorf("ended with %q, want %q", got, want)
	}
}
