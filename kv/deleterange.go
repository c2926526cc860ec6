package kv

import (
	"bytes"
	"maps"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/musterhq/muster/kv/internal/mvcc"
)

// runDelete carries out a delete that is a command by itself.
func (a *applier) runDelete(r *pb.DeleteRangeRequest, wanted bool) (Reply, error) {
	var back returning
	if r.GetPrevKv() && !spanOf(r.GetKey(), r.GetRangeEnd()).single {
		back.deletes = append(back.deletes, r)
	}
	refusal, err := a.refusesPrevious(back)
	if err != nil || refusal != nil {
		return Reply{Err: refusal}, err
	}
	return replyOf(a.deleteRange(r, wanted))
}

// deleteRange writes a tombstone for each live key of the range, in pieces if
// there are many: a key that has one is not live any more, so that a piece goes
// on after the last key of the one before.
func (a *applier) deleteRange(r *pb.DeleteRangeRequest, wanted bool) (*pb.DeleteRangeResponse, error) {
	resp := &pb.DeleteRangeResponse{Header: &pb.ResponseHeader{}}
	a.counts.deletes.Add(1)
	s := spanOf(r.GetKey(), r.GetRangeEnd())
	gone := detached{span: s}
	for left := s; ; {
		n, next, err := a.deleteSome(left, &gone, func(it item) {
			if wanted && r.GetPrevKv() {
				resp.PrevKvs = append(resp.PrevKvs, it.kv())
			}
		})
		if err != nil {
			return nil, err
		}
		resp.Deleted += int64(n)
		if next == nil {
			break
		}
		if err := a.spill(); err != nil {
			return nil, err
		}
		left.from = next
	}
	a.detachRest(gone)
	if !wanted {
		return nil, nil
	}
	resp.Header.Revision = a.rev
	return resp, nil
}

// deleteSome deletes the first keys of the span, as many as go into a piece, and
// says where it stopped; next is nil if that were all. As scanning and writing
// get in each other's way, the keys are gathered in between.
func (a *applier) deleteSome(s span, gone *detached, visit func(item)) (n int, next []byte, err error) {
	doomed := &a.pend.doomed
	doomed.start()
	room := a.room()
	err = a.scan(s, a.rev, func(it item) (bool, error) {
		doomed.add(it.key, it.meta.Lease)
		visit(it)
		if room -= tombstoneBytes(it.key); room > 0 || s.single {
			return true, nil
		}
		next = append(bytes.Clone(it.key), 0)
		return false, nil
	})
	if err != nil {
		return 0, nil, err
	}
	a.pend.grow(doomed.n)
	for key, lease := range doomed.all() {
		a.detach(gone, key, lease)
		if err := a.write(key, nil, mvcc.Meta{}); err != nil {
			return 0, nil, err
		}
	}
	return doomed.n, next, nil
}

// tombstoneBytes is about what a delete of key takes in a batch.
func tombstoneBytes(key []byte) int { return 2*len(key) + changeOverhead }

// detached are the leases that keys of a span hung on which are deleted, where
// those are too many to be noted one by one: they, or those of the commands before
// in the same call.
type detached struct {
	span   span // none of a single key: what commands name one by one is bounded by them
	leases map[int64]struct{}
}

// detach removes a key that is deleted from its lease, now or with detachRest.
func (a *applier) detach(d *detached, key []byte, lease int64) {
	if lease == 0 {
		return
	}
	if a.detached++; d.span.single || a.detached <= a.limits.attachments {
		a.moveAttachment(key, lease, 0)
		return
	}
	if d.leases == nil {
		d.leases = map[int64]struct{}{}
	}
	d.leases[lease] = struct{}{}
}

// detachRest removes all keys of the span from the leases, none of which has a
// live key in it any more.
func (a *applier) detachRest(d detached) {
	ranges := make(factRanges, 0, len(d.leases))
	for lease := range maps.Keys(d.leases) {
		lower := mvcc.AppendAttachment(nil, lease, d.span.from)
		_, upper := mvcc.AttachmentBounds(lease)
		if !d.span.open {
			upper = mvcc.AppendAttachment(nil, lease, d.span.to)
		}
		ranges = append(ranges, factRange{string(lower), string(upper)})
	}
	slices.SortFunc(ranges, factRange.compare)
	a.dropFacts(ranges, func(yield func(string) bool) {
		for lease := range maps.Keys(d.leases) {
			for _, k := range a.known.leases.touchedOf(lease) {
				if !yield(k) {
					return
				}
			}
		}
	})
}
