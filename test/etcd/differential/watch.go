package differential

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// maxStreams bounds the numbers of a program's streams.
const maxStreams = 3

// watchStream is one Watch stream. What arrives is kept until a sync asks.
type watchStream struct {
	stream   pb.Watch_WatchClient
	cancel   context.CancelFunc
	arrived  chan *pb.WatchResponse
	ended    error // why nothing more arrives; valid once arrived is closed
	over     bool  // arrived is closed
	told     bool  // that it is over
	behind   bool  // a watch was made since the last sync that starts in the past
	received []*pb.WatchResponse
}

// watch sends one request on a stream, which it opens if need be.
func (s *session) watch(step Step) Answer {
	w := s.watches[step.Stream]
	if w == nil {
		ctx, cancel := context.WithCancel(s.contextOf(step))
		stream, err := pb.NewWatchClient(s.conn).Watch(ctx, grpc.ForceCodecV2(newWireCodec("")))
		if err != nil {
			cancel()
			return Answer{Err: err}
		}
		w = &watchStream{stream: stream, cancel: cancel, arrived: make(chan *pb.WatchResponse, 1024)}
		s.watches[step.Stream] = w
		go w.receive()
		if err := w.begin(); err != nil {
			return s.unwatched(step, err)
		}
	}
	r := step.Req.(*pb.WatchRequest)
	w.behind = w.behind || r.GetCreateRequest().GetStartRevision() != 0
	w.send(r)
	// A server takes the requests of a stream in their order: once it has made
	// another watch, the request has had its effect.
	if err := w.make(doneID, 0); err != nil && !w.over {
		return Answer{Err: err}
	}
	w.send(cancelMark(doneID))
	return Answer{}
}

// unwatched is the answer on a stream on which its user may not even watch the
// mark. It is closed, for of such a one it can't be told when all is told.
func (s *session) unwatched(step Step, err error) Answer {
	w := s.watches[step.Stream]
	defer s.closeStream(step.Stream)
	if n := len(w.received); !w.over && (n == 0 || !w.received[n-1].Canceled) {
		return Answer{Err: err}
	}
	if step.Req.(*pb.WatchRequest).GetCreateRequest() != nil {
		w.send(step.Req.(*pb.WatchRequest))
		if err := w.untilLast(func(*pb.WatchResponse) bool { return true }); err != nil {
			return Answer{Err: err}
		}
	}
	a := Answer{Messages: s.settled(w)}
	if w.over {
		a.Err = w.ended
	}
	return a
}

// send leaves the error to receive, which gets it too.
func (w *watchStream) send(r *pb.WatchRequest) { _ = w.stream.Send(r) }

func (w *watchStream) receive() {
	for {
		r, err := w.stream.Recv()
		if err != nil {
			w.ended = err
			close(w.arrived)
			return
		}
		w.arrived <- r
	}
}

func (s *session) closeStream(i int) {
	if w := s.watches[i]; w != nil {
		w.cancel()
		for range w.arrived { // until receive has ended
		}
		delete(s.watches, i)
	}
}

// until receives until enough says so, the stream ends, or time is up, which
// is the error.
func (w *watchStream) until(limit time.Duration, enough func() bool) error {
	end := time.After(limit)
	for !w.over && !enough() {
		select {
		case r, ok := <-w.arrived:
			if !ok {
				w.over = true
				break
			}
			w.received = append(w.received, r)
		case <-end:
			return errors.New("the watch stream is silent")
		}
	}
	return nil
}

// amount is how much arrived: changes, and responses without any.
func (w *watchStream) amount() int {
	n := 0
	for _, r := range w.received {
		if events := withoutMarks(r); events != nil {
			n += max(1, len(events.Events))
		}
	}
	return n
}

// settled takes what w received, sorted by watch, for there is no order between
// the watches of a stream. What a watch that is being made tells of the past,
// and all if steps are not followed by a sync each, it is chance how it is put
// into responses, and which revision their headers call the current one: such
// responses are joined, and lose their header's revision.
func (s *session) settled(w *watchStream) []proto.Message {
	var in []*pb.WatchResponse
	for _, r := range w.received {
		if r = withoutMarks(r); r != nil {
			in = append(in, r)
		}
	}
	w.received = nil
	slices.SortStableFunc(in, func(a, b *pb.WatchResponse) int { return cmp.Compare(a.WatchId, b.WatchId) })
	var out []proto.Message
	var last *pb.WatchResponse
	made := map[int64]bool{}
	for _, r := range in {
		made[r.WatchId] = made[r.WatchId] || r.Created
		if !s.exact || made[r.WatchId] && len(r.Events) > 0 {
			if last != nil && last.WatchId == r.WatchId && len(r.Events) > 0 && len(last.Events) > 0 {
				last.Events = append(last.Events, r.Events...)
				continue
			}
			r.Header.Revision, r.Fragment = 0, false
		}
		last = r
		out = append(out, r)
	}
	return out
}

// answer is all that the streams have told since it was asked for last.
func (s *session) answer() Answer {
	var a Answer
	for i := range maxStreams {
		w := s.watches[i]
		if w == nil {
			continue
		}
		a.Messages = append(a.Messages, s.settled(w)...)
		if w.over && !w.told {
			w.told = true
			a.Err = fmt.Errorf("stream %d: %w", i, w.ended)
		}
	}
	return a
}
