package server

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// preface is how every HTTP/2 connection begins (RFC 9113 §3.4); no HTTP/1
// request does.
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// sniffTimeout is how long a connection may stay silent before it says which
// protocol it speaks.
const sniffTimeout = 10 * time.Second

// splitter accepts on listeners and deals the connections out to two: those
// that begin with the HTTP/2 preface, and the others. Each connection is
// looked at by a goroutine of its own, so that a silent one holds up nobody; a
// TLS handshake takes place there, too.
type splitter struct {
	under []net.Listener
	notes *complaints
	tally *tally // of gRPC's connections
	http2 *branch
	http1 *branch
	stop  chan struct{}
	once  sync.Once
	err   error          // of the first Close; owned by once
	group sync.WaitGroup // acceptors and sniffers

	webSent atomic.Uint64 // bytes, on connections of HTTP/1

	mu      sync.Mutex
	sniffed map[net.Conn]struct{} // being looked at; closed by Close
}

// split starts accepting on ls, which it owns from now on; at least one.
func split(notes *complaints, t *tally, ls ...net.Listener) *splitter {
	s := &splitter{under: ls, notes: notes, tally: t, stop: make(chan struct{}), sniffed: map[net.Conn]struct{}{}}
	s.http2 = newBranch(ls[0].Addr())
	s.http1 = newBranch(ls[0].Addr())
	for _, l := range ls {
		s.group.Go(func() { s.accept(l) })
	}
	return s
}

// Close stops accepting, closes the connections that have not said anything
// yet, and returns when no goroutine is left. Connections that were dealt out
// are their owner's.
func (s *splitter) Close() error {
	s.once.Do(func() {
		close(s.stop)
		s.err = closeAll(s.under)
		s.mu.Lock()
		for c := range s.sniffed {
			c.Close()
		}
		s.mu.Unlock()
		_ = s.http1.Close()
		_ = s.http2.Close()
	})
	s.group.Wait()
	return s.err
}

func (s *splitter) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			if s.stopped() || errors.Is(err, net.ErrClosed) {
				return
			}
			// Out of file descriptors, as a rule: give some time to end.
			select {
			case <-s.stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		s.group.Go(func() { s.sniff(c) })
	}
}

func (s *splitter) stopped() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

// sniff reads just enough to tell the protocol and hands the connection on.
func (s *splitter) sniff(c net.Conn) {
	s.mu.Lock()
	if s.stopped() { // Close may have been through the list already
		s.mu.Unlock()
		c.Close()
		return
	}
	s.sniffed[c] = struct{}{}
	s.mu.Unlock()
	seen, isHTTP2, err := peek(c)
	s.mu.Lock()
	delete(s.sniffed, c)
	s.mu.Unlock()
	if err != nil || s.stopped() {
		if err != nil && !s.stopped() {
			s.notes.failed(c, err)
		}
		c.Close()
		return
	}
	to, t, sent := s.http1, (*tally)(nil), &s.webSent
	s.notes.began(c, seen)
	if isHTTP2 {
		to, t, sent = s.http2, s.tally, &s.tally.sent
	}
	select {
	case to.conns <- &peekedConn{Conn: c, head: seen, t: t, sent: sent}:
	case <-to.stop:
		c.Close()
	}
}

// peek reads while what comes is a part of the preface. A connection that ends
// early after some bytes is left to HTTP/1 to answer.
func peek(c net.Conn) (seen []byte, isHTTP2 bool, err error) {
	if err := c.SetReadDeadline(time.Now().Add(sniffTimeout)); err != nil {
		return nil, false, err
	}
	buf := make([]byte, 0, len(preface))
	for len(buf) < len(preface) {
		n, err := c.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if string(buf) != preface[:len(buf)] {
			break
		}
		if err == io.EOF && len(buf) > 0 {
			break
		}
		if err != nil {
			return nil, false, err
		}
	}
	return buf, string(buf) == preface, c.SetReadDeadline(time.Time{})
}

// branch is one of the two listeners. Closing it leaves the other open.
type branch struct {
	addr  net.Addr
	conns chan net.Conn
	stop  chan struct{}
	once  sync.Once
}

func newBranch(addr net.Addr) *branch {
	return &branch{addr: addr, conns: make(chan net.Conn), stop: make(chan struct{})}
}

// Accept implements net.Listener.
func (b *branch) Accept() (net.Conn, error) {
	select {
	case c := <-b.conns:
		return c, nil
	case <-b.stop:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (b *branch) Close() error {
	b.once.Do(func() { close(b.stop) })
	return nil
}

// Addr implements net.Listener.
func (b *branch) Addr() net.Addr { return b.addr }

// peekedConn gives back what was read to tell the protocol.
type peekedConn struct {
	net.Conn
	head []byte // read by one goroutine, as every connection is
	t    *tally // nil: what is received is not counted
	sent *atomic.Uint64
}

// Read implements net.Conn.
func (c *peekedConn) Read(b []byte) (int, error) {
	if len(c.head) > 0 {
		n := copy(b, c.head)
		c.head = c.head[n:]
		return n, nil
	}
	n, err := c.Conn.Read(b)
	if c.t != nil {
		c.t.received.Add(uint64(n))
	}
	return n, err
}

// sentAtOnce is how much of an answer over HTTP/1 is written before it is counted, in
// bytes, so that a large one is seen to be on its way. gRPC writes less at a time.
const sentAtOnce = 16 << 10

// Write implements net.Conn.
func (c *peekedConn) Write(b []byte) (n int, err error) {
	for {
		part := b[n:]
		if c.t == nil {
			part = part[:min(len(part), sentAtOnce)]
		}
		k, err := c.Conn.Write(part)
		n += k
		c.sent.Add(uint64(k))
		if err != nil || n == len(b) {
			return n, err
		}
	}
}
