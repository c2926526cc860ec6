package kv

import (
	"bytes"
	"cmp"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// branch is the part of a transaction that its compares chose, with those of
// the transactions nested in it. All compares are evaluated before anything
// is carried out.
type branch struct {
	succeeded bool
	ops       []*pb.RequestOp
	nested    []branch // one per nested transaction in ops, same order
}

func (v *view) choose(t *pb.TxnRequest) (branch, error) {
	ok, err := v.holds(t.GetCompare())
	if err != nil {
		return branch{}, err
	}
	b := branch{succeeded: ok, ops: t.GetFailure()}
	if ok {
		b.ops = t.GetSuccess()
	}
	for _, op := range b.ops {
		nested, is := op.GetRequest().(*pb.RequestOp_RequestTxn)
		if !is {
			continue
		}
		n, err := v.choose(nested.RequestTxn)
		if err != nil {
			return branch{}, err
		}
		b.nested = append(b.nested, n)
	}
	return b, nil
}

func (v *view) holds(cmps []*pb.Compare) (bool, error) {
	for _, c := range cmps {
		if ok, err := v.holdsOne(c); err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

// holdsOne says whether every key of the compare's span satisfies it. If
// there is none, a missing key counts as one with all revisions 0; but it has
// no value, so that comparing one is false whatever the operator.
func (v *view) holdsOne(c *pb.Compare) (bool, error) {
	holds, found := true, false
	err := v.scan(spanOf(c.GetKey(), c.GetRangeEnd()), v.rev, func(it item) (bool, error) {
		found = true
		holds = compareItem(c, it)
		return holds, nil
	})
	if err != nil {
		return false, err
	}
	if !found {
		return c.GetTarget() != pb.Compare_VALUE && compareItem(c, item{}), nil
	}
	return holds, nil
}

func compareItem(c *pb.Compare, it item) bool {
	var order int
	switch c.GetTarget() {
	case pb.Compare_VALUE:
		order = bytes.Compare(it.value, c.GetValue())
	case pb.Compare_CREATE:
		order = cmp.Compare(it.meta.Create, c.GetCreateRevision())
	case pb.Compare_MOD:
		order = cmp.Compare(it.mod, c.GetModRevision())
	case pb.Compare_VERSION:
		order = cmp.Compare(it.meta.Version, c.GetVersion())
	case pb.Compare_LEASE:
		order = cmp.Compare(it.meta.Lease, c.GetLease())
	}
	switch c.GetResult() {
	case pb.Compare_EQUAL:
		return order == 0
	case pb.Compare_NOT_EQUAL:
		return order != 0
	case pb.Compare_GREATER:
		return order > 0
	case pb.Compare_LESS:
		return order < 0
	}
	return true // an operator that is none: as in etcd
}
