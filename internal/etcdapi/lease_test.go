package etcdapi

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/musterhq/muster/kv"
)

// fakeLeases never lets a lease end.
type fakeLeases struct {
	store *kv.Store

	mu      sync.Mutex
	err     error         // what is answered to renewals
	hold    chan struct{} // renewals wait until it is closed; nil: they don't
	entered chan struct{} // gets one when a renewal begins to wait
	batches []int
	some    bool // some renewals don't wait
	atOnce  int  // renewals
}

func newFakeLeases(store *kv.Store) *fakeLeases {
	return &fakeLeases{store: store, entered: make(chan struct{}, 100)}
}

func (f *fakeLeases) Renew(ctx context.Context, ids []int64) ([]int64, error) {
	f.mu.Lock()
	err, hold := f.err, f.hold
	f.batches = append(f.batches, len(ids))
	f.mu.Unlock()
	if hold != nil {
		f.entered <- struct{}{}
		select {
		case <-hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	ttls := make([]int64, len(ids))
	for i, id := range ids {
		l, _ := f.store.Lease(id)
		ttls[i] = l.TTL
	}
	return ttls, err
}

func (f *fakeLeases) RenewAtOnce(id int64) (int64, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l, ok := f.store.Lease(id)
	if f.err != nil || f.hold != nil && !f.some || !ok {
		return 0, false
	}
	f.atOnce++
	return l.TTL, true
}

func (f *fakeLeases) Left(_ context.Context, id int64) (left, granted int64, ok bool, err error) {
	l, ok := f.store.Lease(id)
	return l.TTL - 1, l.TTL, ok, nil
}

func (f *fakeLeases) Leases() (ids []int64) {
	for _, l := range f.store.Leases() {
		ids = append(ids, l.ID)
	}
	return ids
}

func (f *fakeLeases) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func leaseRig(t *testing.T) (*rig, *fakeLeases, pb.LeaseClient, *clientv3.Client) {
	var f *fakeLeases
	r := newRig(t, func(c *Config) { f = c.Leases.(*fakeLeases) })
	c := r.client(t)
	return r, f, pb.NewLeaseClient(c.ActiveConnection()), c
}

// TestLease: grants, revocations, time to live and lists, with etcd's errors and
// header fields.
func TestLease(t *testing.T) {
	r, _, lease, c := leaseRig(t)
	ctx := testContext(t)
	header := func(h *pb.ResponseHeader, rev int64) {
		t.Helper()
		if h.GetClusterId() == 0 || h.GetMemberId() != 1 || h.GetRaftTerm() != 5 || h.GetRevision() != rev {
			t.Errorf("header %v, want revision %d", h, rev)
		}
	}
	g, err := lease.LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: 60})
	if err != nil || g.ID <= 0 || g.TTL != 60 || g.Error != "" {
		t.Fatalf("grant: %v, %v", g, err)
	}
	header(g.Header, 1)
	short, err := lease.LeaseGrant(ctx, &pb.LeaseGrantRequest{ID: 7, TTL: 1})
	if err != nil || short.ID != 7 || short.TTL != 2 {
		t.Errorf("a lease of a second: %v, %v; want etcd's minimum", short, err)
	}
	for _, bad := range []struct {
		req  *pb.LeaseGrantRequest
		want error
	}{
		{&pb.LeaseGrantRequest{ID: 7, TTL: 60}, rpctypes.ErrGRPCLeaseExist},
		{&pb.LeaseGrantRequest{ID: 7, TTL: kv.MaxLeaseTTL + 1}, rpctypes.ErrGRPCLeaseTTLTooLarge},
	} {
		if _, err := lease.LeaseGrant(ctx, bad.req); !errors.Is(err, bad.want) {
			t.Errorf("grant %v: %v, want %v", bad.req, err, bad.want)
		}
	}
	for _, key := range []string{"b", "a"} {
		if _, err := c.Put(ctx, key, "", clientv3.WithLease(7)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Put(ctx, "c", "", clientv3.WithLease(99)); !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		t.Errorf("put on a lease that is not there: %v", err)
	}
	ttl, err := lease.LeaseTimeToLive(ctx, &pb.LeaseTimeToLiveRequest{ID: 7, Keys: true})
	if err != nil || ttl.ID != 7 || ttl.TTL != 1 || ttl.GrantedTTL != 2 || !slices.EqualFunc(ttl.Keys, []string{"a", "b"}, func(b []byte, s string) bool { return string(b) == s }) {
		t.Errorf("time to live: %v, %v", ttl, err)
	}
	header(ttl.Header, 3)
	all, err := lease.LeaseLeases(ctx, &pb.LeaseLeasesRequest{})
	if err != nil || len(all.Leases) != 2 {
		t.Errorf("list: %v, %v", all, err)
	}
	header(all.Header, 3)
	gone, err := lease.LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: 7})
	if err != nil {
		t.Fatal(err)
	}
	header(gone.Header, 4)
	if _, err := lease.LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: 7}); !errors.Is(err, rpctypes.ErrGRPCLeaseNotFound) {
		t.Errorf("revoke again: %v", err)
	}
	ttl, err = lease.LeaseTimeToLive(ctx, &pb.LeaseTimeToLiveRequest{ID: 7, Keys: true})
	if err != nil || ttl.ID != 7 || ttl.TTL != -1 || ttl.GrantedTTL != 0 || len(ttl.Keys) != 0 {
		t.Errorf("time to live of none: %v, %v", ttl, err)
	}
	header(ttl.Header, 4)
	if r.node.reads != 2 {
		t.Errorf("%d linearizable reads, want 2: for the keys", r.node.reads)
	}
}

