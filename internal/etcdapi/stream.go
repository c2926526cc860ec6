package etcdapi

import (
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// chunkBytes is about how much one message of a RangeStream holds.
const chunkBytes = 1 << 20

// RangeStream implements etcd's KV.RangeStream: the response of Range, at one
// revision, in messages of about a mebibyte. Unlike etcd's, it supports every
// option of Range. The response is gathered first, as for Range.
func (s *kvService) RangeStream(r *pb.RangeRequest, out grpc.ServerStreamingServer[pb.RangeStreamResponse]) error {
	resp, err := s.Range(out.Context(), r)
	if err != nil {
		return err
	}
	rest := resp.Kvs
	for {
		n := chunk(rest)
		part := &pb.RangeResponse{Kvs: rest[:n]}
		rest = rest[n:]
		if len(rest) == 0 {
			// The last message says what is known of the whole.
			part.Header, part.More, part.Count = resp.Header, resp.More, resp.Count
		}
		if err := out.Send(&pb.RangeStreamResponse{RangeResponse: part}); err != nil || len(rest) == 0 {
			return err
		}
	}
}

// chunk is how many of kvs go into the next message: at least one, if any.
func chunk[M proto.Message](kvs []M) int {
	size := 0
	for i, kv := range kvs {
		size += proto.Size(kv)
		if size >= chunkBytes {
			return i + 1
		}
	}
	return len(kvs)
}
