package transport

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/musterhq/muster/internal/wire"
)

// Whoever answers but is no muster peer is named as well as can be.
func TestDiallingStrangers(t *testing.T) {
	within := func(d time.Duration) *Transport {
		return start(t, TCP{}, "127.0.0.1:0", &node{id: 1}, func(c *Config) { c.DialTimeout = d })
	}
	// Two seconds for those that say nothing; whoever says something may be slow to.
	hasty, patient := within(2*time.Second), within(time.Minute)
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	tls := httptest.NewTLSServer(http.NotFoundHandler())
	tls.Config.ErrorLog = nil
	defer tls.Close()
	rpc := grpc.NewServer()
	defer rpc.Stop()
	rpcAddr := serve(t, func(l net.Listener) { _ = rpc.Serve(l) })
	banner := func(text string) string {
		return serveEach(t, func(c net.Conn) {
			io.WriteString(c, text)
			c.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, c)
			c.Close()
		})
	}
	var asked sync.WaitGroup
	for _, tc := range []struct {
		addr, want string
		foreign    bool
	}{
		{web.Listener.Addr().String(), "no greeting within 2s", false}, // it waits for the end of a header
		{banner("HTTP/1.1 400 Bad Request\r\n\r\n"), "HTTP", true},
		{rpcAddr, "gRPC", true},
		{banner("SSH-2.0-OpenSSH_9.6\r\n"), "SSH", true},
		{banner("220 mail.example ESMTP\r\n"), `"220 mail`, true},
		{banner("hi"), `"hi"`, true},
		{banner(""), "hung up without a greeting", false},
		{serveEach(t, func(c net.Conn) { io.Copy(io.Discard, c); c.Close() }), "no greeting within 2s", false},
		{serveEach(t, func(c net.Conn) { c.Read(make([]byte, 1)); c.(*net.TCPConn).SetLinger(0); c.Close() }), "hung up without a greeting", false},
	} {
		asked.Go(func() {
			tr := patient
			if strings.Contains(tc.want, "within 2s") {
				tr = hasty
			}
			_, _, err := tr.Call(t.Context(), tc.addr, 0, wire.Request{Probe: &wire.Probe{}})
			if err == nil || !strings.Contains(err.Error(), tc.want) || errors.Is(err, ErrNotMuster) != tc.foreign || !strings.Contains(err.Error(), tc.addr) {
				t.Errorf("want %q, got %v", tc.want, err)
			}
		})
	}
	asked.Wait()
}

func serve(t *testing.T, f func(net.Listener)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(l)
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

func serveEach(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	return serve(t, func(l net.Listener) {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f(c)
		}
	})
}

func TestStrangersWhoDial(t *testing.T) {
	l, err := TCP{}.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tr := New(Config{Network: TCP{}, Listener: l, Handler: &node{id: 1}})
	tr.Start()
	defer tr.Close()
	addr := l.Addr().String()

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + addr + "/health")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), "peer port of a muster node") {
		t.Errorf("%s: %s", resp.Status, body)
	}

	for _, text := range []string{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", strings.Repeat("x", 100_000)} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		go io.WriteString(c, text+strings.Repeat("\x00", 10))
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := bufio.NewReader(c).ReadString(0); err == nil || isTimeout(err) {
			t.Errorf("%.10q: %v", text, err)
		}
		c.Close()
	}

	// A peer with a purpose of a version to come.
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := wire.WriteJSON(c, wire.KindHello, wire.Hello{Protocol: wire.Protocol, Purpose: "gossip"}); err != nil {
		t.Fatal(err)
	}
	_, err = wire.ReadOpening(c)
	var r *wire.Refusal
	if !errors.As(err, &r) || r.Code != wire.RefusedMalformed {
		t.Errorf("got %v", err)
	}
}