// asked is a stream of requests to keep leases alive, of nobody but the test.
type asked struct {
	keepAliveStream
	ctx     context.Context
	ids     chan int64 // of the requests; closed: the client ends the stream
	answers chan *pb.LeaseKeepAliveResponse
}

func (a *asked) Context() context.Context { return a.ctx }

func (a *asked) Recv() (*pb.LeaseKeepAliveRequest, error) {
	id, more := <-a.ids
	if !more {
		return nil, io.EOF
	}
	return &pb.LeaseKeepAliveRequest{ID: id}, nil
}

func (a *asked) Send(r *pb.LeaseKeepAliveResponse) error {
	a.answers <- r
	return nil
}

// keptAlive has a stream of that kind served while ask runs, in a bubble: when all
// in it wait, what was asked has been received.
func keptAlive(t *testing.T, ask func(t *testing.T, f *fakeLeases, a *asked)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var f *fakeLeases
		r := newRig(t, func(c *Config) { f = c.Leases.(*fakeLeases) })
		leases := &leaseService{Server: r.api}
		for id := range int64(50) {
			if _, err := leases.LeaseGrant(t.Context(), &pb.LeaseGrantRequest{ID: id + 1, TTL: 100 + id}); err != nil {
				t.Fatal(err)
			}
		}
		a := &asked{ctx: t.Context(), ids: make(chan int64), answers: make(chan *pb.LeaseKeepAliveResponse, 100)}
		ended := make(chan error)
		go func() { ended <- leases.LeaseKeepAlive(a) }()
		ask(t, f, a)
		close(a.ids)
		if err := <-ended; err != nil {
			t.Errorf("the end: %v", err)
		}
	})
}

// TestKeepAlive: answers in order, with TTL 0 for a lease that is not there, and
// many together.
func TestKeepAlive(t *testing.T) {
	keptAlive(t, func(t *testing.T, f *fakeLeases, a *asked) {
		f.hold = make(chan struct{})
		for id := range int64(51) {
			a.ids <- id + 1
			if id == 0 {
				<-f.entered
			}
		}
		synctest.Wait() // the others have gathered
		close(f.hold)
		for id := range int64(51) {
			resp, want := <-a.answers, 100+id
			if id == 50 {
				want = 0
			}
			if resp.ID != id+1 || resp.TTL != want || resp.Header.GetRevision() != 1 {
				t.Fatalf("answer %v; want ID %d and TTL %d", resp, id+1, want)
			}
		}
		if !slices.Equal(f.batches, []int{1, 50}) {
			t.Errorf("renewed in %v", f.batches)
		}
	})
}

