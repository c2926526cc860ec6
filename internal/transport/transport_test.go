package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/wire"
)

func TestMessagesArriveInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, ta, tb := pair(t, NewMemory())
		for i := range uint64(2000) {
			ta.Send(2, numbered(i+1, int(i)))
			tb.Send(1, numbered(i+1, 10))
			if i%500 == 0 {
				time.Sleep(50 * time.Millisecond)
			}
		}
		time.Sleep(time.Second)
		if !slices.Equal(b.received(), oneTo(2000)) || !slices.Equal(a.received(), oneTo(2000)) {
			t.Fatalf("got %d and %d messages", len(b.received()), len(a.received()))
		}
		if len(a.notices()) != 0 || b.from[0] != 1 {
			t.Errorf("unreachable: %v; from %v", a.notices(), b.from[0])
		}
	})
}

// Everything that a batch may hold comes out again, in frames of bounded size.
func TestBatchesOfAllSizes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		_, b, ta, _ := pair(t, m)
		var frames, forwards, rejects, cmds int
		b.messages = func(_ wire.Hello, got *wire.Batch) {
			frames++
			forwards += len(got.Forwards)
			rejects += len(got.Rejects)
			for _, f := range got.Forwards {
				cmds += len(f.Cmds)
			}
		}
		time.Sleep(time.Second)
		mixed := &wire.Batch{
			Forwards: []wire.Forward{{Term: 1, First: wire.RequestID{Origin: 1, Seq: 5}, Cmds: [][]byte{make([]byte, frameTarget), {1}}}},
			Rejects:  []wire.ForwardReject{{Count: 1}, {Count: 2}},
		}
		for i := range uint64(64) {
			mixed.Raft = append(mixed.Raft, numbered(i+1, 100<<10).Raft...)
		}
		ta.Send(2, mixed)
		ta.Send(2, numbered(65, 9<<20))
		ta.Send(2, numbered(66, 9<<20)) // the receiver's buffer is used again
		ta.Send(2, numbered(67, 1))
		time.Sleep(time.Second)
		if !slices.Equal(b.received(), oneTo(67)) || forwards != 1 || cmds != 2 || rejects != 2 {
			t.Fatalf("got %v, %d forwards of %d, %d rejects", b.received(), forwards, cmds, rejects)
		}
		if frames < 9 || frames > 12 {
			t.Errorf("26 MiB in %d frames", frames)
		}
	})
}

func TestMessageLargerThanAnyFrameIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, ta, _ := pair(t, NewMemory())
		time.Sleep(time.Second)
		large := numbered(2, 0)
		huge := make([]byte, wire.MaxFrame/2+1)
		large.Raft[0].Entries = []*raftpb.Entry{{Data: huge}, {Data: huge}}
		ta.Send(2, &wire.Batch{Raft: []*raftpb.Message{numbered(1, 1).Raft[0], large.Raft[0], numbered(3, 1).Raft[0]}})
		time.Sleep(time.Second)
		if !slices.Equal(b.received(), []uint64{1, 3}) || len(a.notices()) != 1 {
			t.Fatalf("got %v, %d notices", b.received(), len(a.notices()))
		}
	})
}

// What is sent before the peer is up waits for it.
func TestFirstAppendLostConnectionNotUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		a, b := &node{id: 1}, &node{id: 2}
		ta := start(t, m.Node("a"), "a:1", a, nil)
		ta.SetPeers(map[cluster.NodeID]string{2: "b:1"})
		ta.Send(2, numbered(1, 1))
		time.Sleep(3 * time.Second)
		if s := ta.Peers()[0]; s.Connected || s.QueueBytes == 0 || s.Err != "connection refused" {
			t.Errorf("status: %+v", s)
		}
		ta.Send(2, numbered(2, 1))
		start(t, m.Node("b"), "b:1", b, nil)
		time.Sleep(busyPause + 10*time.Millisecond)
		if !slices.Equal(b.received(), oneTo(2)) {
			t.Fatalf("got %v", b.received())
		}
		if s := ta.Peers()[0]; !s.Connected || s.QueueBytes != 0 || s.Err != "" {
			t.Errorf("status: %+v", s)
		}
	})
}

