package etcdapi

import (
	"context"
	"fmt"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// rawWatch is a stream without a client that smooths things over.
type rawWatch struct {
	testing.TB
	pb.Watch_WatchClient
}

func (r *rig) rawWatch(t testing.TB, ctx context.Context) rawWatch {
	t.Helper()
	s, err := pb.NewWatchClient(r.conn(t)).Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return rawWatch{t, s}
}

func (r rawWatch) create(c *pb.WatchCreateRequest) *pb.WatchResponse {
	r.Helper()
	r.send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: c}})
	return r.next()
}

func (r rawWatch) cancel(id int64) {
	r.Helper()
	r.send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{CancelRequest: &pb.WatchCancelRequest{WatchId: id}}})
}

func (r rawWatch) progress() {
	r.Helper()
	r.send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}})
}

func (r rawWatch) send(req *pb.WatchRequest) {
	r.Helper()
	if err := r.Send(req); err != nil {
		r.Fatal(err)
	}
}

func (r rawWatch) next() *pb.WatchResponse {
	r.Helper()
	resp, err := r.Recv()
	if err != nil {
		r.Fatal(err)
	}
	if h := resp.Header; h.GetClusterId() != 9 || h.MemberId != 1 || h.RaftTerm != 5 {
		r.Errorf("header %v", h)
	}
	return resp
}

// expect compares the next response with what describe says of it.
func (r rawWatch) expect(want string) {
	r.Helper()
	if got := describe(r.next()); got != want {
		r.Errorf("got  %s\nwant %s", got, want)
	}
}

func describe(r *pb.WatchResponse) string {
	s := fmt.Sprintf("watch %d header %d", r.WatchId, r.Header.Revision)
	for _, f := range []struct {
		name string
		is   bool
	}{{"created", r.Created}, {"canceled", r.Canceled}, {"fragment", r.Fragment}} {
		if f.is {
			s += " " + f.name
		}
	}
	if r.CompactRevision != 0 {
		s += fmt.Sprintf(" compacted %d", r.CompactRevision)
	}
	if r.CancelReason != "" {
		s += ": " + r.CancelReason
	}
	for _, e := range r.Events {
		s += fmt.Sprintf("; %s %s=%s@%d", e.Type, e.Kv.Key, e.Kv.Value, e.Kv.ModRevision)
		if e.PrevKv != nil {
			s += fmt.Sprintf(" was %s@%d", e.PrevKv.Value, e.PrevKv.ModRevision)
		}
	}
	return s
}

func (r *rig) put(t testing.TB, key, value string) {
	t.Helper()
	if _, err := pb.NewKVClient(r.conn(t)).Put(testContext(t), &pb.PutRequest{Key: []byte(key), Value: []byte(value)}); err != nil {
		t.Fatal(err)
	}
}

// TestWatchRefused: what can't be watched is answered as in etcd, and the
// stream goes on.
func TestWatchRefused(t *testing.T) {
	r := newRig(t)
	r.put(t, "a", "1")
	w := r.rawWatch(t, testContext(t))
	for _, c := range []struct {
		req  *pb.WatchCreateRequest
		want string
	}{
		{&pb.WatchCreateRequest{Key: []byte("a")}, "watch 0 header 2 created"},
		{&pb.WatchCreateRequest{Key: []byte("a"), WatchId: 7}, "watch 7 header 2 created"},
		{&pb.WatchCreateRequest{Key: []byte("b"), WatchId: 7}, "watch -1 header 2 created canceled: mvcc: duplicate watch ID provided on the WatchStream"},
		{&pb.WatchCreateRequest{Key: []byte("b"), RangeEnd: []byte("a")}, "watch -1 header 2 created canceled: mvcc: watcher range is empty"},
		{&pb.WatchCreateRequest{Key: []byte("b"), RangeEnd: []byte("b"), WatchId: 7}, "watch -1 header 2 created canceled: mvcc: watcher range is empty"},
		{&pb.WatchCreateRequest{Key: []byte("a"), StartRevision: -1}, "watch -1 header 2 created canceled: etcdserver: mvcc: required revision has been compacted"},
		{&pb.WatchCreateRequest{Key: []byte("a"), WatchId: 1}, "watch 1 header 2 created"},
		{&pb.WatchCreateRequest{Key: []byte("a")}, "watch 2 header 2 created"},
		{&pb.WatchCreateRequest{RangeEnd: []byte{0}, StartRevision: 9}, "watch 3 header 2 created"},
	} {
		if got := describe(w.create(c.req)); got != c.want {
			t.Errorf("%v:\n got %s\nwant %s", c.req, got, c.want)
		}
	}
}

