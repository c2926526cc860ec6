package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/wire"
)

// dials counts the connections that are opened.
type dials struct {
	Network
	mu sync.Mutex
	n  int
}

func (d *dials) Dial(ctx context.Context, addr string) (net.Conn, error) {
	d.mu.Lock()
	d.n++
	d.mu.Unlock()
	return d.Network.Dial(ctx, addr)
}

func (d *dials) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.n
}

// asker is node 1, connected to node 2, with the connections that it dialled.
func asker(t testing.TB, m *Memory) (b *node, ta, tb *Transport, d *dials) {
	t.Helper()
	d = &dials{Network: m.Node("a")}
	b = &node{id: 2}
	ta, tb = start(t, d, "a:1", &node{id: 1}, nil), start(t, m.Node("b"), "b:1", b, nil)
	ta.SetPeers(map[cluster.NodeID]string{2: "b:1"})
	synctest.Wait()
	return b, ta, tb, d
}

// Many questions at once share one connection, which goes when it is idle.
func TestAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, ta, _, d := asker(t, NewMemory())
		before := d.count()
		for round := range 2 {
			var wg sync.WaitGroup
			for i := range 50 {
				wg.Go(func() {
					a, _, err := ta.Ask(t.Context(), 2, fmt.Appendf(nil, "%d", i))
					if want := fmt.Sprintf("re: %d", i); err != nil || string(a.Body) != want {
						t.Errorf("answer %q, %v; want %q", a.Body, err, want)
					}
				})
			}
			wg.Wait()
			if n := d.count() - before; n != 1+round {
				t.Errorf("round %d: %d connections were opened", round, n)
			}
			time.Sleep(askIdle / 2)
			if _, _, err := ta.Ask(t.Context(), 2, nil); err != nil || d.count()-before != 1+round {
				t.Errorf("%d connections after a pause, %v", d.count()-before, err)
			}
			time.Sleep(askIdle + 2*time.Second)
		}
		if _, sent, err := ta.Ask(t.Context(), 9, nil); sent || !errors.Is(err, ErrNoPeer) {
			t.Errorf("ask a stranger: %v, %v", sent, err)
		}
	})
}

// What is not known is said to be so: whether the peer may have got it.
func TestAskInTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		b, ta, _, _ := asker(t, m)
		var ended []error
		b.question = func(ctx context.Context, _ wire.Hello, q []byte) wire.Answer {
			if string(q) == "slow" {
				<-ctx.Done()
				ended = append(ended, ctx.Err())
			}
			return wire.Answer{Body: q}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		_, sent, err := ta.Ask(ctx, 2, []byte("slow"))
		cancel()
		synctest.Wait()
		if !sent || !errors.Is(err, context.DeadlineExceeded) || len(ended) != 1 {
			t.Errorf("given up: sent %v, %v; the other side heard %v", sent, err, ended)
		}

		begun := time.Now()
		time.AfterFunc(time.Second, func() { m.Block("b", "a") }) // questions arrive, and no answers
		_, sent, err = ta.Ask(t.Context(), 2, []byte("slow"))
		if took := time.Since(begun); !sent || err == nil || took > 8*time.Second {
			t.Errorf("silence: sent %v, %v after %v", sent, err, took)
		}
		_, sent, err = ta.Ask(t.Context(), 2, []byte("again"))
		if sent || err == nil {
			t.Errorf("cut off: sent %v, %v", sent, err)
		}
		m.Heal()
		if a, _, err := ta.Ask(t.Context(), 2, []byte("again")); err != nil || string(a.Body) != "again" {
			t.Errorf("healed: %q, %v", a.Body, err)
		}
		m.Down("b")
		if _, _, err = ta.Ask(t.Context(), 2, nil); err == nil {
			t.Error("a node that is down answers")
		}
	})
}

// A peer with too many questions says so, and one that leaves the set, or is
// refused, asks nothing more.
func TestAskLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, ta, tb, _ := asker(t, NewMemory())
		tb.SetPeers(map[cluster.NodeID]string{1: "a:1"})
		free := make(chan struct{})
		b.question = func(ctx context.Context, _ wire.Hello, _ []byte) wire.Answer {
			select {
			case <-free:
			case <-ctx.Done():
			}
			return wire.Answer{}
		}
		var wg sync.WaitGroup
		for range maxAnswering {
			wg.Go(func() {
				if a, _, err := ta.Ask(t.Context(), 2, nil); err != nil || a.Verdict != wire.Answered {
					t.Errorf("answer %v, %v", a, err)
				}
			})
		}
		synctest.Wait()
		if a, _, err := ta.Ask(t.Context(), 2, nil); err != nil || a.Verdict != wire.Busy {
			t.Errorf("one too many: %v, %v", a, err)
		}
		close(free)
		wg.Wait()
		b.question = func(context.Context, wire.Hello, []byte) wire.Answer {
			return wire.Answer{Body: make([]byte, wire.MaxQuestion+1)}
		}
		if a, _, err := ta.Ask(t.Context(), 2, make([]byte, wire.MaxQuestion)); err != nil || a.Verdict != wire.Failed {
			t.Errorf("too long an answer: %v, %v", a.Verdict, err)
		}
		b.setCheck(func(p wire.Hello, _ bool) *wire.Refusal { return &wire.Refusal{Code: wire.RefusedRemoved} })
		tb.SetPeers(nil)
		synctest.Wait()
		if _, sent, err := ta.Ask(t.Context(), 2, nil); sent || err == nil {
			t.Errorf("after it left the set: sent %v, %v", sent, err)
		}
		ta.SetPeers(nil)
		if _, _, err := ta.Ask(t.Context(), 2, nil); !errors.Is(err, ErrNoPeer) {
			t.Errorf("no peer: %v", err)
		}
	})
}

// A release that knows no questions refuses them when it is greeted.
func TestAskOldRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		ta := start(t, m.Node("a"), "a:1", &node{id: 1}, nil)
		l, err := m.Node("b").Listen("b:1")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ta.SetPeers(map[cluster.NodeID]string{2: "b:1"})
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				var peer wire.Hello
				if err := wire.ReadJSON(c, wire.KindHello, &peer); err == nil {
					_ = wire.WriteOpening(c, wire.Hello{}, &wire.Refusal{Code: wire.RefusedMalformed})
				}
				c.Close()
			}
		}()
		_, sent, err := ta.Ask(t.Context(), 2, nil)
		if r, ok := errors.AsType[*wire.Refusal](err); sent || !ok || r.Code != wire.RefusedMalformed {
			t.Errorf("sent %v, %v", sent, err)
		}
	})
}

func BenchmarkAsk(b *testing.B) {
	n := &node{id: 2}
	ta, tb := start(b, TCP{}, "127.0.0.1:0", &node{id: 1}, nil), start(b, TCP{}, "127.0.0.1:0", n, nil)
	ta.SetPeers(map[cluster.NodeID]string{2: tb.cfg.Listener.Addr().String()})
	for b.Loop() {
		if _, _, err := ta.Ask(b.Context(), 2, []byte("question")); err != nil {
			b.Fatal(err)
		}
	}
}