func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		a, b := &node{id: 1}, &node{id: 2}
		ta := start(t, m.Node("a"), "a:1", a, func(c *Config) { c.MaxQueueBytes = 10_000 })
		ta.SetPeers(map[cluster.NodeID]string{2: "b:1"})
		for i := range uint64(1000) {
			ta.Send(2, numbered(i+1, 840)) // 1000 with what is counted for the rest
			if q := ta.Peers()[0].QueueBytes; q > 10_000 {
				t.Fatalf("%d bytes wait", q)
			}
			time.Sleep(time.Millisecond)
		}
		notices := a.notices()
		if len(notices) < 9 || len(notices) > 11 {
			t.Errorf("%d notices in a second", len(notices))
		}
		for i := range notices[1:] {
			if d := notices[i+1].Sub(notices[i]); d < noticePause {
				t.Errorf("two notices within %s", d)
			}
		}
		if s := ta.Peers()[0]; s.Dropped != 990 {
			t.Errorf("dropped %d", s.Dropped)
		}
		start(t, m.Node("b"), "b:1", b, nil)
		time.Sleep(time.Second)
		if !slices.Equal(b.received(), oneTo(10)) {
			t.Errorf("got %v, want the oldest", b.received())
		}
	})
}

func TestOldMessagesExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		a, b := &node{id: 1}, &node{id: 2}
		ta := start(t, m.Node("a"), "a:1", a, nil)
		ta.SetPeers(map[cluster.NodeID]string{2: "b:1"})
		ta.Send(2, numbered(1, 1))
		time.Sleep(20 * time.Second)
		ta.Send(2, numbered(2, 1))
		time.Sleep(2 * time.Second)
		start(t, m.Node("b"), "b:1", b, nil)
		time.Sleep(2 * time.Second)
		if !slices.Equal(b.received(), []uint64{2}) || len(a.notices()) == 0 {
			t.Errorf("got %v; %d notices", b.received(), len(a.notices()))
		}
	})
}

func TestSendToNobodyIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _, ta, _ := pair(t, NewMemory())
		ta.Send(3, numbered(1, 1))
		synctest.Wait()
		if len(a.notices()) != 1 {
			t.Errorf("%d notices", len(a.notices()))
		}
	})
}

func TestPartitionThenHeal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		a, b, ta, tb := pair(t, m)
		time.Sleep(time.Second)
		m.Partition([]string{"a"}, []string{"b"})
		time.Sleep(6 * time.Second)
		for _, tr := range []*Transport{ta, tb} {
			if s := tr.Peers()[0]; s.Connected || s.Err == "" {
				t.Errorf("nobody noticed in 6 s: %+v", s)
			}
		}
		if len(a.notices()) == 0 || len(b.notices()) == 0 {
			t.Error("nobody was told")
		}
		ta.mu.Lock()
		if ta.inbound != 0 {
			t.Error("the acceptor keeps a dead connection")
		}
		ta.mu.Unlock()
		time.Sleep(time.Minute)
		ta.Send(2, numbered(7, 1))
		m.Heal()
		time.Sleep(busyPause)
		if !slices.Equal(b.received(), []uint64{7}) {
			t.Errorf("got %v right after healing", b.received())
		}
		time.Sleep(2 * time.Second)
		if !ta.Peers()[0].Connected || !tb.Peers()[0].Connected {
			t.Error("not connected 2 s after healing")
		}
	})
}

// When only one direction works, both ends notice: the dialler by the answers
// that don't come.
func TestOneWayBlockIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		_, _, ta, tb := pair(t, m)
		time.Sleep(time.Second)
		m.Block("b", "a")
		for range 60 {
			ta.Send(2, numbered(1, 1))
			time.Sleep(100 * time.Millisecond)
		}
		if ta.Peers()[0].Connected || tb.Peers()[0].Connected {
			t.Errorf("%+v %+v", ta.Peers()[0], tb.Peers()[0])
		}
	})
}

func TestIdleConnectionsStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _, ta, _ := pair(t, NewMemory())
		time.Sleep(time.Second)
		since := ta.Peers()[0].Since
		time.Sleep(time.Hour)
		if s := ta.Peers()[0]; !s.Connected || !s.Since.Equal(since) || len(a.notices()) != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// A peer that comes back is found by its own dial, not at the end of a pause.
func TestPeerThatIsHeardIsDialledAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		_, _, ta, tb := pair(t, m)
		time.Sleep(time.Second)
		tb.Close()
		time.Sleep(time.Minute)
		b := &node{id: 2}
		tb = start(t, m.Node("b"), "b:1", b, nil)
		tb.SetPeers(map[cluster.NodeID]string{1: "a:1"})
		synctest.Wait()
		if !ta.Peers()[0].Connected || !tb.Peers()[0].Connected {
			t.Errorf("%+v %+v", ta.Peers()[0], tb.Peers()[0])
		}
	})
}

func TestRefusedByThePeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, ta, _ := pair(t, NewMemory())
		code := wire.RefusedUnknown
		b.setCheck(func(peer wire.Hello, inbound bool) *wire.Refusal {
			if inbound {
				return &wire.Refusal{Code: code, Reason: "who are you?"}
			}
			return nil
		})
		ta.SetPeers(nil)
		ta.SetPeers(map[cluster.NodeID]string{2: "b:1"})
		ta.Send(2, numbered(1, 1))
		time.Sleep(time.Minute)
		rs := a.refusals()
		if len(rs) != 1 || rs[0].Code != wire.RefusedUnknown || rs[0].From.NodeID != 2 {
			t.Fatalf("told %d times: %v", len(rs), rs)
		}
		if s := ta.Peers()[0]; s.Connected || s.Refusal == nil || !strings.Contains(s.Err, "who are you?") {
			t.Errorf("%+v", s)
		}
		b.mu.Lock()
		code = wire.RefusedRemoved
		b.mu.Unlock()
		time.Sleep(10 * time.Second)
		if rs := a.refusals(); len(rs) != 2 || rs[1].Code != wire.RefusedRemoved {
			t.Errorf("another reason: %v", rs)
		}
		b.setCheck(nil)
		ta.Send(2, numbered(2, 1))
		time.Sleep(3 * time.Second)
		if s := ta.Peers()[0]; !s.Connected || s.Refusal != nil || !slices.Equal(b.received(), []uint64{2}) {
			t.Errorf("%+v; got %v", s, b.received())
		}
	})
}

func TestCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, ta, _ := pair(t, NewMemory())
		resp, peer, err := ta.Call(t.Context(), "b:1", 0, wire.Request{Probe: &wire.Probe{}})
		if err != nil || peer.Self.NodeID != 2 || resp.Probe == nil || resp.Probe.Known[0] != a.id.String() {
			t.Fatalf("%+v %+v %v", resp, peer, err)
		}

		_, peer, err = ta.Call(t.Context(), "b:1", 9, wire.Request{Probe: &wire.Probe{}})
		var own *OwnRefusal
		if !errors.As(err, &own) || own.Refusal.Code != wire.RefusedNotMe || peer.Self.NodeID != 2 {
			t.Errorf("somebody else answers: %v", err)
		}

		b.setCheck(func(wire.Hello, bool) *wire.Refusal {
			return &wire.Refusal{Code: wire.RefusedCluster, Reason: "another cluster"}
		})
		_, _, err = ta.Call(t.Context(), "b:1", 0, wire.Request{Probe: &wire.Probe{}})
		var r *wire.Refusal
		if !errors.As(err, &r) || r.Code != wire.RefusedCluster || errors.As(err, &own) && own.Refusal == r {
			t.Errorf("refused by the peer: %v", err)
		}
		b.setCheck(nil)

		a.setCheck(func(_ wire.Hello, inbound bool) *wire.Refusal {
			return &wire.Refusal{Code: wire.RefusedIncarnation, Reason: fmt.Sprint(inbound)}
		})
		_, _, err = ta.Call(t.Context(), "b:1", 0, wire.Request{Probe: &wire.Probe{}})
		if !errors.As(err, &own) || own.Refusal.Code != wire.RefusedIncarnation || own.Refusal.Reason != "false" {
			t.Errorf("refused by this node: %v", err)
		}
		a.setCheck(nil)

		if _, _, err = ta.Call(t.Context(), "c:1", 0, wire.Request{}); err == nil || err.Error() != "c:1: connection refused" {
			t.Errorf("nobody there: %v", err)
		}
	})
}

func TestCallThatIsNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		b := &node{id: 2}
		ended := make(chan error, 1)
		b.control = func(ctx context.Context, _ wire.Hello, _ wire.Request) wire.Response {
			<-ctx.Done()
			ended <- ctx.Err()
			return wire.Response{}
		}
		ta, tb := start(t, m.Node("a"), "a:1", &node{id: 1}, nil), start(t, m.Node("b"), "b:1", b, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, _, err := ta.Call(ctx, "b:1", 2, wire.Request{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		<-ended // the asker hung up, and the answerer knows

		m.Partition([]string{"a"})
		begun := time.Now()
		if _, _, err := ta.Call(t.Context(), "b:1", 2, wire.Request{}); err == nil || !strings.Contains(err.Error(), "b:1: no answer within 2s") || time.Since(begun) != 2*time.Second {
			t.Errorf("got %v after %s", err, time.Since(begun))
		}
		m.Heal()

		go func() {
			time.Sleep(time.Second)
			tb.Close()
		}()
		if _, _, err := ta.Call(t.Context(), "b:1", 2, wire.Request{}); err == nil {
			t.Error("an answer from a transport that closed")
		}
		<-ended
		ta.Close()
		if _, _, err := ta.Call(t.Context(), "b:1", 2, wire.Request{}); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		if _, err := ta.OpenSnapshot(t.Context(), 2); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

func TestSnapshotStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, b, ta, tb := pair(t, NewMemory())
		b.snapshot = func(_ context.Context, peer wire.Hello, conn net.Conn) {
			n, _ := io.Copy(io.Discard, io.LimitReader(conn, 1<<20))
			fmt.Fprintf(conn, "%d from %d", n, peer.Self.NodeID)
			io.Copy(io.Discard, conn)
		}
		c, err := ta.OpenSnapshot(t.Context(), 2)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 14)
		if _, err := io.ReadFull(c, answer); err != nil || string(answer) != "1048576 from 1" {
			t.Fatalf("%q, %v", answer, err)
		}
		tb.Close() // ends the handler's read as well
		if _, err := c.Read(answer); err == nil {
			t.Error("the stream outlives the transport")
		}
		if _, err := ta.OpenSnapshot(t.Context(), 3); err == nil || !strings.Contains(err.Error(), "no peer") {
			t.Errorf("got %v", err)
		}
	})
}

func TestSetPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		a, b, ta, tb := pair(t, m)
		time.Sleep(time.Second)

		// b moves to another address, and hears at once.
		tb.Close()
		b2 := &node{id: 2}
		tb = start(t, m.Node("b"), "b:2", b2, nil)
		time.Sleep(time.Minute)
		ta.SetPeers(map[cluster.NodeID]string{2: "b:2"})
		synctest.Wait()
		if s := ta.Peers()[0]; !s.Connected || s.Addr != "b:2" {
			t.Fatalf("not at once: %+v", s)
		}

		// It moves again, though the old address still answers.
		b3 := &node{id: 2}
		tb.SetPeers(nil)
		tb = start(t, m.Node("b"), "b:3", b3, nil)
		ta.SetPeers(map[cluster.NodeID]string{2: "b:3"})
		synctest.Wait()
		ta.Send(2, numbered(1, 1))
		synctest.Wait()
		if !slices.Equal(b3.received(), []uint64{1}) || len(b2.received()) != 0 || len(b.received()) != 0 {
			t.Fatalf("got %v at the new address, %v at the old one", b3.received(), b2.received())
		}
		tb.SetPeers(map[cluster.NodeID]string{1: "a:1"})
		synctest.Wait()

		// a drops b: b's connection ends too, so that b's next greeting tells it why.
		a.setCheck(func(wire.Hello, bool) *wire.Refusal {
			return &wire.Refusal{Code: wire.RefusedRemoved, Reason: "you were removed"}
		})
		ta.SetPeers(nil)
		time.Sleep(time.Second)
		if rs := b3.refusals(); len(rs) != 1 || rs[0].Code != wire.RefusedRemoved {
			t.Errorf("a dropped peer isn't told: %v", rs)
		}
		if len(ta.Peers()) != 0 {
			t.Errorf("%+v", ta.Peers())
		}
		ta.mu.Lock()
		defer ta.mu.Unlock()
		if len(ta.conns) != 0 {
			t.Errorf("%d connections stay", len(ta.conns))
		}
	})
}

