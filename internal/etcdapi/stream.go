package etcdapi

import (
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"

	"github.com/musterhq/muster/kv"
)

// chunkBytes is about how much one message of a RangeStream holds.
const chunkBytes = 1 << 20

// RangeStream implements etcd's KV.RangeStream: the response of Range, at one
// revision, in messages of about a mebibyte, read as the client takes them.
// Unlike etcd's, it supports every option of Range. It lasts as long as the
// client wants; only the agreement that a linearizable one starts with is
// bounded.
func (s *kvService) RangeStream(r *pb.RangeRequest, out grpc.ServerStreamingServer[pb.RangeStreamResponse]) error {
	if err := kv.Check(r); err != nil {
		return s.toGRPC(err)
	}
	if err := s.agree(out.Context(), r.Serializable); err != nil {
		return err
	}
	begun := s.cfg.Store.Auth() // or earlier than what the caller is asked about
	err := s.readAs(out.Context(), mayRange(r), func() error {
		return s.cfg.Store.RangeStream(out.Context(), r, chunkBytes, func(part *pb.RangeResponse) error {
			if now := s.cfg.Store.Auth(); now.Enabled() && (now.Revision() != begun.Revision() || !begun.Enabled()) {
				return rpctypes.ErrGRPCAuthOldRevision // what follows may be what the caller may no longer see
			}
			if part.Header != nil {
				s.fill(part.Header)
			}
			return out.Send(&pb.RangeStreamResponse{RangeResponse: part})
		})
	})
	return s.toGRPC(err)
}
