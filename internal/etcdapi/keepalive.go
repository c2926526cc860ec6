package etcdapi

import (
	"context"
	"errors"
	"io"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
)

// maxKeepAlives is how many requests of one stream are answered together.
const maxKeepAlives = 1000

// LeaseKeepAlive implements etcd's Lease.LeaseKeepAlive. The answers are in the
// order of the requests. Those that came while others were answered are answered
// together: a client keeps all of its leases alive on one stream.
func (s *leaseService) LeaseKeepAlive(stream grpc.BidiStreamingServer[pb.LeaseKeepAliveRequest, pb.LeaseKeepAliveResponse]) error {
	ctx := stream.Context()
	requests, received := make(chan int64, maxKeepAlives), make(chan error, 1)
	go func() { // ends with the stream, which gRPC ends when this method has returned
		defer close(requests)
		for {
			r, err := stream.Recv()
			if err != nil {
				received <- err
				return
			}
			select {
			case requests <- r.GetID():
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case id, more := <-requests:
			if !more {
				if err := <-received; !errors.Is(err, io.EOF) {
					return err
				}
				return nil
			}
			if err := s.keepAlive(ctx, stream, gather(id, requests)); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.ending:
			return rpctypes.ErrGRPCStopped
		}
	}
}

// gather takes what waits already.
func gather(first int64, requests <-chan int64) []int64 {
	ids := []int64{first}
	for len(ids) < maxKeepAlives {
		select {
		case id, more := <-requests:
			if !more {
				return ids
			}
			ids = append(ids, id)
		default:
			return ids
		}
	}
	return ids
}

// keepAlive renews leases and answers for each of them. The header is as of before
// that, as in etcd: a client that sees a lease alive at a revision must not find that
// it was revoked before.
func (s *leaseService) keepAlive(ctx context.Context, stream grpc.BidiStreamingServer[pb.LeaseKeepAliveRequest, pb.LeaseKeepAliveResponse], ids []int64) error {
	header := s.header()
	may, refusal := ids, error(nil)
	for i, id := range ids {
		if refusal = s.mayRenew(ctx, id); refusal != nil {
			may = ids[:i] // those before it are answered first
			break
		}
	}
	ttls, err := s.renew(ctx, may)
	if err != nil {
		return err
	}
	for i, id := range may {
		h := &pb.ResponseHeader{ClusterId: header.ClusterId, MemberId: header.MemberId, Revision: header.Revision, RaftTerm: header.RaftTerm}
		if err := stream.Send(&pb.LeaseKeepAliveResponse{Header: h, ID: id, TTL: ttls[i]}); err != nil {
			return err
		}
	}
	return refusal
}

func (s *leaseService) renew(ctx context.Context, ids []int64) ([]int64, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	bound, cancel := context.WithTimeout(ctx, s.cfg.RequestTimeout)
	defer cancel()
	ttls, err := s.cfg.Leases.Renew(bound, ids)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return nil, cause // the stream's end, and not what it led to
	}
	return ttls, s.toGRPC(err)
}
