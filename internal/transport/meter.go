package transport

import (
	"sync/atomic"

	"github.com/musterhq/muster/cluster"
)

// meter counts the bytes that a node and one of its peers exchange, on all their
// connections, after the greeting; without what TLS adds.
type meter struct{ sent, received atomic.Uint64 }

// meterOf is that of a peer; nil: it is none.
func (t *Transport) meterOf(id cluster.NodeID) *meter {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.peers[id]; p != nil {
		return &p.meter
	}
	return nil
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if m := c.meter.Load(); m != nil {
		m.received.Add(uint64(n))
	}
	return n, err
}

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if m := c.meter.Load(); m != nil {
		m.sent.Add(uint64(n))
	}
	return n, err
}
