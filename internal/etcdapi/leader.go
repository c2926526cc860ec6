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

// requireLeaderStream does the same, and ends the stream when the leader is
// lost later on.
func (s *Server) requireLeaderStream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if !requiresLeader(stream.Context()) {
		return next(srv, stream)
	}
	if err := s.requireLeader(stream.Context()); err != nil {
		return err
	}
	return s.whileLed(srv, stream, next)
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