// TestKeepAliveAtOnce: what need not wait is answered after what was asked before it,
// and without others when there is nothing.
func TestKeepAliveAtOnce(t *testing.T) {
	const gone = 99
	keptAlive(t, func(t *testing.T, f *fakeLeases, a *asked) {
		for range 3 {
			f.mu.Lock()
			f.hold, f.some, f.atOnce, f.batches = make(chan struct{}), true, 0, nil
			f.mu.Unlock()
			a.ids <- gone // it waits
			<-f.entered
			for range 20 {
				a.ids <- 2
			}
			synctest.Wait() // all are received
			close(f.hold)
			for i := range 21 {
				if resp := <-a.answers; (resp.ID == gone) != (i == 0) {
					t.Fatalf("answer %d: %v", i, resp)
				}
			}
			synctest.Wait() // nobody waits any more
			f.mu.Lock()
			f.hold, f.atOnce = nil, 0
			f.mu.Unlock()
			for i := range 20 {
				a.ids <- 2
				if resp := <-a.answers; resp.ID != 2 || resp.TTL != 101 || resp.Header.GetRevision() != 1 {
					t.Fatalf("answer %d: %v", i, resp)
				}
			}
			f.mu.Lock()
			if f.atOnce != 20 {
				t.Errorf("%d of 20 that came alone were answered at once", f.atOnce)
			}
			f.mu.Unlock()
		}
	})
}

// TestKeepAlivesOfAClient: the same through gRPC.
func TestKeepAlivesOfAClient(t *testing.T) {
	_, _, lease, _ := leaseRig(t)
	ctx := testContext(t)
	if _, err := lease.LeaseGrant(ctx, &pb.LeaseGrantRequest{ID: 1, TTL: 100}); err != nil {
		t.Fatal(err)
	}
	stream, err := lease.LeaseKeepAlive(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for id := range int64(20) {
		if err := stream.Send(&pb.LeaseKeepAliveRequest{ID: id + 1}); err != nil {
			t.Fatal(err)
		}
	}
	for id := range int64(20) {
		resp, err := stream.Recv()
		if err != nil || resp.ID != id+1 || (resp.TTL == 100) != (id == 0) || resp.Header.GetRevision() != 1 {
			t.Fatalf("answer %v, %v; want ID %d", resp, err, id+1)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the end: %v", err)
	}
}

// TestKeepAliveEnds: a stream ends with the reason why nothing is known, when the
// server stops, and when the leader is lost of a client that requires one.
func TestKeepAliveEnds(t *testing.T) {
	r, f, lease, _ := leaseRig(t)
	ctx := testContext(t)
	begin := func(ctx context.Context) grpc.BidiStreamingClient[pb.LeaseKeepAliveRequest, pb.LeaseKeepAliveResponse] {
		t.Helper()
		stream, err := lease.LeaseKeepAlive(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&pb.LeaseKeepAliveRequest{ID: 1}); err != nil {
			t.Fatal(err)
		}
		return stream
	}
	for _, c := range []struct{ is, want error }{
		{errNotLeader, rpctypes.ErrGRPCNoLeader},
		{context.DeadlineExceeded, rpctypes.ErrGRPCTimeout},
	} {
		f.fail(c.is)
		if _, err := begin(ctx).Recv(); !errors.Is(err, c.want) {
			t.Errorf("%v ends the stream with %v, want %v", c.is, err, c.want)
		}
	}
	f.fail(nil)
	needs := begin(metadata.AppendToOutgoingContext(ctx, rpctypes.MetadataRequireLeaderKey, rpctypes.MetadataHasLeader))
	other := begin(ctx)
	for _, s := range []grpc.BidiStreamingClient[pb.LeaseKeepAliveRequest, pb.LeaseKeepAliveResponse]{needs, other} {
		if resp, err := s.Recv(); err != nil || resp.TTL != 0 {
			t.Fatal(resp, err)
		}
	}
	r.node.loseLeader()
	if _, err := needs.Recv(); !errors.Is(err, rpctypes.ErrGRPCNoLeader) {
		t.Errorf("the leader is lost: %v", err)
	}
	r.api.EndStreams()
	if _, err := other.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("the server stops: %v", err)
	}
}