// TestWatchStream goes through the life of watches on one stream.
func TestWatchStream(t *testing.T) {
	r := newRig(t)
	for i := range 3 {
		r.put(t, "a", fmt.Sprint(i)) // 2, 3, 4
	}
	w := r.rawWatch(t, testContext(t))
	w.create(&pb.WatchCreateRequest{Key: []byte("a"), StartRevision: 3, PrevKv: true})
	w.expect("watch 0 header 4; PUT a=1@3 was 0@2; PUT a=2@4 was 1@3")
	w.create(&pb.WatchCreateRequest{RangeEnd: []byte{0}, Filters: []pb.WatchCreateRequest_FilterType{pb.WatchCreateRequest_NODELETE}})
	r.put(t, "b", "x")
	w.expect("watch 1 header 5; PUT b=x@5")
	w.cancel(0)
	w.expect("watch 0 header 5 canceled")
	w.cancel(0) // no answer
	w.create(&pb.WatchCreateRequest{Key: []byte("b"), WatchId: 9, Filters: []pb.WatchCreateRequest_FilterType{pb.WatchCreateRequest_NOPUT}})
	kvs := pb.NewKVClient(r.conn(t))
	if _, err := kvs.DeleteRange(testContext(t), &pb.DeleteRangeRequest{Key: []byte("b")}); err != nil {
		t.Fatal(err)
	}
	w.expect("watch 9 header 6; DELETE b=@6")
	r.put(t, "c", "y")
	w.expect("watch 1 header 7; PUT c=y@7")
	w.progress()
	w.expect("watch -1 header 7")
	if _, err := kvs.Compact(testContext(t), &pb.CompactionRequest{Revision: 6}); err != nil {
		t.Fatal(err)
	}
	w.create(&pb.WatchCreateRequest{Key: []byte("b"), StartRevision: 6})
	w.expect("watch 2 header 7; DELETE b=@6")
	if got := describe(w.create(&pb.WatchCreateRequest{Key: []byte("b"), StartRevision: 5})); got != "watch 3 header 7 created" {
		t.Error(got)
	}
	w.expect("watch 3 header 0 canceled compacted 6")
	// Its ID is taken until it is cancelled.
	if got := describe(w.create(&pb.WatchCreateRequest{Key: []byte("b"), WatchId: 3})); !strings.Contains(got, reasonDuplicateID) {
		t.Error(got)
	}
	w.cancel(3)
	w.expect("watch 3 header 7 canceled")
	if got := describe(w.create(&pb.WatchCreateRequest{Key: []byte("b"), WatchId: 3})); got != "watch 3 header 7 created" {
		t.Error(got)
	}
}

// TestWatchProgressWaits: progress is asked for while a watch begins in the
// future; it is answered when that has come.
func TestWatchProgressWaits(t *testing.T) {
	r := newRig(t)
	w := r.rawWatch(t, testContext(t))
	w.progress() // no watch: no answer
	w.create(&pb.WatchCreateRequest{Key: []byte("a"), StartRevision: 3})
	w.progress()
	r.put(t, "a", "early")
	r.put(t, "a", "2")
	w.expect("watch 0 header 3; PUT a=2@3")
	w.expect("watch -1 header 3")
}

func TestWatchNotify(t *testing.T) {
	r := newRig(t, func(c *Config) { c.ProgressInterval = 1 })
	r.put(t, "a", "1")
	w := r.rawWatch(t, testContext(t))
	w.create(&pb.WatchCreateRequest{Key: []byte("a"), ProgressNotify: true})
	w.expect("watch 0 header 2")
	r.put(t, "b", "1")
	for describe(w.next()) != "watch 0 header 3" {
	}
}

