package transport

import (
	"net"
	"sync/atomic"

	"github.com/musterhq/muster/cluster"
)

// conn is a connection that the transport knows of, so that Close finds it.
type conn struct {
	net.Conn
	t       *Transport
	inbound bool
	meter   atomic.Pointer[meter] // of the peer; nil: it is no peer, or none yet
	nth     int                   // accepted connections when this one was, itself included
	from    cluster.NodeID        // who opened this connection for messages or questions; 0: any other connection; guarded by t.mu
}

// Close closes the connection and forgets it. It may be called often.
func (c *conn) Close() error {
	c.t.mu.Lock()
	if _, ok := c.t.conns[c]; ok {
		delete(c.t.conns, c)
		if c.inbound {
			c.t.inbound--
		}
	}
	c.t.mu.Unlock()
	return c.Conn.Close()
}

// track makes raw known, or closes it when the transport is closed already.
func (t *Transport) track(raw net.Conn, inbound bool) (*conn, error) {
	c := &conn{Conn: raw, t: t, inbound: inbound}
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		raw.Close()
		return nil, ErrClosed
	}
	t.conns[c] = struct{}{}
	if inbound {
		t.inbound++
		c.nth = t.inbound
	}
	t.mu.Unlock()
	return c, nil
}
