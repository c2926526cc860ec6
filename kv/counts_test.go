package kv

import (
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// What is nested counts where it is carried out, and not in the other branch.
func TestCountsOfNestedTransactions(t *testing.T) {
	get := func() *pb.RequestOp {
		return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte("k")}}}
	}
	c := &counts{}
	inner := branch{ops: []*pb.RequestOp{get(), get()}}
	c.read(branch{ops: []*pb.RequestOp{get(), {Request: &pb.RequestOp_RequestTxn{RequestTxn: &pb.TxnRequest{}}}}, nested: []branch{inner}})
	c.read(branch{ops: []*pb.RequestOp{get()}})
	if c.ranges.Load() != 4 || c.txns.Load() != 1 {
		t.Errorf("%d ranges, %d transactions; want 4 and 1", c.ranges.Load(), c.txns.Load())
	}
}

// A range counts once, in whatever parts it is given.
func TestCountsOfStreams(t *testing.T) {
	d := newDriver(t)
	d.put("a", "1")
	d.put("b", "2")
	for _, r := range []*pb.RangeRequest{all(), {Key: []byte("a")}} {
		before := d.Counts().Ranges
		must(t, d.RangeStream(t.Context(), r, 1, func(*pb.RangeResponse) error { return nil }))
		if n := d.Counts().Ranges - before; n != 1 {
			t.Errorf("%v counts as %d", r, n)
		}
	}
}
