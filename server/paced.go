package server

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

const (
	// bodyGrace is how long the body of a request may take, beside the time that a
	// slow network takes for what has come of it. A byte now and then holds nobody's
	// connection open.
	bodyGrace = 20 * time.Second
	// bodyPace is how fast a slow network is, in bytes per second.
	bodyPace = 4 << 10
)

// paced has the bodies of requests come at some pace. Those of streams of requests
// last as long as their clients want.
type paced struct {
	next  http.Handler
	grace time.Duration
	pace  int64 // bytes per second
}

// ServeHTTP implements http.Handler.
func (p *paced) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Body == nil || r.Body == http.NoBody {
		p.next.ServeHTTP(w, r)
		return
	}
	b := &pacedBody{ReadCloser: r.Body, of: p, conn: http.NewResponseController(w)}
	if ofRequests[r.URL.Path] {
		defer func() { b.begin() }() // package http reads a little of what is left of it
		p.next.ServeHTTP(w, r)
		return
	}
	b.begin()
	r = r.WithContext(r.Context()) // package http goes by what the body is in its own
	r.Body = b
	p.next.ServeHTTP(w, r)
}

// pacedBody is read by one goroutine at a time.
type pacedBody struct {
	io.ReadCloser
	of    *paced
	conn  *http.ResponseController
	began time.Time
	read  int64 // bytes
}

func (b *pacedBody) begin() {
	b.began = time.Now()
	b.setDeadline()
}

func (b *pacedBody) setDeadline() {
	slow := time.Duration(float64(b.read) / float64(b.of.pace) * float64(time.Second))
	_ = b.conn.SetReadDeadline(b.began.Add(b.of.grace + slow)) // it fails on connections that have ended
}

// Read implements io.Reader.
func (b *pacedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	switch {
	case err == io.EOF:
		// Package http has taken the deadline away, and reads on to see the client go.
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = fmt.Errorf("the request comes too slowly: %d bytes of its body in %v", b.read, time.Since(b.began).Round(time.Second))
	default:
		b.setDeadline()
	}
	return n, err
}
