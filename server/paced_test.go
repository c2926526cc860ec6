package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// posting begins a request to a path; its body is what is written to the connection.
func posting(t *testing.T, addr, path string, length int) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", path, length); err != nil {
		t.Fatal(err)
	}
	return c
}

// answerOn is what comes on a connection: an answer, and then its end.
func answerOn(t *testing.T, c net.Conn) (code int, body string, closed bool) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(c)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b), resp.Close
}

func TestBodiesArePaced(t *testing.T) {
	const grace = 200 * time.Millisecond
	handlers := http.NewServeMux()
	read := func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		select { // a while after it, too, the client is known to be there
		case <-time.After(3 * grace):
			fmt.Fprint(w, len(b))
		case <-r.Context().Done():
			http.Error(w, "taken for gone", http.StatusTeapot)
		}
	}
	handlers.HandleFunc("/read", read)
	handlers.HandleFunc("/v3/watch", read)
	handlers.HandleFunc("/unread", func(http.ResponseWriter, *http.Request) {})
	handlers.HandleFunc("/v3/lease/keepalive", func(http.ResponseWriter, *http.Request) {})
	s := http.Server{Handler: &paced{next: handlers, grace: grace, pace: 1000}}
	l := listening(t)
	ended := make(chan error)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() { s.Close(); <-ended })
	addr := l.Addr().String()

	// trickle sends a byte now and then for as long as it is heard.
	trickle := func(c net.Conn) {
		for {
			if _, err := c.Write([]byte("x")); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	for path, want := range map[string]int{"/read": 400, "/unread": 200, "/v3/lease/keepalive": 200} {
		c := posting(t, addr, path, 100_000)
		go trickle(c)
		code, body, closed := answerOn(t, c)
		if code != want || code == 400 && !strings.Contains(body, "too slowly") || !closed {
			t.Errorf("%s: %d %s, then closed: %v", path, code, body, closed)
		}
	}
	// What is read after a body is no part of it.
	c := posting(t, addr, "/read", 2)
	if _, err := c.Write([]byte("xx")); err != nil {
		t.Fatal(err)
	}
	if code, body, _ := answerOn(t, c); code != 200 || body != "2" {
		t.Errorf("answered late: %d %s", code, body)
	}
	// A body may be large, and the network slow.
	c = posting(t, addr, "/read", 2000)
	for range 10 { // 500 ms
		if _, err := c.Write(make([]byte, 200)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	if code, body, _ := answerOn(t, c); code != 200 || body != "2000" {
		t.Errorf("slow, and large: %d %s", code, body)
	}
	// A stream of requests may pause.
	c = posting(t, addr, "/v3/watch", 2)
	for range 2 {
		time.Sleep(2 * grace)
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if code, body, _ := answerOn(t, c); code != 200 || body != "2" {
		t.Errorf("a stream: %d %s", code, body)
	}
}

// Whatever is served over HTTP is paced.
func TestAllOfHTTPIsPaced(t *testing.T) {
	s, _ := single(t, nil)
	for _, h := range []http.Handler{s.http.Handler, s.probing.Handler} {
		if p, ok := h.(*paced); !ok || p.grace != bodyGrace || p.pace != bodyPace {
			t.Errorf("%T", h)
		}
	}
}
