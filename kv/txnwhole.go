package kv

import (
	"bytes"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// refusesWhole says why the branch can't be carried out, by what its operations
// do to each other. Each of them by itself has nothing against it.
func (a *applier) refusesWhole(b branch) (refusal, err error) {
	if refusal := (&opOrder{}).refuses(b); refusal != nil {
		return refusal, nil
	}
	return a.refusesPrevious(returningOf(b, returning{}))
}

// opOrder goes through the operations of a branch in their order, and keeps
// what they write.
type opOrder struct {
	writes  []opWrite
	deletes bool // there is one among them
}

type opWrite struct {
	span
	put bool // of span.from
}

// refuses finds a put that ignores the value, or the lease, of a key that the
// same transaction has deleted. etcd stops with a panic on that; see checkWrites
// for how it gets so far. The keys of all such puts are there when it begins.
func (o *opOrder) refuses(b branch) error {
	nested := b.nested
	for _, op := range b.ops {
		switch r := op.GetRequest().(type) {
		case *pb.RequestOp_RequestPut:
			p := r.RequestPut
			if (p.GetIgnoreValue() || p.GetIgnoreLease()) && o.deleted(p.GetKey()) {
				return ErrKeyNotFound
			}
			o.writes = append(o.writes, opWrite{span{from: p.GetKey(), single: true}, true})
		case *pb.RequestOp_RequestDeleteRange:
			o.writes = append(o.writes, opWrite{spanOf(r.RequestDeleteRange.GetKey(), r.RequestDeleteRange.GetRangeEnd()), false})
			o.deletes = true
		case *pb.RequestOp_RequestTxn:
			if refusal := o.refuses(nested[0]); refusal != nil {
				return refusal
			}
			nested = nested[1:]
		}
	}
	return nil
}

// deleted says whether the last write of key was a delete.
func (o *opOrder) deleted(key []byte) bool {
	if !o.deletes {
		return false
	}
	for i := len(o.writes) - 1; i >= 0; i-- {
		if w := o.writes[i]; w.put && bytes.Equal(w.from, key) || !w.put && w.holds(key) {
			return !w.put
		}
	}
	return false
}
