package dns

import (
	"context"
	"net"
)

// resolverUntil is Go's own resolver. Its connections are closed when ctx
// ends: by itself it waits for the answer to a question however that is
// cancelled, and a silent server would keep Find from returning.
func resolverUntil(ctx context.Context) *net.Resolver {
	var d net.Dialer
	return &net.Resolver{
		PreferGo: true,
		Dial: func(dialCtx context.Context, network, addr string) (net.Conn, error) {
			c, err := d.DialContext(dialCtx, network, addr)
			if err != nil {
				return nil, err
			}
			return closedBy(ctx, c), nil
		},
	}
}

// closedBy returns c, which is closed when ctx ends at the latest.
func closedBy(ctx context.Context, c net.Conn) net.Conn {
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	if pc, ok := c.(net.PacketConn); ok {
		// The resolver tells by this interface that messages have no length
		// in front.
		return &boundPacketConn{boundConn{c, stop}, pc}
	}
	return &boundConn{c, stop}
}

// boundConn takes back what would close it when it is closed before.
type boundConn struct {
	net.Conn
	stop func() bool
}

func (c *boundConn) Close() error {
	c.stop()
	return c.Conn.Close()
}

type boundPacketConn struct {
	boundConn
	packet net.PacketConn
}

func (c *boundPacketConn) ReadFrom(b []byte) (int, net.Addr, error) { return c.packet.ReadFrom(b) }

func (c *boundPacketConn) WriteTo(b []byte, to net.Addr) (int, error) { return c.packet.WriteTo(b, to) }