// TestWatchFragments: what is too large for one message comes in several, each
// but the last with a mark, to whom asked for that.
func TestWatchFragments(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxRequestBytes = 400 << 10 })
	txn := &pb.TxnRequest{}
	for i := range 5 {
		txn.Success = append(txn.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestPut{
			RequestPut: &pb.PutRequest{Key: fmt.Append(nil, i), Value: make([]byte, 70<<10)}}})
	}
	if _, err := pb.NewKVClient(r.conn(t)).Txn(testContext(t), txn); err != nil {
		t.Fatal(err)
	}
	r.put(t, "6", string(make([]byte, 390<<10)))
	r.put(t, "7", string(make([]byte, 390<<10)))
	for fragment, want := range map[bool]string{true: "[6+ 1]", false: "[7]"} {
		w := r.rawWatch(t, testContext(t))
		w.create(&pb.WatchCreateRequest{RangeEnd: []byte{0}, StartRevision: 1, Fragment: fragment})
		var got []string
		for n := 0; n < 7; {
			resp := w.next()
			n += len(resp.Events)
			s := fmt.Sprint(len(resp.Events))
			if resp.Fragment {
				s += "+"
			}
			got = append(got, s)
		}
		if fmt.Sprint(got) != want {
			t.Errorf("fragment %v: %v events a message, want %v", fragment, got, want)
		}
	}
}

// TestStreamsEnd: a server that stops ends its watches with an error on which
// clients go on elsewhere, and GracefulStop does not wait for them.
func TestStreamsEnd(t *testing.T) {
	r := newRig(t)
	w := r.rawWatch(t, testContext(t))
	w.create(&pb.WatchCreateRequest{Key: []byte("a")})
	r.api.EndStreams()
	if _, err := w.Recv(); status.Convert(err).Message() != status.Convert(rpctypes.ErrGRPCStopped).Message() {
		t.Errorf("a watch of a server that stops ends with %v", err)
	}
	r.srv.GracefulStop()
}

// TestLeaderLost: a stream whose client requires a leader ends when there has
// been none for three election timeouts; others go on.
func TestLeaderLost(t *testing.T) {
	r := newRig(t, func(c *Config) { c.ElectionTimeout = 1 })
	plain := r.rawWatch(t, testContext(t))
	plain.create(&pb.WatchCreateRequest{Key: []byte("a")})
	led := r.rawWatch(t, metadata.NewOutgoingContext(testContext(t), metadata.Pairs(rpctypes.MetadataRequireLeaderKey, rpctypes.MetadataHasLeader)))
	led.create(&pb.WatchCreateRequest{Key: []byte("a")})
	r.node.loseLeader()
	if _, err := led.Recv(); status.Convert(err).Message() != status.Convert(rpctypes.ErrGRPCNoLeader).Message() {
		t.Errorf("ended with %v", err)
	}
	r.put(t, "a", "1")
	plain.expect("watch 0 header 2; PUT a=1@2")
}

// TestClientWatch: etcd's client, its defaults, and that a watch ends with its
// context.
func TestClientWatch(t *testing.T) {
	r := newRig(t)
	c := r.client(t)
	ctx, cancel := context.WithCancel(testContext(t))
	ch := c.Watch(ctx, "k", clientv3.WithPrefix(), clientv3.WithPrevKV(), clientv3.WithCreatedNotify())
	if resp := <-ch; !resp.Created {
		t.Fatalf("first response: %+v", resp)
	}
	for i := range 3 {
		if _, err := c.Put(ctx, "k1", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
		resp := <-ch
		if len(resp.Events) != 1 || string(resp.Events[0].Kv.Value) != fmt.Sprint(i) || (resp.Events[0].PrevKv != nil) != (i > 0) {
			t.Fatalf("after put %d: %+v", i, resp)
		}
	}
	if err := c.RequestProgress(ctx); err != nil {
		t.Fatal(err)
	}
	if resp := <-ch; !resp.IsProgressNotify() || resp.Header.Revision != 4 {
		t.Errorf("progress: %+v", resp)
	}
	cancel()
	for range ch {
	}
}
