package kv

import (
	"context"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// runTxn carries out a transaction: all compares, then the checks that may
// refuse it, then the operations of the chosen branch in order. All of it has
// one main revision.
func (a *applier) runTxn(t *pb.TxnRequest, wanted bool) (Reply, error) {
	b, err := a.choose(t)
	if err != nil {
		return Reply{}, err
	}
	refusal, err := a.refuses(b)
	if err != nil || refusal != nil {
		return Reply{Err: refusal}, err
	}
	if refusal, err = a.refusesWhole(b); err != nil || refusal != nil {
		return Reply{Err: refusal}, err
	}
	a.counts.txn(b.ops)
	resp, refusal, err := a.execute(b, wanted)
	if err != nil || refusal != nil {
		return Reply{Err: refusal}, err
	}
	if resp == nil {
		return Reply{}, nil
	}
	resp.Header.Revision = a.rev
	return Reply{Response: resp}, nil
}

// refuses says why the branch can't be carried out, before any of it is.
func (a *applier) refuses(b branch) (refusal, err error) {
	nested := b.nested
	for _, op := range b.ops {
		switch o := op.GetRequest().(type) {
		case *pb.RequestOp_RequestRange:
			refusal = a.checkRevision(o.RequestRange)
		case *pb.RequestOp_RequestPut:
			refusal, err = a.refusesPut(o.RequestPut)
		case *pb.RequestOp_RequestTxn:
			refusal, err = a.refuses(nested[0])
			nested = nested[1:]
		}
		if refusal != nil || err != nil {
			return refusal, err
		}
	}
	return nil, nil
}

func (a *applier) refusesPut(p *pb.PutRequest) (refusal, err error) {
	if refusal, err := a.refusesLease(p.GetLease()); refusal != nil || err != nil {
		return refusal, err
	}
	if !p.GetIgnoreValue() && !p.GetIgnoreLease() {
		return nil, nil
	}
	_, exists, err := a.latest(p.GetKey(), false)
	if err == nil && !exists {
		return ErrKeyNotFound, nil
	}
	return nil, err
}

// execute carries out the branch. The response is nil unless it is wanted;
// ranges, which change nothing, are then left out. Only the outermost response
// has a revision in its header, as in etcd; the caller sets it.
func (a *applier) execute(b branch, wanted bool) (resp *pb.TxnResponse, refusal, err error) {
	if wanted {
		resp = newTxnResponse(b)
	}
	nested := b.nested
	for i, op := range b.ops {
		var out *pb.ResponseOp
		switch o := op.GetRequest().(type) {
		case *pb.RequestOp_RequestRange:
			a.counts.ranges.Add(1)
			if wanted {
				out, err = a.rangeOp(context.Background(), o.RequestRange)
			}
		case *pb.RequestOp_RequestPut:
			var r *pb.PutResponse
			var found bool
			r, found, err = a.put(putOf(o.RequestPut), wanted)
			if err == nil && !found {
				refusal = ErrKeyNotFound
			}
			out = &pb.ResponseOp{Response: &pb.ResponseOp_ResponsePut{ResponsePut: r}}
		case *pb.RequestOp_RequestDeleteRange:
			var r *pb.DeleteRangeResponse
			r, err = a.deleteRange(o.RequestDeleteRange, wanted)
			out = &pb.ResponseOp{Response: &pb.ResponseOp_ResponseDeleteRange{ResponseDeleteRange: r}}
		case *pb.RequestOp_RequestTxn:
			var r *pb.TxnResponse
			r, refusal, err = a.execute(nested[0], wanted)
			nested = nested[1:]
			out = &pb.ResponseOp{Response: &pb.ResponseOp_ResponseTxn{ResponseTxn: r}}
		}
		if err == nil && refusal == nil {
			err = a.relieve()
		}
		if err != nil || refusal != nil {
			return nil, refusal, err
		}
		if wanted && out != nil {
			resp.Responses[i] = out
		}
	}
	return resp, nil, nil
}

// newTxnResponse has an empty operation for each of the branch.
func newTxnResponse(b branch) *pb.TxnResponse {
	resp := &pb.TxnResponse{
		Header:    &pb.ResponseHeader{},
		Succeeded: b.succeeded,
		Responses: make([]*pb.ResponseOp, len(b.ops)),
	}
	ops := make([]pb.ResponseOp, len(b.ops))
	for i := range ops {
		resp.Responses[i] = &ops[i]
	}
	return resp
}

func (v *view) rangeOp(ctx context.Context, r *pb.RangeRequest) (*pb.ResponseOp, error) {
	resp, err := v.rangeKeys(ctx, r)
	if err != nil {
		return nil, err
	}
	return &pb.ResponseOp{Response: &pb.ResponseOp_ResponseRange{ResponseRange: resp}}, nil
}

// readTxn carries out a branch that only reads.
func (v *view) readTxn(ctx context.Context, b branch) (*pb.TxnResponse, error) {
	resp := newTxnResponse(b)
	nested := b.nested
	for i, op := range b.ops {
		var err error
		switch o := op.GetRequest().(type) {
		case *pb.RequestOp_RequestRange:
			var r *pb.RangeResponse
			if err = v.checkRevision(o.RequestRange); err == nil {
				r, err = v.rangeKeys(ctx, o.RequestRange)
			}
			resp.Responses[i].Response = &pb.ResponseOp_ResponseRange{ResponseRange: r}
		case *pb.RequestOp_RequestTxn:
			var r *pb.TxnResponse
			r, err = v.readTxn(ctx, nested[0])
			nested = nested[1:]
			resp.Responses[i].Response = &pb.ResponseOp_ResponseTxn{ResponseTxn: r}
		default:
			err = fmt.Errorf("kv: a transaction with a %T is no read", op.GetRequest())
		}
		if err != nil {
			return nil, err
		}
	}
	return resp, nil
}
