package differential

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster/test/etcd/internal/system"
)

// TestProgress has servers that tell of progress every second. When is not
// compared, but which watches are told, at which revision, and in which order
// with events.
func TestProgress(t *testing.T) {
	t.Parallel()
	p := newPairOf(t, kindsWith(t, "--watch-progress-notify-interval=1s"), 1)
	sessions := p.mustBegin()
	for _, busy := range []bool{false, true} {
		var told [2]Answer
		for i, s := range sessions {
			a, err := s.progress(busy)
			if err != nil {
				t.Fatalf("%s, busy: %v: %v", p.kinds[i].Name, busy, err)
			}
			told[i] = a
		}
		p.report(fmt.Sprintf("progress, busy: %v", busy), told[0], told[1])
	}
}

// The watches of one stream. The last is of a key that changes while the store
// is busy.
var notified = []*pb.WatchCreateRequest{
	{WatchId: 1, Key: []byte("quiet"), ProgressNotify: true},
	{WatchId: 2, Key: []byte("quiet")},
	{WatchId: 3, Key: []byte("quiet"), ProgressNotify: true, StartRevision: 1 << 50},
	{WatchId: 4, Key: []byte("quiet"), ProgressNotify: true, StartRevision: 1, Filters: []pb.WatchCreateRequest_FilterType{pb.WatchCreateRequest_NOPUT}},
	{WatchId: 5, Key: []byte{0}, RangeEnd: []byte{0}, ProgressNotify: true, Filters: []pb.WatchCreateRequest_FilterType{pb.WatchCreateRequest_NOPUT, pb.WatchCreateRequest_NODELETE}},
	{WatchId: 6, Key: []byte("busy"), ProgressNotify: true},
}

// progress waits until the first watch was told of progress a few times, and
// says which others were. It is an error if one is told of what it was not told, or of an
// event that it should know.
func (s *session) progress(busy bool) (Answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), system.Patience)
	defer cancel()
	stream, err := pb.NewWatchClient(s.conn).Watch(ctx)
	if err != nil {
		return Answer{}, err
	}
	for _, w := range notified {
		w = proto.CloneOf(w)
		if w.StartRevision == 1 {
			w.StartRevision = max(s.base, 1)
		}
		if err := stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: w}}); err != nil {
			return Answer{}, err
		}
	}
	done, puts := make(chan struct{}), make(chan error, 1)
	go func() { puts <- s.keepBusy(ctx, busy, done) }()
	err = s.progressOf(stream, busy, done)
	if err == nil || ctx.Err() == nil {
		err = errors.Join(err, <-puts)
	}
	if err != nil {
		return Answer{}, err
	}
	return Answer{}, nil
}

// keepBusy puts a key again and again until it is done.
func (s *session) keepBusy(ctx context.Context, busy bool, done chan struct{}) error {
	for {
		select {
		case <-done:
			return nil
		case <-time.After(50 * time.Millisecond):
		}
		if !busy {
			continue
		}
		if _, err := pb.NewKVClient(s.conn).Put(ctx, &pb.PutRequest{Key: []byte("busy")}); err != nil {
			return err
		}
	}
}

// enoughProgress is how often the first watch is told: every other one that
// is to be told is told with it, or the next time.
const enoughProgress = 4

func (s *session) progressOf(stream pb.Watch_WatchClient, busy bool, done chan struct{}) error {
	defer close(done)
	told, at := map[int64]int{}, map[int64]int64{}
	for told[1] < enoughProgress {
		r, err := stream.Recv()
		if err != nil {
			return err
		}
		rev := r.Header.Revision
		switch {
		case r.Created:
		case r.Canceled:
			return fmt.Errorf("a watch was cancelled: %s", show(r))
		case len(r.Events) > 0:
			if first := r.Events[0].Kv.ModRevision; first <= at[r.WatchId] {
				return fmt.Errorf("watch %d is told of revision %d after it was told that it knows %d", r.WatchId, first, at[r.WatchId])
			}
			at[r.WatchId] = r.Events[len(r.Events)-1].Kv.ModRevision
		default:
			if rev < at[r.WatchId] {
				return fmt.Errorf("the progress of watch %d goes back to revision %d", r.WatchId, rev)
			}
			told[r.WatchId]++
			at[r.WatchId] = rev
		}
	}
	var got []int64
	for id := range told {
		got = append(got, id)
	}
	slices.Sort(got)
	want := []int64{1, 4, 5, 6}
	if busy {
		want = want[:3] // the last always has something else to tell
		got = slices.DeleteFunc(got, func(id int64) bool { return id == 6 })
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("watches %v are told, want %v", got, want)
	}
	return nil
}
