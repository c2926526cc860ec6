package transport

import (
	"context"
	"net"
	"time"
)

// Network opens listeners and connections. [TCP] and the nodes of [Memory]
// implement it.
type Network interface {
	Listen(addr string) (net.Listener, error)
	Dial(ctx context.Context, addr string) (net.Conn, error)
}

// TCP is the real network. Go's sockets have TCP_NODELAY set from the start;
// keep-alive probes find a peer that vanished without a word on connections
// that carry no keep-alive frames of their own. The zero value is ready.
type TCP struct{}

func keepAlive() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 3 * time.Second, Count: 3}
}

// Listen implements [Network]. The error names the address.
func (TCP) Listen(addr string) (net.Listener, error) {
	lc := net.ListenConfig{KeepAliveConfig: keepAlive()}
	return lc.Listen(context.Background(), "tcp", addr)
}

// Dial implements [Network]. The error names the address.
func (TCP) Dial(ctx context.Context, addr string) (net.Conn, error) {
	d := net.Dialer{KeepAliveConfig: keepAlive()}
	return d.DialContext(ctx, "tcp", addr)
}
