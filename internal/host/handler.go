package host

import (
	"context"
	"fmt"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/wire"
)

// handler is the host as the transport sees it. Its methods run on the
// transport's goroutines.
type handler Host

// Hello is what this node opens connections with.
func (x *handler) Hello() wire.Hello {
	v := x.live.view.Load()
	h := wire.Hello{
		Protocol: wire.Protocol, Cluster: x.cfg.Cluster, ClusterID: v.status.ClusterID,
		Self: x.cfg.Self, Epoch: x.cfg.Epoch, Stage: v.stage, Version: x.cfg.Version,
	}
	if h.Stage == wire.Blank || h.Stage == wire.Promised || h.Stage == wire.Accepted {
		h.ClusterID = cluster.ClusterID{}
		h.Seeds = x.seeds()
	}
	return h
}

// seeds is what a founder shows; others have none to compare.
func (x *handler) seeds() []string {
	if len(x.cfg.Seeds) == 0 {
		return nil
	}
	return x.cfg.Seeds
}

// Check judges a peer by its identity, before anything else of it is heard.
func (x *handler) Check(peer wire.Hello, inbound bool) *wire.Refusal {
	v := x.live.view.Load()
	code, why, index := x.judge(v, peer, inbound)
	if code == "" {
		x.hint(v, peer)
		return nil
	}
	r := &wire.Refusal{Code: code, Reason: why, Index: index, From: x.cfg.Self, Member: v.status.ClusterID}
	if code != wire.RefusedSelf && code != wire.RefusedNotMember {
		(*Host)(x).peerRefused(peer.Self.NodeID, peer.Self.PeerAddr, r, false)
	}
	return r
}

func (x *handler) judge(v *view, peer wire.Hello, inbound bool) (wire.RefusalCode, string, uint64) {
	id := peer.Self.NodeID
	switch {
	case peer.Protocol != wire.Protocol:
		return wire.RefusedProtocol, fmt.Sprintf("it speaks protocol version %d, this node version %d: run the same release on both", peer.Protocol, wire.Protocol), 0
	case peer.Self.Incarnation == x.cfg.Self.Incarnation:
		return wire.RefusedSelf, "this is the same node", 0
	case peer.Cluster != x.cfg.Cluster:
		return wire.RefusedCluster, fmt.Sprintf("it belongs to cluster %q, this node to %q: check the cluster names and the addresses", peer.Cluster, x.cfg.Cluster), 0
	case inbound && peer.To != 0 && peer.To != x.cfg.Self.NodeID:
		return wire.RefusedNotMe, fmt.Sprintf("it wants to speak to %s, this is %s", peer.To, x.cfg.Self.NodeID), 0
	case id != peer.Self.Incarnation.NodeID():
		return wire.RefusedIncarnation, fmt.Sprintf("its ID %s is not that of its incarnation %s", id, peer.Self.Incarnation), 0
	}
	mine := v.status.ClusterID
	if v.stage != wire.InCluster || mine.IsZero() {
		if inbound && (peer.Purpose == wire.ForMessages || peer.Purpose == wire.ForSnapshot) {
			return wire.RefusedNotMember, "this node is in no cluster yet", 0
		}
		return "", "", 0
	}
	if t, ok := v.membership.Tombstone(id); ok && !v.leaving(id) {
		return wire.RefusedRemoved, fmt.Sprintf("%s (%s) was removed from this cluster at index %d", t.Name, id, t.Index), t.Index
	}
	if !peer.ClusterID.IsZero() && peer.ClusterID != mine {
		return wire.RefusedClusterID, fmt.Sprintf("it belongs to cluster %s, this node to %s: two clusters with the name %q can't be merged", peer.ClusterID, mine, x.cfg.Cluster), 0
	}
	if inbound && peer.ClusterID.IsZero() && peer.Purpose != wire.ForControl {
		return wire.RefusedUnknown, "it is in no cluster yet and may only ask to join", 0
	}
	if !inbound && peer.ClusterID.IsZero() && v.isMember(id) {
		return wire.RefusedNotMember, "it does not know yet that it is a member", 0
	}
	return "", "", 0
}

// hint notes the address of a member that came from another than the
// membership says.
func (x *handler) hint(v *view, peer wire.Hello) {
	m, ok := v.membership.Member(peer.Self.NodeID)
	if !ok || m.PeerAddr == peer.Self.PeerAddr || peer.ClusterID != v.status.ClusterID {
		return
	}
	h := (*Host)(x)
	h.call(func() {
		if h.rep != nil && h.hints[m.ID] != peer.Self.PeerAddr {
			h.hints[m.ID] = peer.Self.PeerAddr
			h.setPeers()
		}
	})
}

// Messages hands a batch to the loop. Raft messages that don't fit the
// connection they came on never get there.
func (x *handler) Messages(peer wire.Hello, b *wire.Batch) {
	kept := b.Raft[:0]
	for _, m := range b.Raft {
		if m.GetFrom() == uint64(peer.Self.NodeID) && m.GetTo() == uint64(x.cfg.Self.NodeID) {
			kept = append(kept, m)
		}
	}
	b.Raft = kept
	x.in.put(func(in *inputs) { in.batches = append(in.batches, inbound{peer.Self.NodeID, b}) })
}

// Unreachable tells raft that messages were lost.
func (x *handler) Unreachable(id cluster.NodeID) {
	h := (*Host)(x)
	h.call(func() {
		if h.rep != nil {
			h.rep.Unreachable(id)
		}
	})
}

// Refused hears that a peer wants nothing of this node.
func (x *handler) Refused(id cluster.NodeID, addr string, r *wire.Refusal) {
	h := (*Host)(x)
	if r.Code == wire.RefusedNotMember {
		return // it was admitted just now and has not heard of it yet
	}
	h.peerRefused(id, addr, r, true)
	if r.Code != wire.RefusedRemoved {
		return
	}
	h.call(func() {
		if r.Member == h.state.ClusterID && h.rep != nil {
			h.removed(r.Index)
		}
	})
}

// Control answers one request of a peer.
func (x *handler) Control(ctx context.Context, peer wire.Hello, req wire.Request) wire.Response {
	h := (*Host)(x)
	switch {
	case req.Join != nil:
		return wire.Response{Join: h.admit(ctx, peer, *req.Join)}
	case req.Change != nil:
		reply := h.changeFor(ctx, peer, *req.Change)
		return wire.Response{Change: &reply}
	}
	return h.askFormer(ctx, peer, req)
}

// peerRefused tells of a refusal, once for each change of its reason.
func (h *Host) peerRefused(id cluster.NodeID, addr string, r *wire.Refusal, byPeer bool) {
	if h.live.refusals.put(refusalKey{id, addr, byPeer}, r) {
		h.emit(event.PeerRefused{Peer: id, Addr: addr, Code: string(r.Code), Reason: r.Reason, ByPeer: byPeer})
	}
}
