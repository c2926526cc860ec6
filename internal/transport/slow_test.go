package transport

import (
	"context"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/musterhq/muster/cluster"
)

// slowly is a network on which what the dialler writes takes its time.
type slowly struct {
	Network
	rate int // bytes per second
}

func (s slowly) Dial(ctx context.Context, addr string) (net.Conn, error) {
	c, err := s.Network.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	return &slowConn{c, s.rate}, nil
}

type slowConn struct {
	net.Conn
	rate int
}

func (c *slowConn) Write(b []byte) (n int, err error) {
	for piece := range slices.Chunk(b, 4<<10) {
		time.Sleep(time.Duration(len(piece)) * time.Second / time.Duration(c.rate))
		k, err := c.Conn.Write(piece)
		if n += k; err != nil {
			return n, err
		}
	}
	return n, nil
}

// slow is nodes 1 and 2, where what 1 sends takes its time.
func slow(t *testing.T, rate int) (m *Memory, a, b *node, ta *Transport) {
	m = NewMemory()
	a, b = &node{id: 1}, &node{id: 2}
	ta = start(t, slowly{m.Node("a"), rate}, "a:1", a, nil)
	start(t, m.Node("b"), "b:1", b, nil)
	ta.SetPeers(map[cluster.NodeID]string{2: "b:1"})
	return m, a, b, ta
}

// TestSlowLink: what waits comes through, however long it takes, on the
// connection that there is: many messages that make frames of a megabyte, or one
// that is large by itself.
func TestSlowLink(t *testing.T) {
	for name, x := range map[string]struct{ rate, messages, size int }{
		"backlog":       {100_000, 600, 64 << 10},
		"large message": {1_000_000, 3, 20 << 20},
		"trickle":       {5_000, 2, 1 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, a, b, ta := slow(t, x.rate)
				time.Sleep(time.Second)
				since := ta.Peers()[0].Since
				for i := range x.messages {
					ta.Send(2, numbered(uint64(i+1), x.size))
				}
				time.Sleep(time.Duration(x.messages*x.size/x.rate)*time.Second*11/10 + time.Second)
				if s := ta.Peers()[0]; !s.Connected || !s.Since.Equal(since) || s.Dropped > 0 || len(a.notices()) > 0 {
					t.Errorf("%+v", s)
				}
				if got := b.received(); !slices.Equal(got, oneTo(uint64(x.messages))) {
					t.Errorf("%d came", len(got))
				}
			})
		})
	}
}

// TestLostInTheMidstOfAFrame: who falls silent within a frame is noticed as soon
// as any other, on both sides.
func TestLostInTheMidstOfAFrame(t *testing.T) {
	for name, cut := range map[string]func(m *Memory){
		"both ways":       func(m *Memory) { m.Partition([]string{"a"}, []string{"b"}) },
		"no answers":      func(m *Memory) { m.Block("b", "a") },
		"nothing arrives": func(m *Memory) { m.Block("a", "b") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, _, b, ta := slow(t, 1_000_000)
				time.Sleep(time.Second)
				ta.Send(2, numbered(1, 40<<20))
				time.Sleep(10 * time.Second)
				if !ta.Peers()[0].Connected {
					t.Fatalf("%+v", ta.Peers()[0])
				}
				cut(m)
				time.Sleep(ta.cfg.IdleTimeout + time.Second)
				if s := ta.Peers()[0]; s.Connected || len(b.received()) > 0 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}
