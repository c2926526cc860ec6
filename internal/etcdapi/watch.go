package etcdapi

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster/kv"
)

// watchService is etcd's Watch.
type watchService struct {
	pb.UnsafeWatchServer
	*Server
}

// DefaultProgressInterval is the time between progress notifications, as in
// etcd.
const DefaultProgressInterval = 10 * time.Minute

// minProgressInterval is the shortest that is kept to, as in etcd.
const minProgressInterval = 100 * time.Millisecond

// invalidWatchID stands for no watch, or for all of the stream.
const invalidWatchID = -1

// Watch implements etcd's Watch.Watch: one stream with any number of watches.
// All but receiving happens in this goroutine, so that what a client is told is
// in the order in which it came about.
func (s *watchService) Watch(stream grpc.BidiStreamingServer[pb.WatchRequest, pb.WatchResponse]) error {
	ws := &watchStream{
		Server: s.Server, stream: stream, watches: s.cfg.Store.NewWatches(),
		of: map[int64]*streamWatch{}, over: map[int64]bool{}, requests: make(chan *pb.WatchRequest), received: make(chan error, 1),
	}
	defer ws.watches.Close()
	go ws.receive(stream.Context())
	err := ws.serve(stream.Context())
	if errors.Is(err, context.Canceled) {
		return rpctypes.ErrGRPCWatchCanceled
	}
	return err
}

// watchStream is one stream under way. It belongs to the goroutine of serve.
type watchStream struct {
	*Server
	stream   grpc.BidiStreamingServer[pb.WatchRequest, pb.WatchResponse]
	requests chan *pb.WatchRequest
	received chan error // why there are no more requests

	watches  *kv.Watches
	of       map[int64]*streamWatch
	nextID   int64          // the next that may be free
	over     map[int64]bool // IDs of watches that ended by compaction: as in etcd they are taken until the client cancels them
	progress bool           // was asked for, and not all watches were ready to answer
	scratch  encoded        // what is being sent
}

// streamWatch is what the stream knows of one watch.
type streamWatch struct {
	id       mem.Buffer // as it is said in each response
	fragment bool
	notify   bool // tell progress while nothing happens
	quiet    bool // nothing was told since the last tick
}

// receive hands requests to serve until there are no more. It ends with the
// stream's context, which gRPC cancels when serve has returned.
func (ws *watchStream) receive(ctx context.Context) {
	for {
		r, err := ws.stream.Recv()
		if err != nil {
			ws.received <- err
			return
		}
		select {
		case ws.requests <- r:
		case <-ctx.Done():
			return
		}
	}
}

