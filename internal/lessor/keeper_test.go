package lessor

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/kv"
	"github.com/musterhq/muster/statemachine"
)

var errNoLeader = errors.New("no leader")

// fakeNode applies at once what it is given.
type fakeNode struct {
	mu     sync.Mutex
	store  *kv.Store
	index  uint64
	glance cluster.Glance
	onRead func() // while a quorum is asked
	onAsk  func(ctx context.Context, question []byte) ([]byte, error)
	slow   time.Duration

	onGlance func() // once, after the next Glance
	reads    int
}

// stand says who leads in which term.
func (n *fakeNode) stand(leader cluster.NodeID, term uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.glance.Leader, n.glance.Term = leader, term
}

func (n *fakeNode) rounds() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.reads
}

func (n *fakeNode) Propose(_ context.Context, cmd []byte) (statemachine.Result, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.index++
	res, err := n.store.Apply(n.index, []statemachine.Entry{{Index: n.index, Command: cmd, Wanted: true}})
	if err != nil {
		return nil, err
	}
	return res[0], nil
}

func (n *fakeNode) ReadIndex(context.Context) (uint64, error) {
	time.Sleep(n.slow)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.reads++
	if n.onRead != nil {
		n.onRead()
	}
	return n.index, nil
}

func (n *fakeNode) Glance() cluster.Glance {
	n.mu.Lock()
	defer n.mu.Unlock()
	g := n.glance
	if n.onGlance != nil {
		n.onGlance()
		n.onGlance = nil
	}
	return g
}

func (n *fakeNode) Ask(ctx context.Context, _ cluster.NodeID, question []byte) ([]byte, error) {
	if n.onAsk != nil {
		return n.onAsk(ctx, question)
	}
	return nil, errors.New("unreachable")
}

// alone runs a keeper of a member that leads in term 3, with lease 7 of 60 s.
func alone(t *testing.T, tell func(t *testing.T, n *fakeNode, k *Keeper)) {
	synctest.Test(t, func(t *testing.T) {
		disk := vfs.NewMem()
		if err := disk.MkdirAll("kv", 0o755); err != nil {
			t.Fatal(err)
		}
		n := &fakeNode{store: kv.New(kv.Options{FS: disk, CacheBytes: 1 << 20}), glance: cluster.Glance{Self: 1, Leader: 1, Term: 3}}
		if _, err := n.store.Open("kv"); err != nil {
			t.Fatal(err)
		}
		k := NewKeeper(Config{Node: n, Store: n.store, NoLeader: errNoLeader, Frame: func(q []byte) []byte { return q }})
		k.Start()
		cmd, err := kv.EncodeLeaseGrant(&pb.LeaseGrantRequest{ID: 7, TTL: 60})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.Propose(t.Context(), cmd); err != nil {
			t.Fatal(err)
		}
		tell(t, n, k)
		k.Close()
		if err := n.store.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestDeposedWhileAsked: a quorum that answers to somebody who follows by then has
// confirmed another leader.
func TestDeposedWhileAsked(t *testing.T) {
	alone(t, func(t *testing.T, n *fakeNode, k *Keeper) {
		if got, err := k.Renew(t.Context(), []int64{7, 8}); err != nil || got[0] != 60 || got[1] != 0 {
			t.Fatalf("renewed: %v, %v", got, err)
		}
		time.Sleep(DefaultGrace) // that was confirmed a while ago
		n.onRead = func() { n.glance.Leader, n.glance.Term = 2, 4 }
		if got, err := k.Renew(t.Context(), []int64{7}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("renewed by a member that follows: %v, %v", got, err)
		}
		if _, err := k.Answer(t.Context(), appendID([]byte{askRenew}, 7)); !errors.Is(err, errNotHere) {
			t.Errorf("answered by a member that follows: %v", err)
		}
	})
}

// TestLeadsAgain: a member that led, and leads again in a later term, takes the
// leases over anew, and gives them all of their time.
func TestLeadsAgain(t *testing.T) {
	alone(t, func(t *testing.T, n *fakeNode, k *Keeper) {
		time.Sleep(50 * time.Second)
		n.mu.Lock()
		n.glance.Term = 5
		n.mu.Unlock()
		if left, granted, ok, err := k.Left(t.Context(), 7); left < 59 || granted != 60 || !ok || err != nil {
			t.Errorf("%d of %d s are left, %v, %v", left, granted, ok, err)
		}
		if cmd, err := kv.EncodeLeaseExpiry(3, 7); err != nil {
			t.Fatal(err)
		} else if res, err := n.Propose(t.Context(), cmd); err != nil || !errors.Is(res.(kv.Reply).Err, kv.ErrLeaseTerm) {
			t.Errorf("what was decided in the term before: %v, %v", res, err)
		}
	})
}

// TestQuestions: what can't be understood is answered with an error.
func TestQuestions(t *testing.T) {
	alone(t, func(t *testing.T, _ *fakeNode, k *Keeper) {
		synctest.Wait()
		for _, bad := range [][]byte{nil, {askRenew}, {askRenew, 1, 2}, appendID([]byte{'?'}, 7)} {
			if a, err := k.Answer(t.Context(), bad); !errors.Is(err, errQuestion) {
				t.Errorf("%x: %x, %v", bad, a, err)
			}
		}
		a, err := k.Answer(t.Context(), appendID(appendID([]byte{askRenew}, 7), 8))
		if want := appendID(append(appendID([]byte{byte(Found)}, 60), byte(Unknown)), 0); err != nil || string(a) != string(want) {
			t.Errorf("%x, %v; want %x", a, err, want)
		}
	})
}
