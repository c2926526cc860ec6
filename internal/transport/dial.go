package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/wire"
)

// OwnRefusal says that this node, and not the peer, refused a connection that
// it had dialled. It wraps the *[wire.Refusal].
type OwnRefusal struct {
	Refusal *wire.Refusal
}

// Error implements error.
func (e *OwnRefusal) Error() string {
	return fmt.Sprintf("this node refused the peer (%s): %s", e.Refusal.Code, e.Refusal.Reason)
}

// Unwrap gives the *wire.Refusal.
func (e *OwnRefusal) Unwrap() error { return e.Refusal }

// connect dials addr, greets and judges the answer. With an [OwnRefusal] the
// peer's Hello comes back too. It takes at most DialTimeout.
func (t *Transport) connect(ctx context.Context, addr string, purpose wire.Purpose, to cluster.NodeID) (*conn, wire.Hello, error) {
	short, cancel := context.WithTimeout(ctx, t.cfg.DialTimeout)
	defer cancel()
	raw, err := t.cfg.Network.Dial(short, addr)
	if err != nil {
		t.turned(addr, false, err)
		return nil, wire.Hello{}, t.why(ctx, short, addr, err)
	}
	c, err := t.track(raw, false)
	if err != nil {
		return nil, wire.Hello{}, err
	}
	stop := context.AfterFunc(short, func() { c.Close() })
	peer, err := t.greet(c, purpose, to)
	if !stop() && err == nil {
		err = short.Err()
	}
	if err != nil {
		t.turned(addr, false, err)
		c.Close()
		if errors.Is(short.Err(), context.DeadlineExceeded) && ctx.Err() == nil {
			return nil, peer, fmt.Errorf("%s: connected, but no greeting within %s: it is overloaded or no muster peer: %w",
				addr, t.cfg.DialTimeout, short.Err())
		}
		return nil, peer, t.why(ctx, short, addr, err)
	}
	return c, peer, nil
}

func (t *Transport) greet(c *conn, purpose wire.Purpose, to cluster.NodeID) (wire.Hello, error) {
	own := t.cfg.Handler.Hello()
	own.Purpose, own.To = purpose, to
	begun := time.Now()
	s := &sniffer{r: c}
	var peer wire.Hello
	err := wire.WriteJSON(c, wire.KindHello, own)
	if err == nil || hungUp(err) {
		// Who turned this node away for its certificate has said so before it hung up.
		var said error
		if peer, said = wire.ReadOpening(s); err == nil || errors.As(said, new(*wire.Refusal)) {
			err = said
		}
	}
	took := time.Since(begun)
	if err != nil {
		return wire.Hello{}, s.explain(err)
	}
	if to != 0 && peer.Self.NodeID != to {
		return peer, &OwnRefusal{&wire.Refusal{
			Code:   wire.RefusedNotMe,
			Reason: fmt.Sprintf("member %s was expected there, but %s answers", to, peer.Self.NodeID),
			From:   own.Self, Member: own.ClusterID,
		}}
	}
	if r := t.cfg.Handler.Check(peer, false); r != nil {
		return peer, &OwnRefusal{r}
	}
	if to != 0 {
		c.meter.Store(t.meterOf(to))
		if t.cfg.RoundTrip != nil {
			t.cfg.RoundTrip(to, took)
		}
	}
	return peer, nil
}

// why names the address and the true cause of a failed connection.
func (t *Transport) why(ctx, short context.Context, addr string, err error) error {
	var refusal *wire.Refusal
	switch {
	case errors.As(err, &refusal):
		var own *OwnRefusal
		if errors.As(err, &own) {
			return fmt.Errorf("%s: %w", addr, err)
		}
		return refusal
	case t.ctx.Err() != nil:
		return ErrClosed
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", addr, context.Cause(ctx))
	case short.Err() != nil:
		return fmt.Errorf("%s: no answer within %s: %w", addr, t.cfg.DialTimeout, short.Err())
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		err = op.Err // which has neither the address nor "dial tcp" again
	}
	return fmt.Errorf("%s: %w", addr, err)
}

// enter counts a caller's goroutine that Close waits for. When it succeeds,
// leave must be called; the context it returns ends with the transport too.
func (t *Transport) enter(ctx context.Context) (_ context.Context, leave func(), _ error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, nil, ErrClosed
	}
	t.wg.Add(1)
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(t.ctx, cancel)
	return ctx, func() {
		stop()
		cancel()
		t.wg.Done()
	}, nil
}

// Call asks the node at addr one question. to is who is believed to be there;
// 0 asks anybody. ctx bounds all of it; connecting alone takes at most
// DialTimeout. It may be used before Start.
//
// When the peer refuses this node the error is a *[wire.Refusal]. When this
// node refuses the peer it is an *[OwnRefusal], and the Hello is the peer's.
// Where something else is listening it is [ErrNotMuster]. Any error after the
// connection was made leaves open whether the question was acted on.
func (t *Transport) Call(ctx context.Context, addr string, to cluster.NodeID, req wire.Request) (wire.Response, wire.Hello, error) {
	ctx, leave, err := t.enter(ctx)
	if err != nil {
		return wire.Response{}, wire.Hello{}, err
	}
	defer leave()
	c, peer, err := t.connect(ctx, addr, wire.ForControl, to)
	if err != nil {
		return wire.Response{}, peer, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	var resp wire.Response
	if err = wire.WriteJSON(c, wire.KindRequest, req); err == nil {
		err = wire.ReadJSON(c, wire.KindResponse, &resp)
	}
	if err != nil {
		return wire.Response{}, peer, fmt.Errorf("ask %w", t.why(ctx, ctx, addr, err))
	}
	return resp, peer, nil
}

// OpenSnapshot connects to a peer of the set for package snapshot. The caller
// closes the connection; so does Close of the transport.
func (t *Transport) OpenSnapshot(ctx context.Context, to cluster.NodeID) (net.Conn, error) {
	ctx, leave, err := t.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	t.mu.Lock()
	p := t.peers[to]
	t.mu.Unlock()
	if p == nil {
		return nil, fmt.Errorf("open snapshot stream: %s is no peer of this node", to)
	}
	c, _, err := t.connect(ctx, p.address(), wire.ForSnapshot, to)
	if err != nil {
		return nil, fmt.Errorf("open snapshot stream to %s: %w", to, err)
	}
	return c, nil
}
