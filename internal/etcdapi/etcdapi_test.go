package etcdapi

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/kv"
	"github.com/musterhq/muster/statemachine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The faults of the fake node.
var (
	errUnknown    = errors.New("outcome unknown")
	errNotLeader  = errors.New("no leader")
	errOverloaded = errors.New("overloaded")
	errNotMember  = errors.New("not a member")
	errRefused    = errors.New("refused")
	errRemoved    = errors.New("removed")
	errStopped    = errors.New("stopped")
	errTooLarge   = errors.New("too large")
)

func testFaults() Faults {
	return Faults{
		UnknownOutcome: errUnknown, NotLeader: errNotLeader, Overloaded: errOverloaded, NotMember: errNotMember,
		Refused: errRefused, Removed: errRemoved, Stopped: errStopped, TooLarge: errTooLarge,
	}
}

// fakeNode applies what it is given to a real store, at once, and fails as it
// is told to.
type fakeNode struct {
	mu        sync.Mutex
	store     *kv.Store
	status    cluster.Status
	why       []event.Reason
	index     uint64
	proposals int
	reads     int
	removed   []cluster.NodeID
	moved     []cluster.NodeID
	moving    []string    // what Readdress was given
	behind    bool        // it does not show what it has answered
	lost      atomic.Bool // the leader
	statusMu  sync.Mutex  // while requests are under way

	before func(ctx context.Context) error // a proposal's fate before it is applied
	after  func(ctx context.Context) error // and after
	onRead func(ctx context.Context, n int) error
	onOp   error // of what Membership does
}

func (n *fakeNode) Propose(ctx context.Context, cmd []byte) (statemachine.Result, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.proposals++
	if n.before != nil {
		if err := n.before(ctx); err != nil {
			return nil, err
		}
	}
	n.index++
	res, err := n.store.Apply(n.index, []statemachine.Entry{{Index: n.index, Command: cmd, Wanted: true}})
	if err != nil {
		return nil, err
	}
	n.statusMu.Lock()
	n.status.Committed, n.status.Applied = n.index, n.index
	n.statusMu.Unlock()
	if n.after != nil {
		if err := n.after(ctx); err != nil {
			return nil, err
		}
	}
	return res[0], nil
}

func (n *fakeNode) ReadIndex(ctx context.Context) (uint64, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.reads++
	if n.onRead != nil {
		if err := n.onRead(ctx, n.reads); err != nil {
			return 0, err
		}
	}
	return n.index, nil
}

func (n *fakeNode) Glance() cluster.Glance {
	s := n.Status()
	g := cluster.Glance{ClusterID: s.ClusterID, Self: s.Self.ID, Alias: s.Self.Alias, Leader: s.Leader, Term: s.Term}
	if n.lost.Load() {
		g.Leader = 0
	}
	return g
}

func (n *fakeNode) Status() *cluster.Status {
	n.statusMu.Lock()
	defer n.statusMu.Unlock()
	st := n.status
	return &st
}

// loseLeader may be called while requests are under way.
func (n *fakeNode) loseLeader() { n.lost.Store(true) }

func (n *fakeNode) Why() []event.Reason { return n.why }

func (n *fakeNode) Transfer(_ context.Context, id cluster.NodeID) error {
	n.moved = append(n.moved, id)
	return n.onOp
}

// rig is a server over a fake node, and how to reach it.
type rig struct {
	node   *fakeNode
	lis    *bufconn.Listener
	disk   vfs.FS // of the store
	api    *Server
	srv    *grpc.Server
	tokens *Tokens
}

func newRig(t testing.TB, change ...func(*Config)) *rig {
	t.Helper()
	fs := vfs.NewMem()
	if err := fs.MkdirAll("data", 0o755); err != nil {
		t.Fatal(err)
	}
	tokens := NewTokens(0)
	store := kv.New(kv.Options{FS: fs, CacheBytes: 1 << 20, MemTableBytes: 1 << 20, Tokens: tokens})
	if _, err := store.Open("data"); err != nil {
		t.Fatal(err)
	}
	n := &fakeNode{store: store, status: cluster.Status{
		Self:      cluster.Member{ID: 1, Name: "a", Role: cluster.Voter},
		ClusterID: cluster.ClusterID{7: 9},
		Leader:    1, Term: 5, Committed: 1, Applied: 1,
		Members: []cluster.MemberStatus{
			{Member: cluster.Member{ID: 1, Name: "a", PeerAddr: "h1:2380", ClientAddr: "h1:2379", Role: cluster.Voter}},
			{Member: cluster.Member{ID: 2, Name: "b", PeerAddr: "h2:2380", Role: cluster.Learner}},
			{Member: cluster.Member{ID: 3, Name: "c", PeerAddr: "h3:2380", Role: cluster.Voter}},
		},
	}}
	cfg := Config{
		Proposer: n, Membership: n, Store: store, Size: store.Size, Faults: testFaults(), Version: "3.7.3-test",
		Auth: Authentication{Tokens: tokens, BcryptCost: 4}, Leases: newFakeLeases(store),
	}
	for _, c := range change {
		c(&cfg)
	}
	api := New(cfg)
	srv := grpc.NewServer(api.Options()...)
	api.Register(srv)
	r := &rig{node: n, lis: bufconn.Listen(1 << 20), disk: fs, api: api, srv: srv, tokens: cfg.Auth.Tokens}
	done := make(chan struct{})
	go func() { defer close(done); srv.Serve(r.lis) }()
	t.Cleanup(func() {
		srv.Stop()
		<-done
		if err := store.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	return r
}

func (r *rig) dial(ctx context.Context, _ string) (net.Conn, error) { return r.lis.DialContext(ctx) }

// client is etcd's own.
func (r *rig) client(t testing.TB) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{
		Endpoints: []string{"passthrough:///rig"}, Logger: zap.NewNop(),
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(r.dial)},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// conn is a bare connection, which repeats nothing.
func (r *rig) conn(t testing.TB) *grpc.ClientConn {
	t.Helper()
	c, err := grpc.NewClient("passthrough:///rig", grpc.WithContextDialer(r.dial), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}
