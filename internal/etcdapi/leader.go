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

func (s *Server) requireLeaderStream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if err := s.requireLeader(stream.Context()); err != nil {
		return err
	}
	return next(srv, stream)
}

func (s *Server) requireLeader(ctx context.Context) error {
	v := metadata.ValueFromIncomingContext(ctx, rpctypes.MetadataRequireLeaderKey)
	if len(v) == 0 || v[0] != rpctypes.MetadataHasLeader || s.cfg.Proposer.Glance().Leader != 0 {
		return nil
	}
	return rpctypes.ErrGRPCNoLeader
}