// A peer whose messages the node takes no more is cut off, and hears why when it
// dials again.
func TestMessagesNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		a, b, _, tb := pair(t, m)
		time.Sleep(time.Second)
		no := &wire.Refusal{Code: wire.RefusedRolledBack, Reason: "a later run was met"}
		a.mu.Lock()
		a.takesNone = no
		a.mu.Unlock()
		a.setCheck(func(_ wire.Hello, inbound bool) *wire.Refusal {
			if inbound {
				return no
			}
			return nil
		})
		time.Sleep(time.Minute)
		if rs := b.refusals(); len(rs) > 0 {
			t.Fatalf("it said nothing, and was refused: %v", rs)
		}
		tb.Send(1, numbered(1, 1))
		time.Sleep(3 * time.Second)
		if rs := b.refusals(); len(rs) != 1 || rs[0].Code != wire.RefusedRolledBack || len(a.received()) != 0 {
			t.Errorf("refusals %v, taken %v", rs, a.received())
		}
	})
}

// Close returns, and leaves nothing behind, whatever goes on. synctest itself
// fails a bubble in which a goroutine stays.
func TestCloseAtAnyMoment(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, m *Memory, a, b *node, ta, tb *Transport){
		"at once": func(*testing.T, *Memory, *node, *node, *Transport, *Transport) {},
		"connected": func(t *testing.T, m *Memory, a, b *node, ta, tb *Transport) {
			time.Sleep(time.Second)
		},
		"dialling": func(t *testing.T, m *Memory, a, b *node, ta, tb *Transport) {
			m.Partition([]string{"a"})
			time.Sleep(time.Minute + 50*time.Millisecond)
		},
		"in a pause": func(t *testing.T, m *Memory, a, b *node, ta, tb *Transport) {
			tb.Close()
			time.Sleep(time.Minute)
		},
		"writing to a peer that doesn't read": func(t *testing.T, m *Memory, a, b *node, ta, tb *Transport) {
			block := make(chan struct{})
			t.Cleanup(func() { close(block) })
			b.messages = func(wire.Hello, *wire.Batch) { <-block }
			time.Sleep(time.Second)
			for range 100 {
				ta.Send(2, numbered(1, 1<<20))
			}
			time.Sleep(time.Second)
		},
		"greeting": func(t *testing.T, m *Memory, a, b *node, ta, tb *Transport) {
			time.Sleep(time.Second)
			c, err := m.Node("x").Dial(t.Context(), "a:1")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			synctest.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := NewMemory()
				a, b, ta, tb := pair(t, m)
				prepare(t, m, a, b, ta, tb)
				begun := time.Now()
				for range 2 {
					if err := ta.Close(); err != nil {
						t.Error(err)
					}
				}
				if time.Since(begun) != 0 {
					t.Errorf("Close took %s", time.Since(begun))
				}
				ta.Send(2, numbered(1, 1))
				ta.SetPeers(map[cluster.NodeID]string{3: "c:1"})
				l, err := m.Node("a").Listen("a:1")
				if err != nil {
					t.Errorf("the listener is not closed: %v", err)
				} else {
					l.Close()
				}
			})
		})
	}
	t.Run("never started", func(t *testing.T) {
		m := NewMemory()
		tr := prepare(t, m.Node("a"), "a:1", &node{id: 1}, nil)
		tr.SetPeers(map[cluster.NodeID]string{2: "b:1"})
		tr.Close()
		tr.Start()
	})
}

func TestTooManyConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		start(t, m.Node("a"), "a:1", &node{id: 1}, func(c *Config) { c.MaxConns = 3 })
		tb := start(t, m.Node("b"), "b:1", &node{id: 2}, nil)
		var silent []net.Conn
		dial := func() {
			c, err := m.Node("x").Dial(t.Context(), "a:1")
			if err != nil {
				t.Fatal(err)
			}
			silent = append(silent, c)
		}
		for range 3 {
			dial()
		}
		synctest.Wait()
		_, _, err := tb.Call(t.Context(), "a:1", 1, wire.Request{})
		var r *wire.Refusal
		if !errors.As(err, &r) || r.Code != wire.RefusedBusy {
			t.Errorf("got %v", err)
		}
		synctest.Wait()
		for range 4 {
			dial()
		}
		if _, err := silent[6].Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("beyond twice the limit: %v", err)
		}
		begun := time.Now()
		for _, c := range silent[:6] {
			if _, err := c.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("a silent dialler got %v", err)
			}
		}
		if time.Since(begun) != 5*time.Second {
			t.Errorf("silent diallers were borne for %s", time.Since(begun))
		}
		if _, _, err := tb.Call(t.Context(), "a:1", 1, wire.Request{}); err != nil {
			t.Error(err)
		}
		for _, c := range silent {
			c.Close()
		}
	})
}
