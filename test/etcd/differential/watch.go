package differential

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

// watchStream is one Watch stream. What arrives is kept until a sync asks.
type watchStream struct {
	stream   pb.Watch_WatchClient
	cancel   context.CancelFunc
	arrived  chan *pb.WatchResponse
	ended    error // why nothing more arrives; valid once arrived is closed
	received []*pb.WatchResponse
	over     bool // its end was told
}

// maxStreams bounds the numbers of a program's streams.
const maxStreams = 3

// progressPause is between two requests for progress: a server ignores one as
// long as a watch of the stream is behind.
const progressPause = 20 * time.Millisecond

// watch sends one request on a stream, which it opens if need be.
func (s *session) watch(step Step) Answer {
	w := s.watches[step.Stream]
	if w == nil {
		ctx, cancel := context.WithCancel(s.context(step.As))
		stream, err := pb.NewWatchClient(s.conn).Watch(ctx)
		if err != nil {
			cancel()
			return Answer{Err: err}
		}
		w = &watchStream{stream: stream, cancel: cancel, arrived: make(chan *pb.WatchResponse, 1024)}
		s.watches[step.Stream] = w
		go w.receive()
	}
	_ = w.stream.Send(step.Req.(*pb.WatchRequest)) // a stream that ended tells so at the next sync
	return Answer{}
}

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

// sync waits until each stream has told all changes that there are, and
// returns what arrived since the last one, stream by stream.
func (s *session) sync() Answer {
	if len(s.watches) == 0 {
		return Answer{}
	}
	h, err := s.header()
	if err != nil {
		return Answer{Err: err}
	}
	var a Answer
	for i := range maxStreams {
		w := s.watches[i]
		if w == nil || w.over {
			continue
		}
		if err := w.catchUp(h.Revision); err != nil {
			if !w.over {
				return Answer{Err: fmt.Errorf("stream %d: %w", i, err)}
			}
			a.Err = err
		}
		a.Messages = append(a.Messages, s.settled(w)...)
	}
	return a
}

// catchUp receives until the server has said that the stream is at rev.
func (w *watchStream) catchUp(rev int64) error {
	end := time.After(callTimeout)
	for {
		_ = w.stream.Send(progressRequest) // its end shows below
		pause := time.After(progressPause)
	receive:
		for {
			select {
			case r, ok := <-w.arrived:
				if !ok {
					w.over = true
					return w.ended
				}
				if !isManualProgress(r) {
					w.received = append(w.received, r)
				} else if r.Header.Revision >= rev {
					return nil
				}
			case <-pause:
				break receive
			case <-end:
				return errors.New("no answer to requests for progress")
			}
		}
	}
}

var progressRequest = &pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}}

// isManualProgress tells the answer to a progress request: it is for no watch.
func isManualProgress(r *pb.WatchResponse) bool {
	return r.WatchId == -1 && !r.Created && !r.Canceled && len(r.Events) == 0
}

// settled takes what w received, sorted by watch, for there is no order between
// the watches of a stream. Where steps are not followed by a sync each, it is
// also chance how many changes one response tells of, and what the header
// calls the current revision: then changes that follow each other are joined.
func (s *session) settled(w *watchStream) []proto.Message {
	in := w.received
	w.received = nil
	slices.SortStableFunc(in, func(a, b *pb.WatchResponse) int { return cmp.Compare(a.WatchId, b.WatchId) })
	var out []proto.Message
	var last *pb.WatchResponse
	for _, r := range in {
		if !s.exact {
			if last != nil && last.WatchId == r.WatchId && len(r.Events) > 0 && len(last.Events) > 0 {
				last.Events = append(last.Events, r.Events...)
				continue
			}
			r = proto.CloneOf(r)
			r.Header.Revision, r.Fragment = 0, false
		}
		last = r
		out = append(out, r)
	}
	return out
}
