package transport

import (
	"context"
	"net"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/wire"
)

func TestMessagesOverTCP(t *testing.T) {
	a, b := &node{id: 1}, &node{id: 2}
	all := make(chan struct{})
	var n atomic.Int64
	b.messages = func(_ wire.Hello, batch *wire.Batch) {
		if n.Add(int64(len(batch.Raft))) == 5000 {
			close(all)
		}
	}
	lb, err := TCP{}.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ta := start(t, TCP{}, "127.0.0.1:0", a, nil)
	ta.SetPeers(map[cluster.NodeID]string{2: lb.Addr().String()})
	tb := New(Config{Network: TCP{}, Listener: lb, Handler: b})
	tb.Start()
	for i := range uint64(5000) {
		ta.Send(2, numbered(i+1, 100))
	}
	select {
	case <-all:
	case <-time.After(10 * time.Second):
		t.Fatalf("got %d", n.Load())
	}
	if err := tb.Close(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(b.received(), oneTo(5000)) {
		t.Error("out of order")
	}
	if _, err := net.Dial("tcp", lb.Addr().String()); err == nil {
		t.Error("the port is still open")
	}
}

// BenchmarkMessages: one sender to one receiver over loopback, batches of one
// message with one entry of 256 bytes, at most 4096 under way.
func BenchmarkMessages(b *testing.B) {
	for _, bc := range []struct {
		name  string
		depth int
	}{{"pipelined", 4096}, {"one", 1}} {
		b.Run(bc.name, func(b *testing.B) {
			sender, receiver := &node{id: 1}, &node{id: 2}
			arrived := make(chan int, 1<<16)
			receiver.messages = func(_ wire.Hello, batch *wire.Batch) {
				arrived <- len(batch.Raft)
				batch.Raft = nil
			}
			lb, err := TCP{}.Listen("127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			tb := New(Config{Network: TCP{}, Listener: lb, Handler: receiver})
			tb.Start()
			defer tb.Close()
			ta := start(b, TCP{}, "127.0.0.1:0", sender, nil)
			ta.SetPeers(map[cluster.NodeID]string{2: lb.Addr().String()})
			batch := numbered(1, 256)
			b.ReportAllocs()
			b.SetBytes(256)
			b.ResetTimer()
			sent, got := 0, 0
			for got < b.N {
				for sent < b.N && sent-got < bc.depth {
					ta.Send(2, batch)
					sent++
				}
				got += <-arrived
			}
		})
	}
}

// What two peers exchange is counted at both, and how long an answer takes is told
// to who dials. What a stranger sends isn't counted.
func TestTrafficIsCounted(t *testing.T) {
	lb, err := TCP{}.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	came := make(chan struct{}, 1)
	b := &node{id: 2, messages: func(wire.Hello, *wire.Batch) { came <- struct{}{} }, control: func(context.Context, wire.Hello, wire.Request) wire.Response {
		return wire.Response{Probe: &wire.ProbeReply{}}
	}}
	tb := New(Config{Network: TCP{}, Listener: lb, Handler: b})
	tb.Start()
	defer tb.Close()
	trips := make(chan time.Duration, 10)
	ta := New(Config{Network: TCP{}, Handler: &node{id: 1}, RoundTrip: func(to cluster.NodeID, took time.Duration) {
		if to != 2 {
			t.Errorf("a trip to %s", to)
		}
		trips <- took
	}})
	ta.SetPeers(map[cluster.NodeID]string{2: lb.Addr().String()})
	ta.Start()
	defer ta.Close()
	stranger := New(Config{Network: TCP{}, Handler: &node{id: 3}})
	defer stranger.Close()
	if _, _, err := stranger.Call(t.Context(), lb.Addr().String(), 0, wire.Request{Probe: &wire.Probe{}}); err != nil {
		t.Fatal(err)
	}
	ta.Send(2, numbered(1, 10))
	<-came // a's connection is older than what follows
	tb.SetPeers(map[cluster.NodeID]string{1: "127.0.0.1:1"})
	ta.Send(2, numbered(1, 100_000))
	<-came
	if took := <-trips; took <= 0 || took > time.Minute {
		t.Errorf("a trip of %v", took)
	}
	sent := func() uint64 { return ta.Peers()[0].Sent }
	for end := time.Now().Add(10 * time.Second); sent() < 100_000 && time.Now().Before(end); {
		runtime.Gosched() // what was written is counted after that, and may have come before
	}
	if s := sent(); s < 100_000 || s > 110_000 {
		t.Errorf("%d bytes were sent", s)
	}
	if r := tb.Peers()[0].Received; r < 100_000 || r > 110_000 {
		t.Errorf("%d bytes were received", r)
	}
	if ps := tb.Peers(); len(ps) != 1 || ps[0].Sent > 1000 {
		t.Errorf("%+v", ps)
	}
}

// A node that listens at several addresses is there at each, and at none when it
// is closed.
func TestSeveralListeners(t *testing.T) {
	var ls []net.Listener
	for range 3 {
		l, err := TCP{}.Listen("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ls = append(ls, l)
	}
	n := &node{id: 2, control: func(context.Context, wire.Hello, wire.Request) wire.Response {
		return wire.Response{Probe: &wire.ProbeReply{}}
	}}
	tb := New(Config{Network: TCP{}, Listener: ls[0], More: ls[1:], Handler: n})
	tb.Start()
	ta := New(Config{Network: TCP{}, Handler: &node{id: 1}})
	defer ta.Close()
	ask := func(l net.Listener) error {
		_, _, err := ta.Call(t.Context(), l.Addr().String(), 2, wire.Request{Probe: &wire.Probe{}})
		return err
	}
	for _, l := range ls {
		if err := ask(l); err != nil {
			t.Error(err)
		}
	}
	if err := tb.Close(); err != nil {
		t.Error(err)
	}
	for _, l := range ls {
		if err := ask(l); err == nil {
			t.Errorf("it still answers at %s", l.Addr())
		}
	}
}
