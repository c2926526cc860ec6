package etcdapi

import pb "go.etcd.io/etcd/api/v3/etcdserverpb"

// readOnly says whether every operation is a range. As in etcd, a nested
// transaction is none, whatever is in it: it goes through the log, and is refused
// there as writes are.
func readOnly(t *pb.TxnRequest) bool {
	for _, ops := range [][]*pb.RequestOp{t.GetSuccess(), t.GetFailure()} {
		for _, op := range ops {
			if op.GetRequestRange() == nil {
				return false
			}
		}
	}
	return true
}

// serializable says whether every operation is a serializable range.
func serializable(t *pb.TxnRequest) bool {
	for _, ops := range [][]*pb.RequestOp{t.GetSuccess(), t.GetFailure()} {
		for _, op := range ops {
			if r := op.GetRequestRange(); r == nil || !r.GetSerializable() {
				return false
			}
		}
	}
	return true
}
