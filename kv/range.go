package kv

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"slices"
	"sort"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

// checkRevision refuses a range of a transaction before anything of it is
// carried out. Other than a range by itself, it takes negative revisions for
// old ones, as etcd does.
func (v *view) checkRevision(r *pb.RangeRequest) error {
	switch rev := r.GetRevision(); {
	case rev == 0:
		return nil
	case rev > v.rev:
		return ErrFutureRev
	case rev < v.compacted:
		return ErrCompacted
	}
	return nil
}

// rangeKeys answers a range as etcd 3.7 does, in every detail that a client
// can see:
//
//   - Count is the number of keys in the span, whatever limit and filters say.
//   - A sort target without an order sorts what a limit left over; with an
//     order it sorts everything and the limit comes last.
//   - keys_only leaves leases out with the values, unless it sorts by value.
func (v *view) rangeKeys(ctx context.Context, r *pb.RangeRequest) (*pb.RangeResponse, error) {
	rev := r.GetRevision()
	switch {
	case rev > v.rev:
		return nil, ErrFutureRev
	case rev <= 0:
		rev = v.rev
	}
	if rev < v.compacted {
		return nil, ErrCompacted
	}
	answer := &struct {
		pb.RangeResponse
		header pb.ResponseHeader
	}{}
	resp := &answer.RangeResponse
	resp.Header, answer.header.Revision = &answer.header, v.rev
	c := collector{ctx: ctx, req: r, max: fetchLimit(r), answer: v.answer(r)}
	if err := v.scan(spanOf(r.GetKey(), r.GetRangeEnd()), rev, c.visit); err != nil {
		return nil, err
	}
	resp.Count = c.count
	sortKVs(c.kvs, r)
	if limit := r.GetLimit(); limit > 0 && int64(len(c.kvs)) > limit {
		c.kvs = c.kvs[:limit]
		resp.More = true
	}
	if r.GetKeysOnly() {
		for _, kv := range c.kvs {
			kv.Value = nil
		}
	}
	resp.Kvs = c.kvs
	return resp, nil
}

// fetchLimit is how many keys have to be read: one more than the limit, which
// tells whether there are more, or all (0).
func fetchLimit(r *pb.RangeRequest) int64 {
	limit := r.GetLimit()
	if !inKeyOrder(r.GetSortTarget(), r.GetSortOrder()) || filters(r) || limit <= 0 {
		return 0
	}
	if limit < math.MaxInt64 {
		limit++
	}
	return limit
}

func inKeyOrder(target pb.RangeRequest_SortTarget, order pb.RangeRequest_SortOrder) bool {
	return order == pb.RangeRequest_NONE ||
		target == pb.RangeRequest_KEY && order == pb.RangeRequest_ASCEND
}

func filters(r *pb.RangeRequest) bool {
	return r.GetMinModRevision() != 0 || r.GetMaxModRevision() != 0 ||
		r.GetMinCreateRevision() != 0 || r.GetMaxCreateRevision() != 0
}

func passes(r *pb.RangeRequest, it item) bool {
	return (r.GetMaxModRevision() == 0 || it.mod <= r.GetMaxModRevision()) &&
		(r.GetMinModRevision() == 0 || it.mod >= r.GetMinModRevision()) &&
		(r.GetMaxCreateRevision() == 0 || it.meta.Create <= r.GetMaxCreateRevision()) &&
		(r.GetMinCreateRevision() == 0 || it.meta.Create >= r.GetMinCreateRevision())
}

// collector gathers the keys of one range.
type collector struct {
	ctx   context.Context
	req   *pb.RangeRequest
	max   int64 // keys to keep; 0: all
	count int64 // keys seen
	kvs   []*mvccpb.KeyValue
	slab  []mvccpb.KeyValue
	bytes arena

	answer *int64 // bytes of keys and values that the reply still takes; nil: that is not looked at
}

