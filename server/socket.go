package server

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
)

// listen opens one entrance. The file of a socket that nobody listens on any more,
// as a process that was killed leaves it, is taken over.
func (e entrance) listen() (net.Listener, error) {
	if !e.socket {
		return net.Listen("tcp", e.addr)
	}
	l, err := net.Listen("unix", e.addr)
	if !errors.Is(err, syscall.EADDRINUSE) {
		return l, err
	}
	if c, err := net.Dial("unix", e.addr); err == nil {
		return nil, errors.Join(errors.New("somebody listens there"), c.Close())
	}
	if fi, err := os.Lstat(e.addr); err != nil || fi.Mode()&os.ModeSocket == 0 {
		return nil, errors.New("there is a file of that name, which is no socket")
	}
	if err := os.Remove(e.addr); err != nil {
		return nil, err
	}
	return net.Listen("unix", e.addr)
}

// overSocket is how the client port at an address is reached: at a URL, by a
// function that dials; nil: as ever.
func overSocket(addr string) (url string, dial func(context.Context, string, string) (net.Conn, error)) {
	scheme, file, ok := strings.Cut(addr, "://")
	switch {
	case ok && scheme == "unix":
		url = "http://localhost"
	case ok && scheme == "unixs":
		url = "https://localhost"
	default:
		return "", nil
	}
	return url, func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", file)
	}
}
