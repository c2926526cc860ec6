package server

import (
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is how long a test waits for what has to happen: the machine may be busy.
const patience = 30 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// listening is a free port.
func listening(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// newSplit is a splitter on a free port.
func newSplit(t *testing.T) (*splitter, func() net.Conn) {
	t.Helper()
	l := listening(t)
	s := split(newComplaints(slog.New(slog.DiscardHandler)), newTally(false), l)
	t.Cleanup(func() { s.Close() })
	return s, func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
}

// accepted says on which branch the next connection comes out, and what it says.
func accepted(t *testing.T, s *splitter, n int) (which, said string) {
	t.Helper()
	type result struct {
		which string
		conn  net.Conn
	}
	got := make(chan result, 2)
	for name, b := range map[string]*branch{"http1": s.http1, "http2": s.http2} {
		go func() {
			if c, err := b.Accept(); err == nil {
				got <- result{name, c}
			}
		}()
	}
	select {
	case r := <-got:
		defer r.conn.Close()
		buf := make([]byte, n)
		if _, err := io.ReadFull(r.conn, buf); err != nil {
			t.Fatalf("read from the accepted connection: %v", err)
		}
		return r.which, string(buf)
	case <-time.After(patience):
		t.Fatal("no connection was accepted")
		return "", ""
	}
}

func TestSplitterTellsTheProtocols(t *testing.T) {
	for name, tt := range map[string]struct{ said, want string }{
		"HTTP/2":                    {preface + "frames", "http2"},
		"HTTP/1":                    {"GET /health HTTP/1.1\r\n\r\n", "http1"},
		"a method like the preface": {"PRIVATE / HTTP/1.1\r\n\r\n", "http1"},
		"almost the preface":        {"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "http1"},
	} {
		t.Run(name, func(t *testing.T) {
			s, dial := newSplit(t)
			io.WriteString(dial(), tt.said)
			if which, said := accepted(t, s, len(tt.said)); which != tt.want || said != tt.said {
				t.Errorf("came out at %s saying %q, want %s saying %q", which, said, tt.want, tt.said)
			}
		})
	}
}

func TestSplitterTakesThePrefaceInPieces(t *testing.T) {
	s, dial := newSplit(t)
	c := dial()
	go func() {
		for _, b := range []byte(preface) {
			c.Write([]byte{b})
		}
	}()
	if which, said := accepted(t, s, len(preface)); which != "http2" || said != preface {
		t.Errorf("came out at %s saying %q", which, said)
	}
}

func TestSilentConnectionsHoldUpNobody(t *testing.T) {
	s, dial := newSplit(t)
	for range 50 {
		dial()
	}
	half := dial()
	io.WriteString(half, preface[:5])
	io.WriteString(dial(), "GET / HTTP/1.1\r\n")
	if which, said := accepted(t, s, 3); which != "http1" || said != "GET" {
		t.Errorf("came out at %s saying %q", which, said)
	}
	closed := make(chan struct{})
	go func() { defer close(closed); s.Close() }()
	select {
	case <-closed:
	case <-time.After(patience):
		t.Fatal("Close waits for silent connections")
	}
	half.SetReadDeadline(time.Now().Add(patience))
	if _, err := half.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("the silent connection was left open: %v", err)
	}
}

// One of the two servers ends before the other while draining.
func TestClosedBranchRefusesAndTheOtherServes(t *testing.T) {
	s, dial := newSplit(t)
	s.http2.Close()
	if _, err := s.http2.Accept(); err == nil {
		t.Error("the closed branch accepts")
	}
	c := dial()
	io.WriteString(c, preface)
	c.SetReadDeadline(time.Now().Add(patience))
	if _, err := c.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("a connection for the closed branch: %v, want it closed", err)
	}
	io.WriteString(dial(), "GET / HTTP/1.1\r\n")
	if which, _ := accepted(t, s, 3); which != "http1" {
		t.Errorf("came out at %s", which)
	}
}
