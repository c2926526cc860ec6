package main

import (
	"context"
	"fmt"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/transport"
	"github.com/musterhq/muster/internal/wire"
	"github.com/musterhq/muster/mustertest"
)

// firewall refuses connections that one member opens to another; the other
// direction is not touched.
type firewall struct {
	mu     sync.Mutex
	closed map[[2]string]bool // from a name, to an address
	rate   map[[2]string]int  // bytes a second that get through; 0: any
}

func newFirewall() *firewall {
	return &firewall{closed: map[[2]string]bool{}, rate: map[[2]string]int{}}
}

// config puts the firewall in front of a member.
func (f *firewall) config(name string, c *muster.Config) {
	c.Network = &walled{Network: c.Network, f: f, from: name}
}

// close also breaks the connection that is there.
func (f *firewall) close(c *mustertest.Cluster, from, to string) {
	f.mu.Lock()
	f.closed[[2]string{from, mustertest.Addr(to)}] = true
	f.mu.Unlock()
	c.Cut(from, to)
}

func (f *firewall) slow(from, to string, bytesPerSecond int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rate[[2]string{from, mustertest.Addr(to)}] = bytesPerSecond
}

type walled struct {
	muster.Network
	f    *firewall
	from string
}

func (w *walled) Dial(ctx context.Context, addr string) (net.Conn, error) {
	key := [2]string{w.from, addr}
	w.f.mu.Lock()
	closed, rate := w.f.closed[key], w.f.rate[key]
	w.f.mu.Unlock()
	if closed {
		return nil, &net.OpError{Op: "dial", Net: "memory", Err: syscall.EHOSTUNREACH}
	}
	c, err := w.Network.Dial(ctx, addr)
	if err != nil || rate == 0 {
		return c, err
	}
	return &slowConn{c, rate}, nil
}

// slowConn takes bytes at a limited rate.
type slowConn struct {
	net.Conn
	rate int
}

func (c *slowConn) Write(b []byte) (int, error) {
	time.Sleep(time.Duration(len(b)) * time.Second / time.Duration(c.rate))
	return c.Conn.Write(b)
}

// stranger speaks the peers' protocol, but is no node.
type stranger struct {
	self    wire.Identity
	hello   func(*wire.Hello)              // may change it
	refuses func(wire.Hello) *wire.Refusal // nil: lets all in
	tr      *transport.Transport
}

// newStranger is at the address of a name. Its Hello is a blank node's with
// the founders' seeds, until hello changes it.
func newStranger(t *testing.T, c *mustertest.Cluster, name string, hello func(*wire.Hello)) *stranger {
	t.Helper()
	inc := cluster.Incarnation{0: 1}
	copy(inc[1:], name)
	s := &stranger{
		self:  wire.Identity{Incarnation: inc, NodeID: inc.NodeID(), Name: name, PeerAddr: mustertest.Addr(name)},
		hello: hello,
	}
	network := c.Config(name).Network
	l, err := network.Listen(s.self.PeerAddr)
	if err != nil {
		t.Fatal(err)
	}
	s.tr = transport.New(transport.Config{Network: network, Listener: l, Handler: s})
	s.tr.Start()
	t.Cleanup(func() { s.tr.Close() })
	return s
}

func (s *stranger) Hello() wire.Hello {
	h := wire.Hello{Protocol: wire.Protocol, Cluster: "muster", Self: s.self, Stage: wire.Blank, Epoch: 1, Boots: []string{"b"}}
	if s.hello != nil {
		s.hello(&h)
	}
	return h
}

func (s *stranger) Check(h wire.Hello, _ bool) *wire.Refusal {
	if s.refuses != nil {
		return s.refuses(h)
	}
	return nil
}

func (s *stranger) Control(_ context.Context, _ wire.Hello, req wire.Request) wire.Response {
	if req.Probe != nil {
		return wire.Response{Probe: &wire.ProbeReply{}}
	}
	return wire.Response{Nack: &wire.Nack{Code: "stranger", Reason: "this is no node"}}
}

func (s *stranger) Question(context.Context, wire.Hello, []byte) wire.Answer {
	return wire.Answer{Verdict: wire.Declined}
}

func (s *stranger) Messages(wire.Hello, *wire.Batch) error              { return nil }
func (s *stranger) Snapshot(context.Context, wire.Hello, net.Conn)      {}
func (s *stranger) Unreachable(cluster.NodeID)                          {}
func (s *stranger) Refused(_ cluster.NodeID, _ string, _ *wire.Refusal) {}

// crowd is a cluster that lets in as many as it does at a time, none of which
// shows up yet, while j1 to j4 ask one after another.
func crowd(t *testing.T) *mustertest.Cluster {
	t.Helper()
	c := led(t, mustertest.Options{Config: func(_ string, c *muster.Config) { c.ElectionTimeout = 2 * time.Second }})
	for i := range 8 {
		s := newStranger(t, c, fmt.Sprintf("s%d", i), nil)
		c.Until(t.Context(), s.self.Name+" is let in", func() bool {
			join := wire.Request{Join: &wire.Join{Self: s.self, Cluster: "muster"}}
			resp, _, err := s.tr.Call(t.Context(), mustertest.Addr("n1"), 0, join)
			return err == nil && resp.Join != nil && resp.Join.Status == wire.JoinDone
		})
	}
	for i := range 4 {
		c.Start(fmt.Sprintf("j%d", i+1))
		time.Sleep(600 * time.Millisecond) // of ten seconds that the others have
	}
	return c
}
