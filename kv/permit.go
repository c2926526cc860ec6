package kv

import (
	"encoding/binary"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster/statemachine"
)

// MayAdminister says whether the caller is root. The errors are [ErrUserEmpty],
// [ErrUserNotFound] and [ErrPermissionDenied]. As in etcd, the revision at which
// the caller was established doesn't matter.
func (a *Auth) MayAdminister(c Caller) error {
	switch u := a.users[c.Name]; {
	case !a.enabled:
		return nil
	case c.Name == "":
		return ErrUserEmpty
	case u == nil:
		return ErrUserNotFound
	case !u.root:
		return ErrPermissionDenied
	}
	return nil
}

// MayRead says whether the caller may read, or watch, the keys that a request
// names by key and range_end. The errors are [ErrUserEmpty],
// [ErrAuthOldRevision] and [ErrPermissionDenied].
func (a *Auth) MayRead(c Caller, key, end []byte) error {
	return a.may(c, func(u *account) bool { return u.read.covers(key, end) })
}

// MayWrite is MayRead for puts and deletes.
func (a *Auth) MayWrite(c Caller, key, end []byte) error {
	return a.may(c, func(u *account) bool { return u.write.covers(key, end) })
}

func (a *Auth) may(c Caller, permits func(*account) bool) error {
	switch {
	case !a.enabled:
		return nil
	case c.Revision == 0:
		return ErrUserEmpty
	case c.Revision < a.revision:
		return ErrAuthOldRevision
	}
	if u := a.users[c.Name]; u != nil && (u.root || permits(u)) {
		return nil
	}
	return ErrPermissionDenied
}

// MayReadTxn says whether the caller may carry out a transaction that holds
// neither puts nor deletes: both of its branches, whichever is chosen.
func (a *Auth) MayReadTxn(c Caller, t *pb.TxnRequest) error {
	refusal, _ := permit{auth: a, caller: c}.txn(t)
	return refusal
}

// permit asks for one command.
type permit struct {
	auth   *Auth
	caller Caller
	// attached visits the keys that hang on a lease, until visit fails.
	attached func(lease int64, visit func(key []byte) error) error
	// leases are those that were found to be the caller's: of many puts on one the
	// first asks.
	leases map[int64]struct{}
}

// mayRun says why the caller of a command is refused. Who compacts, deals with
// alarms, and grants leases was asked by the member that proposed it.
func (a *applier) mayRun(auth *Auth, c Caller, e statemachine.Entry) (refusal, err error) {
	p := permit{auth, c, a.attached, map[int64]struct{}{}}
	body := e.Command[1:]
	switch e.Command[0] {
	case opPut:
		if r, ok := decodePut(body); ok {
			return p.put(r)
		}
	case opDeleteRange:
		var r pb.DeleteRangeRequest
		if proto.Unmarshal(body, &r) == nil {
			return p.deleteRange(&r), nil
		}
	case opTxn:
		var r pb.TxnRequest
		if proto.Unmarshal(body, &r) == nil {
			return p.txn(&r)
		}
	case opLeaseRevoke:
		var r pb.LeaseRevokeRequest
		if ofLeader, ok := unfence(body, &r); ok && !ofLeader {
			return p.lease(r.GetID())
		}
	case opAuth:
		return auth.mayChangeAuth(c, body), nil
	case opCompaction, opAlarm, opLeaseGrant, opLeaseCheckpoint:
	default:
		return nil, unknownCommand(e)
	}
	return nil, nil
}

func (p permit) put(r put) (refusal, err error) {
	if refusal := p.auth.MayWrite(p.caller, r.key, nil); refusal != nil {
		return refusal, nil
	}
	if r.lease != 0 {
		// Who attaches a key to a lease must be able to revoke it.
		if refusal, err := p.lease(r.lease); refusal != nil || err != nil {
			return refusal, err
		}
	}
	if r.prevKV {
		return p.auth.MayRead(p.caller, r.key, nil), nil
	}
	return nil, nil
}

func (p permit) deleteRange(r *pb.DeleteRangeRequest) error {
	if refusal := p.auth.MayWrite(p.caller, r.GetKey(), r.GetRangeEnd()); refusal != nil {
		return refusal
	}
	if r.GetPrevKv() {
		return p.auth.MayRead(p.caller, r.GetKey(), r.GetRangeEnd())
	}
	return nil
}

// txn asks for all compares and both branches, as not even which one is chosen
// is for everybody to know.
func (p permit) txn(t *pb.TxnRequest) (refusal, err error) {
	for _, c := range t.GetCompare() {
		if refusal := p.auth.MayRead(p.caller, c.GetKey(), c.GetRangeEnd()); refusal != nil {
			return refusal, nil
		}
	}
	for _, ops := range [][]*pb.RequestOp{t.GetSuccess(), t.GetFailure()} {
		for _, op := range ops {
			if refusal, err := p.op(op); refusal != nil || err != nil {
				return refusal, err
			}
		}
	}
	return nil, nil
}

func (p permit) op(op *pb.RequestOp) (refusal, err error) {
	switch o := op.GetRequest().(type) {
	case *pb.RequestOp_RequestRange:
		return p.auth.MayRead(p.caller, o.RequestRange.GetKey(), o.RequestRange.GetRangeEnd()), nil
	case *pb.RequestOp_RequestPut:
		return p.put(putOf(o.RequestPut))
	case *pb.RequestOp_RequestDeleteRange:
		return p.deleteRange(o.RequestDeleteRange), nil
	case *pb.RequestOp_RequestTxn:
		return p.txn(o.RequestTxn)
	}
	return nil, nil
}

// lease asks whether the caller may write every key that hangs on a lease.
func (p permit) lease(id int64) (refusal, err error) {
	if _, asked := p.leases[id]; asked || p.auth.MayAdminister(p.caller) == nil {
		return nil, nil
	}
	err = p.attached(id, func(key []byte) error {
		refusal = p.auth.MayWrite(p.caller, key, nil)
		return refusal
	})
	if refusal != nil {
		return refusal, nil
	}
	if err != nil {
		return nil, err
	}
	p.leases[id] = struct{}{}
	return nil, nil
}

// unfence decodes a request with a term before it (see head), which is not 0 if a
// leader sent it by itself.
func unfence(body []byte, r proto.Message) (ofLeader, ok bool) {
	if len(body) < 8 || proto.Unmarshal(body[8:], r) != nil {
		return false, false
	}
	return binary.BigEndian.Uint64(body) != 0, true
}
