package differential

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"
)

// When has a server told everything? Of etcd it can be known. It puts changes
// into a stream before it answers the write, so what a watch of a key of our
// own, a mark, tells of a put of it comes after all that was before. A watch
// that starts in the past is served later, in rounds: a mark that starts in
// the past is served in the same round as those made before it, or later, and
// one that is made when the first was served in a later round.
//
// Nothing of that is promised, so nothing of it is asked of muster: it gets time
// to tell as much as etcd told. If it tells more, the next step shows that.

// markKey is what the marks watch.
var markKey = []byte("\xff\xff\xff mark")

const (
	markID      = 1 << 40    // watch that starts now
	pastID      = markID + 1 // the first that starts in the past
	doneID      = markID + 9 // watch that is made to see that something was done
	markTime    = callTimeout
	catchUpTime = callTimeout
)

func createMark(id, start int64) *pb.WatchRequest {
	return &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{
		Key: markKey, WatchId: id, StartRevision: start,
	}}}
}

func cancelMark(id int64) *pb.WatchRequest {
	return &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{CancelRequest: &pb.WatchCancelRequest{WatchId: id}}}
}

// withoutMarks is r as it would be if there were no marks; nil if it wouldn't be.
func withoutMarks(r *pb.WatchResponse) *pb.WatchResponse {
	if r.WatchId >= markID {
		return nil
	}
	out := proto.CloneOf(r)
	out.Events = slices.DeleteFunc(out.Events, func(e *mvccpb.Event) bool { return bytes.Equal(e.Kv.Key, markKey) })
	if len(out.Events) == 0 && len(r.Events) > 0 {
		return nil
	}
	return out
}

// make makes a mark and waits until it is made.
func (w *watchStream) make(id, start int64) error {
	w.send(createMark(id, start))
	return w.untilLast(func(r *pb.WatchResponse) bool { return r.WatchId == id && r.Created })
}

// begin makes the mark of a new stream. That it is refused, or that the stream
// ends, is an error.
func (w *watchStream) begin() error {
	w.send(createMark(markID, 0))
	if err := w.untilLast(func(*pb.WatchResponse) bool { return true }); err != nil {
		return err
	}
	if w.over || w.received[len(w.received)-1].Canceled {
		return errors.New("the mark is refused")
	}
	return nil
}

// syncReference returns what the watches of an etcd told since the last sync,
// and on each stream how much that is.
func (s *session) syncReference() (Answer, [maxStreams]int) {
	var amounts [maxStreams]int
	rev, err := s.putMark()
	if err != nil {
		return Answer{Err: err}, amounts
	}
	for i, w := range s.watches {
		if err := w.untilMarks(rev); err != nil {
			return Answer{Err: fmt.Errorf("stream %d: %w", i, err)}, amounts
		}
		amounts[i] = w.amount()
	}
	return s.answer(), amounts
}

// sync returns what the watches of the system under test told, once that is as
// much as the reference's told, or nothing more came.
func (s *session) sync(amounts [maxStreams]int) Answer {
	for i, w := range s.watches {
		_ = w.until(catchUpTime, func() bool { return w.amount() >= amounts[i] && len(w.arrived) == 0 }) // what is missing then shows
	}
	// The mark comes last here: a response that is made after it would have its
	// revision in the header.
	if _, err := s.putMark(); err != nil {
		return Answer{Err: err}
	}
	return s.answer()
}

// putMark returns the revision of the put; 0 if there is no stream, and none.
func (s *session) putMark() (int64, error) {
	if len(s.watches) == 0 {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(s.context("root"), callTimeout)
	defer cancel()
	resp, err := pb.NewKVClient(s.conn).Put(ctx, &pb.PutRequest{Key: markKey})
	return resp.GetHeader().GetRevision(), err
}

func (w *watchStream) untilMarks(rev int64) error {
	if err := w.untilMark(markID, rev); err != nil || !w.behind {
		return err
	}
	w.behind = false
	for id := int64(pastID); id < pastID+2; id++ {
		w.send(createMark(id, rev))
		if err := w.untilMark(id, rev); err != nil {
			return err
		}
		w.send(cancelMark(id))
	}
	return nil
}

// untilMark receives until the mark has told of the put at rev.
func (w *watchStream) untilMark(id, rev int64) error {
	return w.untilLast(func(r *pb.WatchResponse) bool {
		return r.WatchId == id && len(r.Events) > 0 && r.Events[len(r.Events)-1].Kv.ModRevision >= rev
	})
}

// untilLast receives until it gets a response that is the one.
func (w *watchStream) untilLast(is func(*pb.WatchResponse) bool) error {
	seen := len(w.received)
	return w.until(markTime, func() bool {
		return len(w.received) > seen && is(w.received[len(w.received)-1])
	})
}
