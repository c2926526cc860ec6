package kv

import (
	"bytes"
	"fmt"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// MaxTxnOps bounds the compares, and the operations of each branch, of a
// transaction, nested ones together with those around them, unless
// [CheckTxn] is told otherwise.
const MaxTxnOps = 128

// Check says whether a request makes sense by itself, before it is read with
// or made a command of. The errors are the Err… of this package. It knows the
// requests for range, put, delete, transaction and compaction.
func Check(req any) error {
	switch r := req.(type) {
	case *pb.RangeRequest:
		return checkRange(r)
	case *pb.PutRequest:
		return checkPut(r)
	case *pb.DeleteRangeRequest:
		return checkDelete(r)
	case *pb.TxnRequest:
		return CheckTxn(r, MaxTxnOps)
	case *pb.CompactionRequest:
		return nil
	}
	return fmt.Errorf("kv: can't check a %T", req)
}

// CheckTxn is [Check] for a transaction, with another limit than [MaxTxnOps].
func CheckTxn(r *pb.TxnRequest, maxOps int) error {
	if err := checkTxn(r, maxOps); err != nil {
		return err
	}
	for _, ops := range [][]*pb.RequestOp{r.GetSuccess(), r.GetFailure()} {
		if _, _, err := checkWrites(ops); err != nil {
			return err
		}
	}
	return nil
}

func checkRange(r *pb.RangeRequest) error {
	if len(r.GetKey()) == 0 {
		return ErrEmptyKey
	}
	_, order := pb.RangeRequest_SortOrder_name[int32(r.GetSortOrder())]
	_, target := pb.RangeRequest_SortTarget_name[int32(r.GetSortTarget())]
	if !order || !target {
		return ErrInvalidSortOption
	}
	return nil
}

func checkPut(r *pb.PutRequest) error {
	switch {
	case len(r.GetKey()) == 0:
		return ErrEmptyKey
	case r.GetIgnoreValue() && len(r.GetValue()) != 0:
		return ErrValueProvided
	case r.GetIgnoreLease() && r.GetLease() != 0:
		return ErrLeaseProvided
	}
	return nil
}

func checkDelete(r *pb.DeleteRangeRequest) error {
	if len(r.GetKey()) == 0 {
		return ErrEmptyKey
	}
	return nil
}

// checkTxn leaves to a nested transaction what the widest list around it
// does not use up of the operations.
func checkTxn(r *pb.TxnRequest, maxOps int) error {
	widest := max(len(r.GetCompare()), len(r.GetSuccess()), len(r.GetFailure()))
	if widest > maxOps {
		return ErrTooManyOps
	}
	for _, c := range r.GetCompare() {
		if len(c.GetKey()) == 0 {
			return ErrEmptyKey
		}
	}
	for _, ops := range [][]*pb.RequestOp{r.GetSuccess(), r.GetFailure()} {
		for _, op := range ops {
			if err := checkOp(op, maxOps-widest); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkOp(op *pb.RequestOp, maxOps int) error {
	switch o := op.GetRequest().(type) {
	case *pb.RequestOp_RequestRange:
		return checkRange(o.RequestRange)
	case *pb.RequestOp_RequestPut:
		return checkPut(o.RequestPut)
	case *pb.RequestOp_RequestDeleteRange:
		return checkDelete(o.RequestDeleteRange)
	case *pb.RequestOp_RequestTxn:
		return checkTxn(o.RequestTxn, maxOps)
	}
	return ErrKeyNotFound // as etcd answers an empty operation
}

// checkWrites refuses a list of operations that may put a key twice, or
// delete and put it, and returns what the list may put and delete.
//
// Two rules are etcd's and look odd: a nested transaction's puts are held
// against the deletes of those before it and not after it, and a delete of
// "everything from key" (range_end 00) is an interval that ends before it
// begins and overlaps with nothing.
func checkWrites(ops []*pb.RequestOp) (map[string]struct{}, intervals, error) {
	var dels intervals
	for _, op := range ops {
		if d := op.GetRequestDeleteRange(); d != nil {
			dels.add(d.GetKey(), d.GetRangeEnd())
		}
	}
	dels.merge()
	puts := make(map[string]struct{})
	for _, op := range ops {
		t := op.GetRequestTxn()
		if t == nil {
			continue
		}
		if err := checkNested(t, puts, &dels); err != nil {
			return nil, nil, err
		}
	}
	for _, op := range ops {
		p := op.GetRequestPut()
		if p == nil {
			continue
		}
		if _, twice := puts[string(p.GetKey())]; twice || dels.contain(p.GetKey()) {
			return nil, nil, ErrDuplicateKey
		}
		puts[string(p.GetKey())] = struct{}{}
	}
	return puts, dels, nil
}

// checkNested adds what the two branches of t may write to puts and dels. A
// key may be put in both: only one of them happens.
func checkNested(t *pb.TxnRequest, puts map[string]struct{}, dels *intervals) error {
	thenPuts, thenDels, err := checkWrites(t.GetSuccess())
	if err != nil {
		return err
	}
	elsePuts, elseDels, err := checkWrites(t.GetFailure())
	if err != nil {
		return err
	}
	for k := range thenPuts {
		if _, twice := puts[k]; twice || dels.contain([]byte(k)) {
			return ErrDuplicateKey
		}
	}
	for k := range elsePuts {
		if _, twice := puts[k]; twice || dels.contain([]byte(k)) {
			return ErrDuplicateKey
		}
	}
	for _, more := range []map[string]struct{}{thenPuts, elsePuts} {
		for k := range more {
			puts[k] = struct{}{}
		}
	}
	*dels = append(append(*dels, thenDels...), elseDels...)
	dels.merge()
	return nil
}

// interval is [from, to), from < to.
type interval struct{ from, to []byte }

// intervals is a set of keys: after merge sorted, disjoint and not empty.
type intervals []interval

func (s *intervals) add(key, end []byte) {
	switch {
	case len(end) == 0:
		*s = append(*s, interval{key, append(bytes.Clone(key), 0)})
	case bytes.Compare(key, end) < 0:
		*s = append(*s, interval{key, end})
	}
}

func (s *intervals) merge() {
	slices.SortFunc(*s, func(a, b interval) int { return bytes.Compare(a.from, b.from) })
	out := (*s)[:0]
	for _, i := range *s {
		last := len(out) - 1
		if last < 0 || bytes.Compare(i.from, out[last].to) > 0 {
			out = append(out, i)
		} else if bytes.Compare(i.to, out[last].to) > 0 {
			out[last].to = i.to
		}
	}
	*s = out
}

func (s intervals) contain(key []byte) bool {
	i, found := slices.BinarySearchFunc(s, key, func(i interval, key []byte) int { return bytes.Compare(i.from, key) })
	if found {
		return true
	}
	return i > 0 && bytes.Compare(key, s[i-1].to) < 0
}
