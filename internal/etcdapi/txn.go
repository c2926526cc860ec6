package etcdapi

import pb "go.etcd.io/etcd/api/v3/etcdserverpb"

// readOnly says whether no branch of the transaction writes.
func readOnly(t *pb.TxnRequest) bool {
	for _, ops := range [][]*pb.RequestOp{t.GetSuccess(), t.GetFailure()} {
		for _, op := range ops {
			switch r := op.GetRequest().(type) {
			case *pb.RequestOp_RequestRange:
			case *pb.RequestOp_RequestTxn:
				if !readOnly(r.RequestTxn) {
					return false
				}
			default:
				return false
			}
		}
	}
	return true
}

// serializable says whether every operation is a serializable range. As in
// etcd, a nested transaction is none.
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