func (c *collector) visit(it item) (bool, error) {
	if c.count%1024 == 1023 {
		if err := c.ctx.Err(); err != nil {
			return false, fmt.Errorf("range stopped after %d keys: %w", c.count, err)
		}
	}
	c.count++
	if c.req.GetCountOnly() || c.max > 0 && int64(len(c.kvs)) >= c.max || !passes(c.req, it) {
		return true, nil
	}
	if c.answer != nil {
		if *c.answer -= int64(len(it.key) + len(it.value)); *c.answer < 0 {
			return false, ErrAnswerTooLarge
		}
	}
	c.keep(it)
	return true, nil
}

// keep copies it. Most ranges are of one key, and most others of some.
func (c *collector) keep(it item) {
	valued := !c.req.GetKeysOnly() || c.req.GetSortTarget() == pb.RangeRequest_VALUE
	if !valued {
		it.value = nil
	}
	var kv *mvccpb.KeyValue
	clone := c.bytes.clone
	if len(c.kvs) == 0 {
		one := &struct {
			mvccpb.KeyValue
			list [1]*mvccpb.KeyValue
		}{}
		kv, c.kvs = &one.KeyValue, one.list[:0]
		exact := arena{make([]byte, 0, len(it.key)+len(it.value))}
		clone = exact.clone
	} else {
		if len(c.slab) == 0 {
			n := min(256, max(15, 2*len(c.kvs)))
			c.slab, c.kvs = make([]mvccpb.KeyValue, n), slices.Grow(c.kvs, n)
		}
		kv, c.slab = &c.slab[0], c.slab[1:]
	}
	kv.Key = clone(it.key)
	kv.CreateRevision, kv.ModRevision, kv.Version = it.meta.Create, it.mod, it.meta.Version
	if valued {
		kv.Lease, kv.Value = it.meta.Lease, clone(it.value)
	}
	c.kvs = append(c.kvs, kv)
}

// kv copies it.
func (it item) kv() *mvccpb.KeyValue {
	return &mvccpb.KeyValue{
		Key:            bytes.Clone(it.key),
		CreateRevision: it.meta.Create,
		ModRevision:    it.mod,
		Version:        it.meta.Version,
		Value:          bytes.Clone(it.value),
		Lease:          it.meta.Lease,
	}
}

// sortKVs uses the unstable sort.Sort, as etcd does, so that even ties come
// out the same.
func sortKVs(kvs []*mvccpb.KeyValue, r *pb.RangeRequest) {
	target, order := r.GetSortTarget(), r.GetSortOrder()
	if target != pb.RangeRequest_KEY && order == pb.RangeRequest_NONE {
		order = pb.RangeRequest_ASCEND
	}
	if inKeyOrder(target, order) {
		return
	}
	s := kvSort{kvs: kvs}
	switch target {
	case pb.RangeRequest_KEY:
		s.less = func(a, b *mvccpb.KeyValue) bool { return bytes.Compare(a.Key, b.Key) < 0 }
	case pb.RangeRequest_VERSION:
		s.less = func(a, b *mvccpb.KeyValue) bool { return a.Version < b.Version }
	case pb.RangeRequest_CREATE:
		s.less = func(a, b *mvccpb.KeyValue) bool { return a.CreateRevision < b.CreateRevision }
	case pb.RangeRequest_MOD:
		s.less = func(a, b *mvccpb.KeyValue) bool { return a.ModRevision < b.ModRevision }
	case pb.RangeRequest_VALUE:
		s.less = func(a, b *mvccpb.KeyValue) bool { return bytes.Compare(a.Value, b.Value) < 0 }
	default:
		return // Check refuses it; an unchecked one stays in the order of keys
	}
	if order == pb.RangeRequest_DESCEND {
		sort.Sort(sort.Reverse(s))
		return
	}
	sort.Sort(s)
}

type kvSort struct {
	kvs  []*mvccpb.KeyValue
	less func(a, b *mvccpb.KeyValue) bool
}

func (s kvSort) Len() int           { return len(s.kvs) }
func (s kvSort) Less(i, j int) bool { return s.less(s.kvs[i], s.kvs[j]) }
func (s kvSort) Swap(i, j int)      { s.kvs[i], s.kvs[j] = s.kvs[j], s.kvs[i] }
