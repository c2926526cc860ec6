package etcdapi

import (
	"context"
	"errors"
	"io"
	"sync/atomic"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
)

type keepAliveStream = grpc.BidiStreamingServer[pb.LeaseKeepAliveRequest, pb.LeaseKeepAliveResponse]

// maxKeepAlives is how many requests of one stream are answered together.
const maxKeepAlives = 1000

// LeaseKeepAlive implements etcd's Lease.LeaseKeepAlive. The answers are in the
// order of the requests. Those that came while others were answered are answered
// together: a client keeps all of its leases alive on one stream. One that nobody
// has to be asked for, and that comes alone, is answered where it was received.
func (s *leaseService) LeaseKeepAlive(stream keepAliveStream) error {
	ctx := stream.Context()
	requests, received := make(chan int64, maxKeepAlives), make(chan error, 1)
	var open atomic.Int64 // requests that are not answered yet: while there are any, the others' turn is after them
	go func() {           // ends with the stream, which gRPC ends when this method has returned
		defer close(requests)
		for {
			r, err := stream.Recv()
			if err == nil && open.Load() == 0 {
				var done bool
				if done, err = s.keepAliveAtOnce(stream, r.GetID()); done {
					continue
				}
			}
			if err != nil {
				received <- err
				return
			}
			open.Add(1)
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
			ids := gather(id, requests)
			if err := s.keepAlive(ctx, stream, ids); err != nil {
				return err
			}
			open.Add(-int64(len(ids)))
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.ending:
			return rpctypes.ErrGRPCStopped
		}
	}
}

// keepAliveAtOnce answers one request if nobody has to be asked for it.
func (s *leaseService) keepAliveAtOnce(stream keepAliveStream, id int64) (done bool, err error) {
	header := s.header()
	if s.mayRenew(stream.Context(), id) != nil {
		return false, nil
	}
	ttl, ok := s.cfg.Leases.RenewAtOnce(id)
	if !ok {
		return false, nil
	}
	err = stream.Send(&pb.LeaseKeepAliveResponse{Header: header, ID: id, TTL: ttl})
	return err == nil, err
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
func (s *leaseService) keepAlive(ctx context.Context, stream keepAliveStream, ids []int64) error {
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
