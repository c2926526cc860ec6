package kv

import (
	"math"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// maxAnswer is what a gRPC message can hold, in bytes: keys and values that are
// more can't be sent, and are not gathered.
const maxAnswer = math.MaxInt32

// answer is where a range that is read counts what it gathers, together with the
// others of its request; nil where that is not what will be sent, or where the
// request changes something. Whether that is carried out is not for one member to
// say, and only the one that was asked reads.
func (v *view) answer(r *pb.RangeRequest) *int64 {
	if v.own != nil || r.GetKeysOnly() || r.GetLimit() > 0 && fetchLimit(r) == 0 {
		return nil
	}
	return &v.left
}

// returning are the operations of a command that return what was before.
type returning struct {
	deletes []*pb.DeleteRangeRequest // of ranges
	singles [][]byte                 // keys that are put, or deleted one by one
}

func returningOf(b branch, r returning) returning {
	nested := b.nested
	for _, op := range b.ops {
		switch o := op.GetRequest().(type) {
		case *pb.RequestOp_RequestPut:
			if o.RequestPut.GetPrevKv() {
				r.singles = append(r.singles, o.RequestPut.GetKey())
			}
		case *pb.RequestOp_RequestDeleteRange:
			d := o.RequestDeleteRange
			switch {
			case !d.GetPrevKv():
			case spanOf(d.GetKey(), d.GetRangeEnd()).single:
				r.singles = append(r.singles, d.GetKey())
			default:
				r.deletes = append(r.deletes, d)
			}
		case *pb.RequestOp_RequestTxn:
			r, nested = returningOf(nested[0], r), nested[1:]
		}
	}
	return r
}

// refusesPrevious says why a command can't return what it changes: a message has
// a limit, and so has the memory that it is made in. All members come to the same
// answer, also those that nobody asks. A few keys by themselves are not counted:
// each of them came in one request, and a search for each put is much of its work.
func (a *applier) refusesPrevious(r returning) (refusal, err error) {
	left := a.limits.previous
	count := func(it item) (bool, error) {
		left -= int64(len(it.key)+len(it.value)) + keyOverhead
		return left >= 0, nil
	}
	for _, d := range r.deletes {
		if left < 0 {
			break
		}
		if err := a.scan(spanOf(d.GetKey(), d.GetRangeEnd()), a.rev, count); err != nil {
			return nil, err
		}
	}
	if len(r.singles) > a.limits.singles {
		for _, key := range r.singles {
			if left < 0 {
				break
			}
			if err := a.scan(span{from: key, single: true}, a.rev, count); err != nil {
				return nil, err
			}
		}
	}
	if left < 0 {
		return ErrPreviousTooLarge, nil
	}
	return nil, nil
}
