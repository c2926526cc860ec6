package server

import (
	"context"
	"math"
	"slices"
	"time"

	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // clients may compress, as etcd lets them
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/internal/etcdapi"
)

// GRPC are the settings of gRPC on the client port. Zero means the stated default,
// which is etcd's.
type GRPC struct {
	KeepaliveMinTime     time.Duration // that a client has to wait between pings, or it is cut off; default 5 s
	KeepaliveInterval    time.Duration // after which a silent client is pinged; default 2 h
	KeepaliveTimeout     time.Duration // that it then has to answer; default 20 s
	MaxConcurrentStreams uint32        // of one client connection; default: any number
	Reflection           bool          // clients may ask for the services and their messages
}

// options come after those of package etcdapi, and win.
func (g GRPC) options() []grpc.ServerOption {
	def := func(d, v time.Duration) time.Duration {
		if d <= 0 {
			return v
		}
		return d
	}
	streams := g.MaxConcurrentStreams
	if streams == 0 {
		streams = math.MaxUint32
	}
	return []grpc.ServerOption{
		grpc.Creds(newHandshaken()),
		grpc.MaxConcurrentStreams(streams),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: def(g.KeepaliveMinTime, 5*time.Second)}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: def(g.KeepaliveInterval, 2*time.Hour), Timeout: def(g.KeepaliveTimeout, 20*time.Second)}),
	}
}

// newGRPC is the server of all services; s.health tells of its state.
func (s *Server) newGRPC(api *etcdapi.Server) *grpc.Server {
	slow := &slowRequests{log: s.log, than: s.cfg.SlowRequest}
	g := grpc.NewServer(slices.Concat(s.tally.rpc.options(), slow.options(), api.Options(), s.cfg.GRPC.options())...)
	api.Register(g)
	s.locks.Register(g)
	s.health = health.NewServer()
	s.health.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	healthpb.RegisterHealthServer(g, &healthService{s.health, s.stopping})
	if s.cfg.GRPC.Reflection {
		reflection.Register(g)
	}
	s.tally.rpc.know(g)
	return g
}

// tellHealth has grpc.health.v1 say that this member serves, once it does. etcd
// opens its port only then. ctx ends with the node.
func (s *Server) tellHealth(ctx context.Context) {
	if s.node.Ready(ctx) == nil {
		close(s.begun)
		s.health.SetServingStatus("", healthpb.HealthCheckResponse_SERVING)
	}
}

// hasBegun returns once the node has been ready since it was started, whatever
// became of it since.
func (s *Server) hasBegun(ctx context.Context) error {
	select {
	case <-s.begun:
		return nil
	case <-s.stopping.Done():
		return muster.ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}
