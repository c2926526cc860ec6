package transport

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/wire"
)

// accept takes connections until the listener is closed.
func (t *Transport) accept(l net.Listener) {
	wait := 5 * time.Millisecond
	for {
		raw, err := l.Accept()
		if err != nil {
			if t.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			// Out of file descriptors, most likely: it may pass.
			t.cfg.Logger.Warn("accepting peer connections fails", "err", err)
			if !pause(t.ctx, wait) {
				return
			}
			wait = min(2*wait, time.Second)
			continue
		}
		wait = 5 * time.Millisecond
		c, err := t.track(raw, true)
		if err != nil {
			return
		}
		if c.nth > 2*t.cfg.MaxConns {
			c.Close() // not even listened to
			continue
		}
		t.mu.Lock()
		if t.closed {
			t.mu.Unlock()
			c.Close()
			return
		}
		t.goLocked(func() { t.serve(c) })
		t.mu.Unlock()
	}
}

// serve handles one accepted connection to its end.
func (t *Transport) serve(c *conn) {
	defer c.Close()
	peer, err := t.welcome(c)
	if err == nil {
		switch peer.Purpose {
		case wire.ForControl:
			err = t.serveControl(c, peer)
		case wire.ForMessages:
			t.heard(peer.Self.NodeID)
			err = t.serveMessages(c, peer)
		case wire.ForSnapshot:
			t.cfg.Handler.Snapshot(t.ctx, peer, c)
		case wire.ForQuestions:
			err = t.serveQuestions(c, peer)
		}
	}
	switch {
	case t.turned(c.RemoteAddr().String(), true, err):
	case err == nil || t.ctx.Err() != nil || errors.Is(err, net.ErrClosed):
	case errors.Is(err, ErrNotMuster):
		t.cfg.Logger.Warn("somebody who is no muster peer connected to the peer port", "addr", c.RemoteAddr().String(), "err", err)
	default:
		t.cfg.Logger.Debug("peer connection ended", "addr", c.RemoteAddr().String(), "peer", peer.Self.NodeID.String(), "err", err)
	}
}

// turned tells of a connection that failed because of TLS, if it was that.
func (t *Transport) turned(addr string, inbound bool, err error) bool {
	r, ok := errors.AsType[*wire.Refusal](err)
	if !ok || !r.Code.TLS() {
		return false
	}
	_, own := errors.AsType[*OwnRefusal](err)
	t.cfg.Logger.Debug("no TLS connection", "addr", addr, "code", string(r.Code), "err", r.Reason)
	if t.cfg.Turned != nil {
		t.cfg.Turned(Turned{addr, inbound, !own, r})
	}
	return true
}

// welcome reads the dialler's Hello and answers it, all within
// HandshakeTimeout. With an error nothing more is to be done.
func (t *Transport) welcome(c *conn) (wire.Hello, error) {
	if err := c.SetDeadline(time.Now().Add(t.cfg.HandshakeTimeout)); err != nil {
		return wire.Hello{}, err
	}
	s := &sniffer{r: c}
	var peer wire.Hello
	if err := wire.ReadJSON(s, wire.KindHello, &peer); err != nil {
		s.turnAway(c)
		return wire.Hello{}, s.explain(err)
	}
	own := t.cfg.Handler.Hello()
	refusal := t.judge(c, peer)
	if refusal != nil && refusal.From.NodeID == 0 {
		refusal.From, refusal.Member = own.Self, own.ClusterID
	}
	if err := wire.WriteOpening(c, own, refusal); err != nil {
		return peer, fmt.Errorf("answer the greeting: %w", err)
	}
	if refusal != nil {
		return peer, refusal
	}
	return peer, nil
}

func (t *Transport) judge(c *conn, peer wire.Hello) *wire.Refusal {
	if c.nth > t.cfg.MaxConns {
		return &wire.Refusal{Code: wire.RefusedBusy, Reason: fmt.Sprintf("more than %d connections are open already", t.cfg.MaxConns)}
	}
	switch peer.Purpose {
	case wire.ForControl, wire.ForSnapshot:
	case wire.ForMessages, wire.ForQuestions:
		// Before Check, so that whoever leaves the set of peers afterwards is
		// found by SetPeers.
		t.mu.Lock()
		c.from = peer.Self.NodeID
		t.mu.Unlock()
	default:
		return &wire.Refusal{Code: wire.RefusedMalformed, Reason: fmt.Sprintf("unknown purpose %q", peer.Purpose)}
	}
	if r := t.cfg.Handler.Check(peer, true); r != nil {
		own := *r
		return &own
	}
	c.meter.Store(t.meterOf(peer.Self.NodeID))
	return nil
}

// heard makes the sender for a peer that has just shown to be alive try again now.
func (t *Transport) heard(id cluster.NodeID) {
	t.mu.Lock()
	p := t.peers[id]
	t.mu.Unlock()
	if p != nil {
		signal(p.kick)
	}
}

// hears notes that something came from a peer.
func (t *Transport) hears(id cluster.NodeID, now time.Time) {
	t.mu.Lock()
	p := t.peers[id]
	t.mu.Unlock()
	if p != nil {
		p.mu.Lock()
		p.heard = now
		p.mu.Unlock()
	}
}

// serveControl answers one request. The deadline set by welcome still holds
// for reading it.
func (t *Transport) serveControl(c *conn, peer wire.Hello) error {
	var req wire.Request
	if err := wire.ReadJSON(c, wire.KindRequest, &req); err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(t.ctx)
	defer cancel()
	gone := make(chan struct{})
	go func() { // ends when the peer hangs up, or at the deadline set below
		defer close(gone)
		if _, err := c.Read(make([]byte, 1)); err == nil || !isTimeout(err) {
			cancel()
		}
	}()
	resp := t.cfg.Handler.Control(ctx, peer, req)
	_ = c.SetReadDeadline(time.Unix(1, 0))
	<-gone
	if ctx.Err() != nil {
		return io.EOF
	}
	if err := c.SetWriteDeadline(time.Now().Add(t.cfg.WriteTimeout)); err != nil {
		return err
	}
	if err := wire.WriteJSON(c, wire.KindResponse, resp); err != nil {
		return fmt.Errorf("write response: %w", err)
	}
	return nil
}

// serveMessages hands over batches until the connection ends.
func (t *Transport) serveMessages(c *conn, peer wire.Hello) error {
	from := &progress{conn: c, peer: peer.Self.NodeID, out: framer{write: t.writer(c)}}
	in := frameReader{r: bufio.NewReaderSize(from, 64<<10)}
	for {
		payload, err := in.next(wire.MaxFrame)
		if err != nil {
			return fmt.Errorf("read messages: %w", err)
		}
		if len(payload) == 0 {
			continue
		}
		b, err := wire.DecodeBatch(payload)
		if err != nil {
			return fmt.Errorf("read messages: %w", err)
		}
		if err := t.cfg.Handler.Messages(peer, b); err != nil {
			return fmt.Errorf("take messages: %w", err)
		}
	}
}

// writer writes keep-alive frames, each within WriteTimeout.
func (t *Transport) writer(c *conn) func([]byte) error {
	return func(frame []byte) error {
		if err := c.SetWriteDeadline(time.Now().Add(t.cfg.WriteTimeout)); err != nil {
			return err
		}
		_, err := c.Write(frame)
		return err
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
