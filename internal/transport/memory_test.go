package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/nettest"
)

func TestMemoryConnBehavesLikeAConn(t *testing.T) {
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		m := NewMemory()
		c1, c2 := connect(t, m, "a", "b")
		return c1, c2, func() { c1.Close(); c2.Close() }, nil
	})
}

// connect gives both ends of a new connection; from's first.
func connect(t *testing.T, m *Memory, from, to string) (net.Conn, net.Conn) {
	t.Helper()
	l, err := m.Node(to).Listen(to + ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := m.Node(from).Dial(context.Background(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if near.RemoteAddr().String() != l.Addr().String() || near.LocalAddr().String() != far.RemoteAddr().String() {
		t.Fatalf("addresses: %s to %s, and %s to %s", near.LocalAddr(), near.RemoteAddr(), far.LocalAddr(), far.RemoteAddr())
	}
	return near, far
}

func canSay(t *testing.T, from, to net.Conn) bool {
	t.Helper()
	_ = from.SetWriteDeadline(time.Now().Add(time.Second))
	_ = to.SetReadDeadline(time.Now().Add(time.Second))
	if _, err := from.Write([]byte("x")); err != nil {
		return false
	}
	_, err := io.ReadFull(to, make([]byte, 1))
	return err == nil
}

func TestMemoryPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		a, b := connect(t, m, "a", "b")
		quietA, quietB := connect(t, m, "a", "b")
		c, d := connect(t, m, "c", "d")
		m.Partition([]string{"a"}, []string{"b"})
		if canSay(t, a, b) || canSay(t, b, a) {
			t.Fatal("bytes cross the partition")
		}
		if !canSay(t, c, d) {
			t.Fatal("hosts that are not listed don't reach each other")
		}
		_ = a.SetWriteDeadline(time.Now().Add(time.Second))
		if n, err := a.Write(make([]byte, 2*memWindow)); !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 || n > memWindow {
			t.Fatalf("a full window: %d bytes, %v", n, err)
		}
		l, err := m.Node("b").Listen(":7")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := m.Node("a").Dial(short, "b:7"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("a dial into the partition: %v", err)
		}
		go func() {
			time.Sleep(time.Minute)
			m.Heal()
		}()
		begun := time.Now()
		late, err := m.Node("a").Dial(t.Context(), "b:7")
		if err != nil || time.Since(begun) != time.Minute {
			t.Fatalf("a dial during the partition: %v after %s", err, time.Since(begun))
		}
		late.Close()
		_ = b.SetReadDeadline(time.Time{})
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Fatalf("a connection with a hole lives on: %v", err)
		}
		if !canSay(t, quietA, quietB) || !canSay(t, quietB, quietA) {
			t.Fatal("a connection that lost nothing was reset")
		}
	})
}

func TestMemoryBlockIsOneWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		a, b := connect(t, m, "a", "b")
		m.Block("a", "b")
		if canSay(t, a, b) || !canSay(t, b, a) {
			t.Fatal("the wrong way is blocked")
		}
		a.Close() // b can't know
		_ = b.SetReadDeadline(time.Now().Add(time.Hour))
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("the end of the stream crossed the block: %v", err)
		}
		m.Heal()
		_ = b.SetReadDeadline(time.Now().Add(time.Hour))
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Fatalf("after healing: %v", err)
		}
	})
}

func TestMemoryCutAndDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		a, _ := connect(t, m, "a", "b")
		c, d := connect(t, m, "c", "d")
		m.Cut("b", "a")
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Fatalf("cut: %v", err)
		}
		l, err := m.Node("d").Listen("d:9")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if _, err := m.Node("d").Listen("d:9"); !errors.Is(err, syscall.EADDRINUSE) {
			t.Fatalf("the same address twice: %v", err)
		}
		if !canSay(t, c, d) {
			t.Fatal("the cut took another connection")
		}
		m.Down("d")
		if canSay(t, c, d) {
			t.Fatal("the host is down")
		}
		if _, err := m.Node("c").Dial(t.Context(), "d:9"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("dial to a host that is down: %v", err)
		}
		if _, err := m.Node("d").Dial(t.Context(), "c:9"); err == nil {
			t.Fatal("a host that is down dials")
		}
		m.Up("d")
		again, err := m.Node("c").Dial(t.Context(), "d:9")
		if err != nil {
			t.Fatal(err)
		}
		again.Close()
		if _, err := m.Node("c").Dial(t.Context(), "c:1"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("nobody listens there: %v", err)
		}
	})
}
