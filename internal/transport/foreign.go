package transport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/musterhq/muster/internal/wire"
)

// ErrNotMuster says that whoever is at the other end speaks something else.
var ErrNotMuster = errors.New("not a muster peer")

// sniffer remembers the first bytes read, to tell what a stranger speaks.
type sniffer struct {
	r    io.Reader
	head [16]byte
	n    int
}

func (s *sniffer) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.n += copy(s.head[s.n:], p[:n])
	return n, err
}

// explain turns the failure of reading the peer's first frame into one that
// says who is probably there.
func (s *sniffer) explain(err error) error {
	switch {
	case errors.Is(err, wire.ErrCorruptFrame):
		kind := speaks(s.head[:s.n])
		if kind == "TLS" {
			return ownTrouble(wire.RefusedTLSExpected, "whoever is there speaks TLS, and this node plain text")
		}
		if kind != "" {
			return fmt.Errorf("%w: it speaks %s", ErrNotMuster, kind)
		}
		return fmt.Errorf("%w: it answers with %q", ErrNotMuster, s.head[:s.n])
	case hungUp(err) && s.n > 0:
		return fmt.Errorf("%w: it sent %q and hung up", ErrNotMuster, s.head[:s.n])
	case hungUp(err):
		return errors.New("it hung up without a greeting: it is starting, stopping or no muster peer")
	}
	return err
}

func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// speaks names well-known protocols by their first bytes; "" when unknown.
func speaks(head []byte) string {
	for _, prefix := range []string{"GET ", "POST ", "HEAD ", "PUT ", "OPTIONS ", "HTTP/"} {
		if bytes.HasPrefix(head, []byte(prefix)) {
			return "HTTP"
		}
	}
	switch {
	case bytes.HasPrefix(head, []byte("PRI * HTTP/2.0")), len(head) > 4 && head[0] == 0 && head[1] == 0 && head[3] == 4 && head[4] <= 1:
		return "HTTP/2 or gRPC (is this a client port?)"
	case len(head) > 2 && head[0] == 0x15 && head[1] == 3, len(head) > 2 && head[0] == 0x16 && head[1] == 3:
		return "TLS"
	case bytes.HasPrefix(head, []byte("SSH-")):
		return "SSH"
	}
	return ""
}

// turnAway answers somebody who speaks HTTP to the peer port in words that a
// person with curl can read, and hangs up.
func (s *sniffer) turnAway(c net.Conn) {
	switch speaks(s.head[:s.n]) {
	case "HTTP":
	case "TLS":
		// No record of TLS: the other side sees that it has to do with plain text.
		_ = c.SetDeadline(time.Now().Add(500 * time.Millisecond))
		_ = wire.WriteOpening(c, wire.Hello{}, &wire.Refusal{Code: wire.RefusedTLSExpected, Reason: "this node speaks plain text"})
		closeGently(c)
		return
	default:
		return
	}
	const text = "This is the peer port of a muster node: only muster nodes speak here. Clients use the client port.\n"
	_ = c.SetDeadline(time.Now().Add(500 * time.Millisecond))
	fmt.Fprintf(c, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
	closeGently(c)
}

// closeGently ends a connection that has been written to. Unread bytes at Close
// would make TCP reset it, and the answer might be lost with that.
func closeGently(c net.Conn) {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_, _ = io.CopyN(io.Discard, c, 64<<10)
}
