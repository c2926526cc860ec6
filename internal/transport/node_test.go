package transport

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/goleak"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is a Handler that notes what it is told. Its fields are set before the
// transport starts, or with the lock held.
type node struct {
	id cluster.NodeID

	mu          sync.Mutex
	check       func(peer wire.Hello, inbound bool) *wire.Refusal
	control     func(ctx context.Context, peer wire.Hello, req wire.Request) wire.Response
	messages    func(peer wire.Hello, b *wire.Batch)
	takesNone   error // what Messages answers
	question    func(ctx context.Context, peer wire.Hello, question []byte) wire.Answer
	snapshot    func(ctx context.Context, peer wire.Hello, conn net.Conn)
	got         []uint64 // index of each raft message, in order
	from        []cluster.NodeID
	unreachable []time.Time
	refused     []*wire.Refusal
}

func (n *node) Hello() wire.Hello {
	return wire.Hello{Protocol: wire.Protocol, Cluster: "c", Self: wire.Identity{NodeID: n.id, Name: n.id.String()}}
}

func (n *node) Check(peer wire.Hello, inbound bool) *wire.Refusal {
	n.mu.Lock()
	f := n.check
	n.mu.Unlock()
	if f != nil {
		return f(peer, inbound)
	}
	return nil
}

func (n *node) Control(ctx context.Context, peer wire.Hello, req wire.Request) wire.Response {
	if n.control != nil {
		return n.control(ctx, peer, req)
	}
	return wire.Response{Probe: &wire.ProbeReply{Known: []string{peer.Self.Name}}}
}

func (n *node) Messages(peer wire.Hello, b *wire.Batch) error {
	if n.messages != nil {
		n.messages(peer, b)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.takesNone != nil {
		return n.takesNone
	}
	for _, m := range b.Raft {
		n.got = append(n.got, m.GetIndex())
		n.from = append(n.from, peer.Self.NodeID)
	}
	return nil
}

func (n *node) Snapshot(ctx context.Context, peer wire.Hello, conn net.Conn) {
	if n.snapshot != nil {
		n.snapshot(ctx, peer, conn)
	}
}

func (n *node) Question(ctx context.Context, peer wire.Hello, question []byte) wire.Answer {
	if n.question != nil {
		return n.question(ctx, peer, question)
	}
	return wire.Answer{Body: append([]byte("re: "), question...)}
}

func (n *node) Unreachable(id cluster.NodeID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.unreachable = append(n.unreachable, time.Now())
}

func (n *node) Refused(_ cluster.NodeID, _ string, r *wire.Refusal) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.refused = append(n.refused, r)
}

func (n *node) received() []uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]uint64(nil), n.got...)
}

func (n *node) notices() []time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]time.Time(nil), n.unreachable...)
}

func (n *node) refusals() []*wire.Refusal {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]*wire.Refusal(nil), n.refused...)
}

func (n *node) setCheck(f func(peer wire.Hello, inbound bool) *wire.Refusal) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.check = f
}

// start runs a transport for the node until the test ends.
func start(t testing.TB, network Network, addr string, n *node, change func(*Config)) *Transport {
	t.Helper()
	tr := prepare(t, network, addr, n, change)
	tr.Start()
	return tr
}

func prepare(t testing.TB, network Network, addr string, n *node, change func(*Config)) *Transport {
	t.Helper()
	l, err := network.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Network: network, Listener: l, Handler: n}
	if change != nil {
		change(&cfg)
	}
	tr := New(cfg)
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
	return tr
}

// pair is nodes 1 and 2, at a:1 and b:1, that know each other.
func pair(t testing.TB, m *Memory) (a, b *node, ta, tb *Transport) {
	t.Helper()
	a, b = &node{id: 1}, &node{id: 2}
	ta, tb = start(t, m.Node("a"), "a:1", a, nil), start(t, m.Node("b"), "b:1", b, nil)
	ta.SetPeers(map[cluster.NodeID]string{2: "b:1"})
	tb.SetPeers(map[cluster.NodeID]string{1: "a:1"})
	return a, b, ta, tb
}

// numbered is a batch with one message of that index and so many bytes.
func numbered(index uint64, size int) *wire.Batch {
	typ, to := raftpb.MsgApp, uint64(2)
	m := &raftpb.Message{Type: &typ, To: &to, Index: &index}
	if size > 0 {
		m.Entries = []*raftpb.Entry{{Data: make([]byte, size)}}
	}
	return &wire.Batch{Raft: []*raftpb.Message{m}}
}

func oneTo(n uint64) []uint64 {
	out := make([]uint64, n)
	for i := range out {
		out[i] = uint64(i) + 1
	}
	return out
}
