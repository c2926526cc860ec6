package kv

import (
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// TestLeaseIsAskedAboutOnce: what hangs on a lease may be very much, and is gone
// through once for a transaction, however many of its puts name the lease.
func TestLeaseIsAskedAboutOnce(t *testing.T) {
	d, _ := guarded(t)
	asked := map[int64]int{}
	p := permit{auth: d.Auth(), caller: d.now("ann"), leases: map[int64]struct{}{}, attached: func(id int64, visit func(key []byte) error) error {
		asked[id]++
		for _, key := range map[int64][]string{7: {"a"}, 8: {"a", "x"}}[id] {
			if err := visit([]byte(key)); err != nil {
				return err
			}
		}
		return nil
	}}
	put := func(lease int64) *pb.RequestOp {
		return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("b"), Lease: lease}}}
	}
	then := &pb.TxnRequest{Success: []*pb.RequestOp{put(7), put(7), txnOp(&pb.TxnRequest{Failure: []*pb.RequestOp{put(7)}})}}
	if refusal, err := p.txn(then); refusal != nil || err != nil || asked[7] != 1 {
		t.Errorf("%v, %v; asked %d times", refusal, err, asked[7])
	}
	then.Failure = []*pb.RequestOp{put(8)}
	for range 2 {
		if refusal, err := p.txn(then); refusal != ErrPermissionDenied || err != nil {
			t.Errorf("with a lease of others' keys: %v, %v", refusal, err)
		}
	}
}
