package lockapi

import (
	"context"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/grpc"
)

// Server implements both services. Its methods are safe for concurrent use.
type Server struct {
	client   *clientv3.Client
	onBehalf func(context.Context) context.Context
}

// New makes a server that works through conn, which is the caller's to close
// after Close. onBehalf turns the context of a request into one for requests by
// conn that are made for the same caller.
func New(conn grpc.ClientConnInterface, onBehalf func(context.Context) context.Context) *Server {
	c := clientv3.NewCtxClient(context.Background())
	c.KV = clientv3.NewKVFromKVClient(pb.NewKVClient(conn), c)
	c.Lease = clientv3.NewLeaseFromLeaseClient(pb.NewLeaseClient(conn), c, time.Second)
	c.Watcher = clientv3.NewWatchFromWatchClient(pb.NewWatchClient(conn), c)
	return &Server{client: c, onBehalf: onBehalf}
}

// Register adds the services to a gRPC server.
func (s *Server) Register(r grpc.ServiceRegistrar) {
	v3lockpb.RegisterLockServer(r, &lockService{Server: s})
	v3electionpb.RegisterElectionServer(r, &electionService{Server: s})
}

// Close ends the requests that are under way. It is idempotent.
func (s *Server) Close() { _ = s.client.Close() } // it tells that it was closed, and no more

// session is one that outlives the request: its lease is the caller's to keep
// alive, and ends by itself otherwise. Lease 0 takes a new one of 60 s.
func (s *Server) session(ctx context.Context, lease int64) (*concurrency.Session, error) {
	session, err := concurrency.NewSession(s.client,
		concurrency.WithLease(clientv3.LeaseID(lease)), concurrency.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	session.Orphan()
	return session, nil
}

// reading is a session for what needs no lease.
func (s *Server) reading(ctx context.Context) (*concurrency.Session, error) {
	return s.session(ctx, -1)
}
