package etcdapi

import (
	"context"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// requireLeaderUnary refuses a request whose client asked for a member that
// knows a leader (clientv3.WithRequireLeader) while this one knows none.
func (s *Server) requireLeaderUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := s.requireLeader(ctx); err != nil {
		return nil, err
	}
	return next(ctx, req)
}

// requireLeaderStream does the same, once the member has begun, and ends the
// stream when the leader is lost later on.
func (s *Server) requireLeaderStream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if !requiresLeader(stream.Context()) {
		return next(srv, stream)
	}
	if err := s.begun(stream.Context()); err != nil {
		return err
	}
	if err := s.requireLeader(stream.Context()); err != nil {
		return err
	}
	return s.whileLed(srv, stream, next)
}

// begun waits until the member has been ready once since it was started, as long
// as a request may take. etcd's port is closed until then, on which a client goes
// on to try; where a watch hears that there is no leader it ends (clientv3), and
// Kubernetes, whose watches all require one, would list everything anew.
func (s *Server) begun(ctx context.Context) error {
	if s.cfg.Ready == nil {
		return nil
	}
	ctx, cancel := s.bound(ctx)
	defer cancel()
	err := s.cfg.Ready(ctx)
	if err != nil && ctx.Err() != nil {
		return rpctypes.ErrGRPCTimeout
	}
	return s.toGRPC(err)
}

func requiresLeader(ctx context.Context) bool {
	v := metadata.ValueFromIncomingContext(ctx, rpctypes.MetadataRequireLeaderKey)
	return len(v) > 0 && v[0] == rpctypes.MetadataHasLeader
}

func (s *Server) requireLeader(ctx context.Context) error {
	if !requiresLeader(ctx) || s.cfg.Proposer.Glance().Leader != 0 {
		return nil
	}
	return rpctypes.ErrGRPCNoLeader
}
