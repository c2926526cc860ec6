package server

import (
	"context"
	"sync/atomic"
	"time"
)

// quiet is how long nothing of what is in flight may move before it is cut off
// when the server stops: it is what a stop waits for on account of clients that
// keep a stream open, or don't take their answers.
const quiet = 300 * time.Millisecond

// drain takes no new requests, waits for those in flight until ctx ends, and
// closes the port. HTTP ends first, since its requests become gRPC's.
func (s *Server) drain(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.health.Shutdown()
	s.stopRequests()
	if s.gateway != nil {
		s.gateway.takeNoMore()
	}
	s.api.EndStreams()
	s.locks.Close()
	web, rpc := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(web)
		if err := s.http.Shutdown(ctx); err != nil {
			s.log.Debug("HTTP requests were cut off", "err", err)
		}
		if s.gateway != nil {
			s.gateway.wait()
		}
	}()
	settle(ctx, web, func() (uint64, bool) {
		return s.port.webSent.Load(), s.inner.calls.Load() > 0 || s.changes.Load() > 0
	})
	s.closeWeb()
	go func() {
		defer close(rpc)
		s.grpc.GracefulStop()
	}()
	settle(ctx, rpc, func() (uint64, bool) { return s.tally.sent.Load(), s.tally.rpc.working() })
	cancel()
	s.closePort()
	<-web
	<-rpc
}

// settle returns when what is in flight has ended, or ctx has, or nothing of it
// moves any more: no bytes are sent, and no requests, other than streams, are
// carried out.
func settle(ctx context.Context, ended <-chan struct{}, state func() (sent uint64, working bool)) {
	tick := time.NewTicker(quiet / 10)
	defer tick.Stop()
	last, since := uint64(0), time.Now()
	for {
		sent, working := state()
		if working || sent != last {
			last, since = sent, time.Now()
		}
		if time.Since(since) >= quiet {
			return
		}
		select {
		case <-ended:
			return
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// closeWeb stops serving HTTP at once. It is idempotent.
func (s *Server) closeWeb() {
	_ = s.http.Close() // nothing is lost with it
	if s.gateway != nil {
		s.gateway.cut()
	}
}

// working says whether calls other than streams are being carried out.
func (m *rpcMetrics) working() bool {
	for _, c := range m.methods {
		if c.labels[0] != "unary" {
			continue
		}
		ended := uint64(0) // read first: a call that begins meanwhile counts
		for code := range c.handled {
			ended += c.handled[code].Load()
		}
		if c.started.Load() > ended {
			return true
		}
	}
	return false
}

// counting counts what is under way in n.
func counting(n *atomic.Int64) (done func()) {
	n.Add(1)
	return func() { n.Add(-1) }
}
