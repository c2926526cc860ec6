package kv

import (
	"math/rand/v2"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

// requests makes random ones that pass Check, over few keys so that they meet.
type requests struct {
	*rand.Rand
	rev int64 // about the current revision
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func (r requests) key() []byte {
	const letters = "ab\x00\x01\x02\xff"
	var b strings.Builder
	for range 1 + r.IntN(3) {
		b.WriteByte(letters[r.IntN(len(letters))])
	}
	return []byte(b.String())
}

func (r requests) end() []byte {
	switch r.IntN(6) {
	case 0, 1:
		return nil
	case 2:
		return []byte{0}
	}
	return r.key()
}

func (r requests) value() []byte {
	return pick(r.Rand, nil, []byte("x"), []byte("y"), []byte(strings.Repeat("long", 20)))
}

func (r requests) atRev() int64 { return r.rev - int64(r.IntN(12)) + 2 }

func (r requests) put() *pb.PutRequest {
	p := &pb.PutRequest{Key: r.key(), PrevKv: r.IntN(3) == 0}
	if p.IgnoreValue = r.IntN(6) == 0; !p.IgnoreValue {
		p.Value = r.value()
	}
	if p.IgnoreLease = r.IntN(6) == 0; !p.IgnoreLease && r.IntN(4) == 0 {
		p.Lease = pick(r.Rand, 7, 8, int64(-1))
	}
	return p
}

func (r requests) delete() *pb.DeleteRangeRequest {
	d := &pb.DeleteRangeRequest{Key: r.key(), PrevKv: r.IntN(2) == 0}
	if r.IntN(2) == 0 {
		d.RangeEnd = r.end()
	}
	return d
}

func (r requests) rangeKeys() *pb.RangeRequest {
	q := &pb.RangeRequest{Key: r.key(), RangeEnd: r.end(), KeysOnly: r.IntN(4) == 0, CountOnly: r.IntN(6) == 0}
	if r.IntN(3) == 0 {
		q.Limit = int64(r.IntN(5)) - 1
	}
	if r.IntN(3) == 0 {
		q.Revision = pick(r.Rand, r.atRev(), r.atRev(), 1, -1, -3)
	}
	if r.IntN(3) == 0 {
		q.SortOrder = pick(r.Rand, pb.RangeRequest_NONE, pb.RangeRequest_ASCEND, pb.RangeRequest_DESCEND)
		q.SortTarget = pb.RangeRequest_SortTarget(r.IntN(5))
	}
	for _, f := range []*int64{&q.MinModRevision, &q.MaxModRevision, &q.MinCreateRevision, &q.MaxCreateRevision} {
		if r.IntN(10) == 0 {
			*f = r.atRev()
		}
	}
	return q
}

func (r requests) compare() *pb.Compare {
	c := &pb.Compare{Key: r.key(), Target: pb.Compare_CompareTarget(r.IntN(5)), Result: pb.Compare_CompareResult(r.IntN(4))}
	if r.IntN(3) == 0 {
		c.RangeEnd = r.end()
	}
	switch c.Target {
	case pb.Compare_VERSION:
		c.TargetUnion = &pb.Compare_Version{Version: int64(r.IntN(3))}
	case pb.Compare_CREATE:
		c.TargetUnion = &pb.Compare_CreateRevision{CreateRevision: pick(r.Rand, 0, r.atRev())}
	case pb.Compare_MOD:
		c.TargetUnion = &pb.Compare_ModRevision{ModRevision: pick(r.Rand, 0, r.atRev())}
	case pb.Compare_VALUE:
		c.TargetUnion = &pb.Compare_Value{Value: r.value()}
	case pb.Compare_LEASE:
		c.TargetUnion = &pb.Compare_Lease{Lease: pick(r.Rand, 0, 7, int64(8))}
	}
	return c
}

func (r requests) op(depth int, readOnly bool) *pb.RequestOp {
	n := r.IntN(6)
	switch {
	case n == 0 && depth < 3:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: r.txn(depth+1, readOnly)}}
	case n <= 2 || readOnly:
		q := r.rangeKeys()
		if r.IntN(3) > 0 {
			q.Revision = 0
		}
		return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: q}}
	case n == 3:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: r.delete()}}
	}
	p := r.put()
	if r.IntN(2) == 0 {
		p.IgnoreValue, p.IgnoreLease = false, false
	}
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: p}}
}

func (r requests) txn(depth int, readOnly bool) *pb.TxnRequest {
	t := &pb.TxnRequest{}
	for range r.IntN(3) {
		t.Compare = append(t.Compare, r.compare())
	}
	for range r.IntN(4) {
		t.Success = append(t.Success, r.op(depth, readOnly))
	}
	for range r.IntN(4) {
		t.Failure = append(t.Failure, r.op(depth, readOnly))
	}
	return t
}

// write is a random write command.
func (r requests) write() proto.Message {
	for {
		var m proto.Message
		switch n := r.IntN(45); {
		case n < 1:
			return r.alarm()
		case n < 5:
			return r.lease()
		case n < 23:
			m = r.put()
		case n < 27:
			m = r.delete()
		case n < 44:
			m = r.txn(0, false)
		default:
			return &pb.CompactionRequest{Revision: r.atRev() - 6}
		}
		if Check(m) == nil {
			return m
		}
	}
}

// read is a random range, or a transaction that only reads.
func (r requests) read() proto.Message {
	if r.IntN(4) == 0 {
		return r.txn(0, true)
	}
	return r.rangeKeys()
}