// serve answers requests, and tells events as they come, until the stream ends.
func (ws *watchStream) serve(ctx context.Context) error {
	tick := time.NewTicker(ws.progressInterval())
	defer tick.Stop()
	ready := ws.watches.Ready()
	for {
		more, err := ws.deliver()
		if err != nil {
			return err
		}
		wait := ready
		if more {
			wait = always
		}
		select {
		case r := <-ws.requests:
			err = ws.answer(ctx, r)
		case <-tick.C:
			err = ws.notify()
		case <-wait:
		case err = <-ws.received:
			if errors.Is(err, io.EOF) {
				err = nil // as in etcd, who has said all may still listen
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ws.ending:
			return rpctypes.ErrGRPCStopped
		}
		if err != nil {
			return err
		}
	}
}

// always is ready at any time.
var always = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// progressInterval differs from stream to stream by a tenth, lest all clients
// that came back at once be notified at once ever after.
func (ws *watchStream) progressInterval() time.Duration {
	d := ws.cfg.ProgressInterval
	return d + rand.N(d/10)
}

// deliver does a piece of work, as [kv.Watches.Poll] does; more says that others wait. It
// goes on until a revision has been told that is told in parts: clients put those
// together, and lose what comes in between.
func (ws *watchStream) deliver() (more bool, err error) {
	for partial := true; partial; {
		var b *kv.WatchBatch
		if b, more, err = ws.watches.Poll(); err != nil {
			return false, ws.toGRPC(err)
		}
		if partial = b != nil && b.Partial; b != nil {
			err = ws.tell(b)
		}
		if err != nil {
			return false, err
		}
		if partial && ws.isEnding() {
			return false, rpctypes.ErrGRPCStopped
		}
	}
	if !more && ws.progress {
		err = ws.tellProgress()
	}
	return more, err
}

func (ws *watchStream) isEnding() bool {
	select {
	case <-ws.ending:
		return true
	default:
		return false
	}
}

// tell sends a batch. The parts of a revision are fragments, also for who did not
// ask for those: a revision in two responses would be taken for two.
func (ws *watchStream) tell(b *kv.WatchBatch) error {
	h := ws.headerAt(b.Revision)
	if b.Compacted != 0 {
		return ws.tellCompacted(b, h)
	}
	t, err := ws.tellable(h, b.Events, b.Partial)
	if err != nil {
		return err
	}
	limit := ws.cfg.MaxRequestBytes + overheadBytes
	for _, id := range b.IDs {
		w := ws.of[id]
		w.quiet = false
		if w.fragment && t.bytes.Len()+w.id.Len()+fragmentBytes >= limit {
			err = sendFragments(&pb.WatchResponse{Header: h, WatchId: id, Events: b.Events, Fragment: b.Partial}, limit, ws.stream.Send)
		} else {
			ws.scratch.buffers = [...]mem.Buffer{t.bytes, w.id}
			err = ws.stream.SendMsg(&ws.scratch)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (ws *watchStream) tellCompacted(b *kv.WatchBatch, h *pb.ResponseHeader) error {
	h.Revision = 0 // as in etcd
	for _, id := range b.IDs {
		delete(ws.of, id)
		ws.over[id] = true
		err := ws.stream.Send(&pb.WatchResponse{Header: h, WatchId: id, Canceled: true, CompactRevision: b.Compacted})
		if err != nil {
			return err
		}
	}
	return nil
}

// fragmentBytes is what a response takes to say that it is a fragment.
const fragmentBytes = 2

// answer carries out one request. As in etcd, one that is not known is passed
// over.
func (ws *watchStream) answer(ctx context.Context, r *pb.WatchRequest) error {
	switch {
	case r.GetCreateRequest() != nil:
		return ws.create(ctx, r.GetCreateRequest())
	case r.GetCancelRequest() != nil:
		return ws.cancel(r.GetCancelRequest().WatchId)
	case r.GetProgressRequest() != nil:
		ws.progress = true // once all that is ready is told
	}
	return nil
}

func (ws *watchStream) cancel(id int64) error {
	if !ws.watches.Remove(id) && !ws.over[id] {
		return nil
	}
	delete(ws.of, id)
	delete(ws.over, id)
	return ws.stream.Send(&pb.WatchResponse{Header: ws.headerAt(0), WatchId: id, Canceled: true})
}

// tellProgress answers a request for the progress of all watches, if all have
// been told everything up to the present. Until then it waits; etcd does not
// answer then.
func (ws *watchStream) tellProgress() error {
	rev, ok := ws.watches.ProgressAll()
	if !ok && ws.watches.Len() > 0 {
		return nil
	}
	ws.progress = false
	if !ok {
		return nil // as in etcd, no answer while there is no watch
	}
	return ws.stream.Send(&pb.WatchResponse{Header: ws.headerAt(rev), WatchId: invalidWatchID})
}

// notify tells of the progress of those watches that want it and were told
// nothing else since the last time.
func (ws *watchStream) notify() error {
	for id, w := range ws.of {
		if w.notify && w.quiet {
			if rev, ok := ws.watches.Progress(id); ok {
				if err := ws.stream.Send(&pb.WatchResponse{Header: ws.headerAt(rev), WatchId: id}); err != nil {
					return err
				}
			}
		}
		w.quiet = true
	}
	return nil
}

// taken says that the stream has a watch of that ID.
func (ws *watchStream) taken(id int64) bool { return ws.watches.Has(id) || ws.over[id] }

// headerAt is a header with that revision, 0 for the present one.
func (ws *watchStream) headerAt(revision int64) *pb.ResponseHeader {
	h := &pb.ResponseHeader{Revision: revision}
	ws.fill(h)
	return h
}

// sendFragments sends a response in several, if it is too large for one. Each
// but the last says that more follows, and the last what resp says; each holds one
// event at least.
func sendFragments(resp *pb.WatchResponse, limit int, send func(*pb.WatchResponse) error) error {
	events := resp.Events
	for {
		n := fragment(resp, events, limit)
		part := &pb.WatchResponse{
			Header: resp.Header, WatchId: resp.WatchId, Canceled: resp.Canceled,
			CompactRevision: resp.CompactRevision, Events: events[:n], Fragment: n < len(events) || resp.Fragment,
		}
		if err := send(part); err != nil || n == len(events) {
			return err
		}
		events = events[n:]
	}
}

// fragment is how many of the events go into the next response.
func fragment(resp *pb.WatchResponse, events []*mvccpb.Event, limit int) int {
	size := proto.Size(&pb.WatchResponse{
		Header: resp.Header, WatchId: resp.WatchId, Canceled: resp.Canceled,
		CompactRevision: resp.CompactRevision, Fragment: true,
	})
	for i, e := range events {
		size += 1 + protowire.SizeBytes(proto.Size(e)) // field 11 has a tag of one byte
		if i > 0 && size >= limit {
			return i
		}
	}
	return len(events)
}
