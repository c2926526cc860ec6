package differential

import (
	"bytes"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// safeTxn is a transaction that etcd survives.
func (g *gen) safeTxn() *pb.TxnRequest {
	for {
		if t := g.txn(3); !stopsEtcd(t) {
			return t
		}
	}
}

// stopsEtcd tells transactions that etcd 3.7 may end with a panic on, and again
// each time it starts: a delete of everything from a key on, which its check for
// keys written twice doesn't see, and a put of a key of those. If the put takes its
// value or lease from what was there, the transaction itself ends etcd; otherwise a
// compaction of its revision deletes what was put, and the next who reads it ends
// etcd. (What muster does: deleted_test.go.)
func stopsEtcd(t *pb.TxnRequest) bool {
	var deletes, puts [][]byte
	eachOp(t, func(op *pb.RequestOp) {
		if d := op.GetRequestDeleteRange(); d != nil && bytes.Equal(d.GetRangeEnd(), []byte{0}) {
			deletes = append(deletes, d.GetKey())
		}
		if p := op.GetRequestPut(); p != nil {
			puts = append(puts, p.GetKey())
		}
	})
	for _, from := range deletes {
		if slices.ContainsFunc(puts, func(key []byte) bool { return bytes.Compare(key, from) >= 0 }) {
			return true
		}
	}
	return false
}

func eachOp(t *pb.TxnRequest, do func(*pb.RequestOp)) {
	for _, ops := range [][]*pb.RequestOp{t.GetSuccess(), t.GetFailure()} {
		for _, op := range ops {
			do(op)
			if n := op.GetRequestTxn(); n != nil {
				eachOp(n, do)
			}
		}
	}
}

// txn nests at most depth deep.
func (g *gen) txn(depth int) *pb.TxnRequest {
	t := &pb.TxnRequest{}
	for range g.IntN(3) {
		t.Compare = append(t.Compare, g.compare())
	}
	t.Success, t.Failure = g.ops(depth), g.ops(depth)
	if g.one(80) { // at the limit, and beyond
		for n := 126 + g.IntN(5); len(t.Success) < n; {
			t.Success = append(t.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte("a")}}})
		}
	}
	return t
}

func (g *gen) ops(depth int) []*pb.RequestOp {
	var ops []*pb.RequestOp
	for range g.IntN(4) {
		ops = append(ops, g.op(depth))
	}
	return ops
}

func (g *gen) op(depth int) *pb.RequestOp {
	switch n := g.IntN(40); {
	case n == 0:
		return &pb.RequestOp{}
	case n < 12:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: g.rangeRequest()}}
	case n < 26:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: g.put()}}
	case n < 34 || depth == 0:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: g.deleteRange()}}
	default:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: g.txn(depth - 1)}}
	}
}

func (g *gen) compare() *pb.Compare {
	key := g.key()
	c := &pb.Compare{Key: key, Result: pb.Compare_CompareResult(g.IntN(4))}
	if g.one(3) {
		c.RangeEnd = g.end(key)
	}
	c.Target = pb.Compare_CompareTarget(g.IntN(5))
	of := c.Target
	if g.one(20) {
		of = pb.Compare_CompareTarget(g.IntN(6)) // another field than the target's, or none
	}
	switch of {
	case pb.Compare_VERSION:
		c.TargetUnion = &pb.Compare_Version{Version: int64(g.IntN(4))}
	case pb.Compare_CREATE:
		c.TargetUnion = &pb.Compare_CreateRevision{CreateRevision: g.sometimes(2)}
	case pb.Compare_MOD:
		c.TargetUnion = &pb.Compare_ModRevision{ModRevision: g.sometimes(2)}
	case pb.Compare_VALUE:
		c.TargetUnion = &pb.Compare_Value{Value: g.value()}
	case pb.Compare_LEASE:
		c.TargetUnion = &pb.Compare_Lease{Lease: g.leaseID()}
	}
	if g.one(60) {
		c.Target, c.Result = 9, 9
	}
	return c
}
