package host

import (
	"context"
	"net"
	"time"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/transport"
	"github.com/musterhq/muster/internal/wire"
)

// handler is the host as the transport sees it. Its methods run on the
// transport's goroutines.
type handler Host

// Hello implements transport.Handler.
func (x *handler) Hello() wire.Hello {
	h := x.live.view.Load().Hello()
	h.Now = time.Now().UnixMilli()
	return h
}

// Check implements transport.Handler.
func (x *handler) Check(peer wire.Hello, inbound bool) *wire.Refusal {
	h, v := (*Host)(x), x.live.view.Load()
	r := v.Judge(peer, inbound)
	if v.News(peer, r) {
		h.call(func() { h.m.Met(peer) })
	}
	if v.Stranger(peer, r) {
		h.call(func() { h.m.MetStranger(peer.Self, peer.ClusterID) })
	}
	if r != nil && r.Code != wire.RefusedSelf && !r.Code.Passing() {
		h.peerRefused(peer.Self.NodeID, peer.Self.Name, peer.Self.PeerAddr, r, false)
	}
	return r
}

// Messages hands a batch to the loop.
func (x *handler) Messages(peer wire.Hello, b *wire.Batch) error {
	if r := x.live.view.Load().RolledBack(peer); r != nil {
		return r
	}
	x.in.put(func(in *inputs) { in.batches = append(in.batches, inbound{peer.Self.NodeID, b}) })
	return nil
}

// Unreachable tells raft that messages were lost.
func (x *handler) Unreachable(id cluster.NodeID) {
	h := (*Host)(x)
	h.call(func() { h.m.Unreachable(id) })
}

// Refused hears that a peer wants nothing of this node.
func (x *handler) Refused(id cluster.NodeID, addr string, r *wire.Refusal) {
	h := (*Host)(x)
	if r.Code.Passing() {
		return
	}
	h.peerRefused(id, r.From.Name, addr, r, true)
	h.call(func() { h.m.Refused(r) })
}

// Control answers one request of a peer.
func (x *handler) Control(ctx context.Context, peer wire.Hello, req wire.Request) wire.Response {
	h := (*Host)(x)
	if req.Reach != nil {
		return h.answerReach(peer)
	}
	answer := make(chan wire.Response, 1)
	if h.call(func() { h.m.Control(peer, req, func(r wire.Response) { answer <- r }) }) {
		select {
		case r := <-answer:
			return r
		case <-ctx.Done():
		case <-h.ctx.Done():
		}
	}
	select {
	case r := <-answer: // given just before the end, or because of it
		return r
	default:
		return wire.Response{Nack: &wire.Nack{Code: "stopped", Reason: "the node is stopping"}}
	}
}

// turned hears of connections that failed because of TLS. Those that this node
// dialled are shown with whom it wanted to reach.
func (h *Host) turned(x transport.Turned) {
	if x.Inbound {
		if host, _, err := net.SplitHostPort(x.Addr); err == nil {
			x.Addr = host // each attempt comes from another port
		}
	}
	h.peerRefused(0, "", x.Addr, x.Refusal, x.ByPeer)
}

// peerRefused tells of a refusal, once for each change of its reason.
func (h *Host) peerRefused(id cluster.NodeID, name, addr string, r *wire.Refusal, byPeer bool) {
	if h.live.refusals.put(refusalKey{id, addr, byPeer}, name, r, time.Now()) {
		h.emit(event.PeerRefused{Peer: id, Addr: addr, Code: string(r.Code), Reason: r.Reason, ByPeer: byPeer})
	}
}
