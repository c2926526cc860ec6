package etcdapi

import (
	"context"
	"errors"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/musterhq/muster/kv"
)

// kvService is etcd's KV.
type kvService struct {
	pb.UnsafeKVServer
	*Server
}

// Put implements etcd's KV.Put.
func (s *kvService) Put(ctx context.Context, r *pb.PutRequest) (*pb.PutResponse, error) {
	if err := kv.Check(r); err != nil {
		return nil, s.toGRPC(err)
	}
	cmd, err := kv.EncodePut(r)
	if err != nil {
		return nil, s.toGRPC(err)
	}
	resp, err := propose[*pb.PutResponse](ctx, s.Server, cmd)
	if err != nil {
		return nil, err
	}
	s.fill(resp.Header)
	return resp, nil
}

// DeleteRange implements etcd's KV.DeleteRange.
func (s *kvService) DeleteRange(ctx context.Context, r *pb.DeleteRangeRequest) (*pb.DeleteRangeResponse, error) {
	if err := kv.Check(r); err != nil {
		return nil, s.toGRPC(err)
	}
	cmd, err := kv.EncodeDeleteRange(r)
	if err != nil {
		return nil, s.toGRPC(err)
	}
	resp, err := propose[*pb.DeleteRangeResponse](ctx, s.Server, cmd)
	if err != nil {
		return nil, err
	}
	s.fill(resp.Header)
	return resp, nil
}

// Txn implements etcd's KV.Txn. One of ranges alone does not enter the log.
func (s *kvService) Txn(ctx context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error) {
	if err := kv.CheckTxn(r, s.cfg.MaxTxnOps); err != nil {
		return nil, s.toGRPC(err)
	}
	if readOnly(r) {
		return s.readTxn(ctx, r)
	}
	cmd, err := kv.EncodeTxn(r)
	if err != nil {
		return nil, s.toGRPC(err)
	}
	resp, err := propose[*pb.TxnResponse](ctx, s.Server, cmd)
	if err != nil {
		return nil, err
	}
	s.fill(resp.Header)
	return resp, nil
}

func (s *kvService) readTxn(ctx context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error) {
	if err := s.agree(ctx, serializable(r)); err != nil {
		return nil, err
	}
	var resp *pb.TxnResponse
	may := func(a *kv.Auth, c kv.Caller) error { return a.MayReadTxn(c, r) }
	err := s.readAs(ctx, may, func() (err error) {
		resp, err = s.cfg.Store.ReadTxn(ctx, r)
		return err
	})
	if err != nil {
		return nil, s.toGRPC(err)
	}
	s.fill(resp.Header)
	return resp, nil
}

// Compact implements etcd's KV.Compact. A physical one waits, for as long as
// the client does, until what is compacted is deleted on this member, also
// where it was compacted before.
func (s *kvService) Compact(ctx context.Context, r *pb.CompactionRequest) (*pb.CompactionResponse, error) {
	cmd, err := kv.EncodeCompaction(r)
	if err != nil {
		return nil, s.toGRPC(err)
	}
	resp, err := propose[*pb.CompactionResponse](ctx, s.Server, cmd)
	if r.Physical && (err == nil || errors.Is(err, kv.ErrCompacted)) {
		if perr := s.cfg.Store.Purged(ctx); perr != nil {
			return nil, s.toGRPC(perr)
		}
	}
	if err != nil {
		return nil, err
	}
	s.fill(resp.Header)
	return resp, nil
}

// Range implements etcd's KV.Range. What is read takes its time, as long as the
// client waits.
func (s *kvService) Range(ctx context.Context, r *pb.RangeRequest) (*pb.RangeResponse, error) {
	if err := kv.Check(r); err != nil {
		return nil, s.toGRPC(err)
	}
	if err := s.agree(ctx, r.Serializable); err != nil {
		return nil, err
	}
	var resp *pb.RangeResponse
	err := s.readAs(ctx, mayRange(r), func() (err error) {
		resp, err = s.cfg.Store.Range(ctx, r)
		return err
	})
	if err != nil {
		return nil, s.toGRPC(err)
	}
	s.fill(resp.Header)
	return resp, nil
}

// agree returns once a read of the store is linearizable, at once if it need
// not be. The error is the client's.
func (s *Server) agree(ctx context.Context, serializable bool) error {
	if serializable {
		return nil
	}
	return s.toGRPC(s.confirm(ctx))
}

// mayRange asks whether a caller may read the range.
func mayRange(r *pb.RangeRequest) func(*kv.Auth, kv.Caller) error {
	return func(a *kv.Auth, c kv.Caller) error { return a.MayRead(c, r.GetKey(), r.GetRangeEnd()) }
}

// propose hands one encoded write over, with its caller, and takes the typed
// response out of the machine's reply.
func propose[R any](ctx context.Context, s *Server, cmd []byte) (R, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	c, err := s.caller(ctx)
	if err != nil {
		var none R
		return none, s.toGRPC(err)
	}
	return proposeAs[R](ctx, s, c, cmd)
}

// proposeAs is propose for a caller that is known; ctx has a deadline.
func proposeAs[R any](ctx context.Context, s *Server, c kv.Caller, cmd []byte) (R, error) {
	var none R
	if c != (kv.Caller{}) {
		cmd = kv.EncodeAs(c, cmd)
	}
	if len(cmd) > s.cfg.MaxRequestBytes {
		return none, rpctypes.ErrGRPCRequestTooLarge
	}
	result, err := s.cfg.Proposer.Propose(ctx, cmd)
	if err != nil {
		return none, s.toGRPC(err)
	}
	return unpack[R](s, result)
}
