package kv

import (
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

// refusedByAlarm says why a command is not carried out while alarms are raised,
// whoever raised them: with CORRUPT nothing is written any more, with NOSPACE
// nothing that takes space. What gives space back goes on: deletes, compaction,
// the end of leases. Members must agree on it, and do, since alarms come through
// the log like everything else. As in etcd (apply/capped.go, apply/corrupt.go)
// a transaction counts as a put if either branch may put, and reads are served.
func (a *applier) refusedByAlarm(op byte, body []byte) error {
	raised := a.known.alarms.all()
	if len(raised) == 0 {
		return nil
	}
	is := func(kind pb.AlarmType) bool {
		return slices.ContainsFunc(raised, func(m *pb.AlarmMember) bool { return m.GetAlarm() == kind })
	}
	switch op {
	case opPut, opDeleteRange, opTxn, opCompaction, opLeaseGrant, opLeaseRevoke:
		if is(pb.AlarmType_CORRUPT) {
			return ErrCorrupt
		}
	}
	takes := op == opPut || op == opLeaseGrant
	if op == opTxn {
		var t pb.TxnRequest
		takes = proto.Unmarshal(body, &t) == nil && Cost(&t) > 0
	}
	if takes && is(pb.AlarmType_NOSPACE) {
		return ErrNoSpace
	}
	return nil
}

// What a write takes beside its key and value, in bytes, as etcd estimates it.
const (
	leaseOverhead = 64
	kvOverhead    = 256
)

// Cost estimates how many bytes a request may add to the store: 0 for what adds
// none, such as deletes. Of a transaction it is the dearer branch.
func Cost(req proto.Message) int64 {
	switch r := req.(type) {
	case *pb.PutRequest:
		return kvOverhead + int64(len(r.GetKey())+len(r.GetValue()))
	case *pb.LeaseGrantRequest:
		return leaseOverhead
	case *pb.TxnRequest:
		return max(costOf(r.GetSuccess()), costOf(r.GetFailure()))
	}
	return 0
}

func costOf(ops []*pb.RequestOp) (sum int64) {
	for _, op := range ops {
		if p := op.GetRequestPut(); p != nil {
			sum += Cost(p)
		}
		if t := op.GetRequestTxn(); t != nil {
			sum += Cost(t)
		}
	}
	return sum
}
