package etcdapi

import (
	"bytes"
	"context"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/musterhq/muster/kv"
)

// Why etcd refuses a watch; clients see the text.
const (
	reasonEmptyRange  = "mvcc: watcher range is empty"
	reasonDuplicateID = "mvcc: duplicate watch ID provided on the WatchStream"
)

// create begins a watch and says so, or why not.
func (ws *watchStream) create(ctx context.Context, r *pb.WatchCreateRequest) error {
	spec := watchSpec(r)
	if reason := ws.refuses(ctx, r, spec); reason != "" {
		return ws.stream.Send(&pb.WatchResponse{
			Header: ws.headerAt(0), WatchId: invalidWatchID, Created: true, Canceled: true, CancelReason: reason,
		})
	}
	id := r.WatchId
	if id == 0 {
		for ws.taken(ws.nextID) {
			ws.nextID++
		}
		id = ws.nextID
		ws.nextID++
	}
	rev, err := ws.watches.Add(id, spec)
	if err != nil {
		return ws.toGRPC(err)
	}
	ws.of[id] = &streamWatch{id: watchIDField(id), fragment: r.Fragment, notify: r.ProgressNotify, quiet: r.ProgressNotify}
	return ws.stream.Send(&pb.WatchResponse{Header: ws.headerAt(rev), WatchId: id, Created: true})
}

// refuses says why a watch can't be, in etcd's words; empty if it can.
func (ws *watchStream) refuses(ctx context.Context, r *pb.WatchCreateRequest, spec kv.WatchSpec) string {
	if r.StartRevision < 0 {
		return rpctypes.ErrCompacted.Error()
	}
	if reason := ws.mayWatch(ctx, spec.Key, spec.End); reason != "" {
		return reason
	}
	open := len(spec.End) == 1 && spec.End[0] == 0
	if len(spec.End) > 0 && !open && bytes.Compare(spec.Key, spec.End) >= 0 {
		return reasonEmptyRange
	}
	if r.WatchId != 0 && ws.taken(r.WatchId) {
		return reasonDuplicateID
	}
	return ""
}

func watchSpec(r *pb.WatchCreateRequest) kv.WatchSpec {
	spec := kv.WatchSpec{
		Key: r.Key, End: r.RangeEnd, From: r.StartRevision, PrevKV: r.PrevKv,
		NoPut:    slices.Contains(r.Filters, pb.WatchCreateRequest_NOPUT),
		NoDelete: slices.Contains(r.Filters, pb.WatchCreateRequest_NODELETE),
	}
	if len(spec.Key) == 0 {
		spec.Key = []byte{0} // the smallest key
	}
	return spec
}
