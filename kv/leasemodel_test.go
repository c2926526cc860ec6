package kv

import (
	"bytes"
	"maps"
	"slices"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

// lease carries out a request for leases. Which keys hang on one is not kept:
// they are those that say so.
func (t *modelTxn) lease(req proto.Message) (proto.Message, error) {
	header := &pb.ResponseHeader{Revision: t.m.rev}
	switch r := req.(type) {
	case *pb.LeaseGrantRequest:
		if r.ID == 0 {
			return nil, ErrLeaseNotFound
		}
		if r.TTL > MaxLeaseTTL {
			return nil, ErrLeaseTTLTooLarge
		}
		if _, exists := t.m.leases[r.ID]; exists {
			return nil, ErrLeaseExists
		}
		t.m.leases[r.ID] = Lease{ID: r.ID, TTL: max(r.TTL, 1)}
		return &pb.LeaseGrantResponse{Header: header, ID: r.ID, TTL: max(r.TTL, 1)}, nil
	case *pb.LeaseRevokeRequest:
		if _, exists := t.m.leases[r.ID]; !exists {
			return nil, ErrLeaseNotFound
		}
		for _, key := range t.m.hanging(r.ID) {
			t.delete(&pb.DeleteRangeRequest{Key: key})
		}
		delete(t.m.leases, r.ID)
		header.Revision = t.now()
		return &pb.LeaseRevokeResponse{Header: header}, nil
	case *pb.LeaseCheckpointRequest:
		for _, c := range r.Checkpoints {
			if l, ok := t.m.leases[c.ID]; ok {
				l.Remaining = c.Remaining_TTL
				t.m.leases[c.ID] = l
			}
		}
		return &pb.LeaseCheckpointResponse{Header: header}, nil
	}
	panic("no request for leases")
}

func (m *model) hanging(id int64) (keys [][]byte) {
	for _, kv := range m.live([]byte{0}, []byte{0}, m.rev) {
		if kv.Lease == id {
			keys = append(keys, kv.Key)
		}
	}
	return keys
}

// leaseIDs are those that tests use; few, so that they meet.
var leaseIDs = []int64{7, 8, -1, 1 << 62}

// lease is a random request for leases.
func (r requests) lease() proto.Message {
	id := func() int64 { return pick(r.Rand, leaseIDs...) }
	switch r.IntN(8) {
	case 0, 1, 2, 3:
		return &pb.LeaseGrantRequest{ID: pick(r.Rand, id(), id(), id(), 0), TTL: pick(r.Rand, 5, 1000, 0, int64(MaxLeaseTTL), MaxLeaseTTL+1)}
	case 4, 5:
		return &pb.LeaseRevokeRequest{ID: id()}
	}
	q := &pb.LeaseCheckpointRequest{}
	for range r.IntN(3) {
		q.Checkpoints = append(q.Checkpoints, &pb.LeaseCheckpoint{ID: id(), Remaining_TTL: pick(r.Rand, 0, int64(3), 300)})
	}
	return q
}

// follower keeps its own picture of the leases, from what it hears.
type follower struct {
	mu  sync.Mutex
	all map[int64]Lease
	log []leaseChange
}

func (f *follower) LeaseGranted(l Lease) { f.hear(leaseChange{leaseGranted, l}) }
func (f *follower) LeaseNoted(l Lease)   { f.hear(leaseChange{leaseNoted, l}) }
func (f *follower) LeaseGone(id int64)   { f.hear(leaseChange{leaseGone, Lease{ID: id}}) }

func (f *follower) hear(c leaseChange) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, c)
	if c.kind == leaseGone {
		delete(f.all, c.ID)
		return
	}
	f.all[c.ID] = c.Lease
}

func (f *follower) LeasesReplaced(all []Lease) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = map[int64]Lease{}
	for _, l := range all {
		f.all[l.ID] = l
	}
}

// sameLeases compares the leases, and what hangs on them, with the model's.
func (w *world) sameLeases() {
	w.t.Helper()
	got := map[int64]Lease{}
	for _, l := range w.s.Leases() {
		got[l.ID] = l
	}
	if !maps.Equal(got, w.model.leases) {
		w.t.Errorf("leases %v, want %v", got, w.model.leases)
	}
	for _, id := range leaseIDs {
		if _, ok := w.s.Lease(id); ok != (w.model.leases[id].ID != 0) {
			w.t.Errorf("lease %d is there: %v", id, ok)
		}
		keys, err := w.s.LeaseKeys(id)
		must(w.t, err)
		if want := w.model.hanging(id); !slices.EqualFunc(keys, want, bytes.Equal) {
			w.t.Errorf("on lease %d hang %q, want %q", id, keys, want)
		}
	}
	var f follower
	w.s.FollowLeases(&f)
	for range 20 {
		w.write()
	}
	w.s.FollowLeases(nil)
	if !maps.Equal(f.all, w.model.leases) {
		w.t.Errorf("a follower has leases %v, want %v", f.all, w.model.leases)
	}
}
