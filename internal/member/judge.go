package member

import (
	"cmp"
	"fmt"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/formation"
	"github.com/musterhq/muster/internal/wire"
)

// Hello is what this node opens connections with.
func (v *View) Hello() wire.Hello {
	h := wire.Hello{
		Protocol: wire.Protocol, Cluster: v.cfg.Cluster, ClusterID: v.Status.ClusterID, Generation: v.Status.Generation, ReformedBy: v.reformedBy,
		Self: v.cfg.Self, Epoch: v.cfg.Epoch, Boots: v.cfg.Boots, Stage: v.Stage, Version: v.cfg.Version,
	}
	if h.Stage == wire.Blank || h.Stage == wire.Promised || h.Stage == wire.Accepted {
		h.ClusterID = cluster.ClusterID{}
		h.Pin = v.pinned
		switch v.cfg.Mode { // others than founders have nothing to compare
		case formation.Static:
			h.Seeds = v.cfg.Seeds
		case formation.Dynamic:
			h.Expect = v.cfg.Expect
		}
	}
	if len(v.cfg.Tokens) > 0 {
		h.Token = h.Proof(v.cfg.Tokens[0])
	}
	return h
}

// Judge judges a peer by its identity, before anything else of it is heard: nil
// lets it in. inbound is false where this node dialled.
func (v *View) Judge(peer wire.Hello, inbound bool) *wire.Refusal {
	code, why, index := v.judge(peer, inbound)
	if code == "" {
		return nil
	}
	return &wire.Refusal{Code: code, Reason: why, Index: index, From: v.cfg.Self, Member: v.Status.ClusterID, Generation: v.Status.Generation}
}

func (v *View) judge(peer wire.Hello, inbound bool) (wire.RefusalCode, string, uint64) {
	id, self := peer.Self.NodeID, v.cfg.Self
	switch {
	case peer.Protocol != wire.Protocol:
		return wire.RefusedProtocol, fmt.Sprintf("it is release %s and speaks protocol version %d, %s is release %s and speaks version %d: run releases of the same protocol on both",
			cmp.Or(peer.Version, "unknown"), peer.Protocol, self.Name, cmp.Or(v.cfg.Version, "unknown"), wire.Protocol), 0
	case len(v.cfg.Tokens) > 0 && len(peer.Token) == 0:
		return wire.RefusedToken, "it shows no join token, and here one is asked for", 0
	case len(v.cfg.Tokens) > 0 && !peer.Proven(v.cfg.Tokens):
		return wire.RefusedToken, "its join token is not the one that is asked for here", 0
	case peer.Self.Incarnation == self.Incarnation && len(v.cfg.Boots) > 0 && peer.Run() != v.run():
		return wire.RefusedCopy, fmt.Sprintf("it runs on the disk of this node, or on a copy of it: it is %s at %s with epoch %d, this one at %s with epoch %d; stop the copy, and start it with an empty data directory",
			peer.Self.Name, peer.Self.PeerAddr, peer.Epoch, self.PeerAddr, v.cfg.Epoch), 0
	case peer.Self.Incarnation == self.Incarnation:
		return wire.RefusedSelf, "this is the same node", 0
	case peer.Cluster != v.cfg.Cluster:
		return wire.RefusedCluster, fmt.Sprintf("it belongs to cluster %q, and %s to %q: check the cluster names and the addresses", peer.Cluster, self.Name, v.cfg.Cluster), 0
	case inbound && peer.To != 0 && peer.To != self.NodeID:
		return wire.RefusedNotMe, fmt.Sprintf("%s is wanted, and here is another node, %s (%s)", peer.To, self.Name, self.NodeID), 0
	case id != peer.Self.Incarnation.NodeID():
		return wire.RefusedIncarnation, fmt.Sprintf("its ID %s is not that of its incarnation %s", id, peer.Self.Incarnation), 0
	}
	mine := v.Status.ClusterID
	if v.Stage != wire.InCluster || mine.IsZero() {
		if inbound && peer.Purpose != wire.ForControl {
			return wire.RefusedNotMember, "this node is in no cluster yet", 0
		}
		return "", "", 0
	}
	if code, why := v.judgeGeneration(peer); code != "" {
		return code, why, 0
	}
	if t, ok := v.Membership.Tombstone(id); ok && !v.leaving(id) {
		return wire.RefusedRemoved, fmt.Sprintf("%s (%s) was removed from this cluster at index %d", t.Name, id, t.Index), t.Index
	}
	if !peer.ClusterID.IsZero() && peer.ClusterID != mine {
		return wire.RefusedClusterID, fmt.Sprintf("it belongs to cluster %s, and %s to %s: two clusters with the name %q can't be merged", peer.ClusterID, self.Name, mine, v.cfg.Cluster), 0
	}
	if code, why := v.judgeRun(peer); code != "" && (code != wire.RefusedMoving || !inbound || peer.Purpose != wire.ForControl) {
		return code, why, 0
	}
	if inbound && peer.ClusterID.IsZero() && peer.Purpose != wire.ForControl {
		return wire.RefusedUnknown, "it is in no cluster yet and may only ask to join", 0
	}
	if !inbound && peer.ClusterID.IsZero() && v.isMember(id) {
		return wire.RefusedNotMember, "it does not know yet that it is a member", 0
	}
	return "", "", 0
}

// judgeGeneration keeps two lives of one cluster apart. Those of before it was
// re-formed may be a majority of the old one, and hold other entries under the
// same indexes and terms: none of their messages must reach raft.
func (v *View) judgeGeneration(peer wire.Hello) (wire.RefusalCode, string) {
	mine := v.Status.Generation
	switch {
	case peer.ClusterID != v.Status.ClusterID || peer.Generation == mine && peer.ReformedBy == v.reformedBy:
		return "", ""
	case peer.Generation == mine:
		return wire.RefusedGenerationConflict, fmt.Sprintf("the cluster was re-formed twice as generation %d, around member %s there and around %s here", mine, peer.ReformedBy, v.reformedBy)
	case peer.Generation < mine:
		return wire.RefusedOldGeneration, fmt.Sprintf("its directory is of before the cluster was re-formed (generation %d, the cluster's is %d): what it holds beyond the cluster's is lost", peer.Generation, mine)
	}
	return wire.RefusedNewGeneration, fmt.Sprintf("it belongs to the cluster as it was re-formed (generation %d), this node to what was before (%d): this node stops", peer.Generation, mine)
}

// News says that a peer that Judge answered so is to be [Member.Met].
func (v *View) News(peer wire.Hello, r *wire.Refusal) bool {
	if r != nil && r.Code == wire.RefusedNewGeneration {
		return true
	}
	return (r == nil || r.Code.Passing()) && (v.moved(peer) || v.newRun(peer))
}

// moved says that the peer's address is news. It is for a member that came from
// another address than is known. It is for one that isn't known at all: a member
// that was away while others joined may be the last to hear of its own leader,
// and must be able to answer it. And a node that is in no cluster yet may have
// been admitted without having heard of it.
func (v *View) moved(peer wire.Hello) bool {
	id, addr := peer.Self.NodeID, peer.Self.PeerAddr
	if !v.InCluster() {
		return peer.Cluster == v.cfg.Cluster && !peer.ClusterID.IsZero() && peer.Self.Incarnation != v.cfg.Self.Incarnation
	}
	if peer.ClusterID != v.Status.ClusterID {
		return false
	}
	if m, ok := v.Membership.Member(id); ok {
		return v.Addr(m) != addr
	}
	hint, known := v.hints[id]
	return !v.leaving(id) && hint != addr && (known || len(v.hints) < maxHints)
}

// maxHints bounds the addresses that are known from Hellos alone.
const maxHints = 256

// Met notes the address and the run of a peer that is News.
func (m *Member) Met(peer wire.Hello) {
	switch {
	case m.former != nil:
		if m.view.moved(peer) {
			m.former.Met(peer)
		}
	case m.rep != nil:
		m.metAsMember(peer)
	}
}

func (m *Member) metAsMember(peer wire.Hello) {
	if code, why := m.view.judgeGeneration(peer); code == wire.RefusedNewGeneration {
		m.outdated(peer.Generation, fmt.Sprintf("%s at %s was met: %s", peer.Self.Name, peer.Self.PeerAddr, why))
		return
	} else if code != "" {
		return
	}
	moved, newRun := m.view.moved(peer), m.view.newRun(peer)
	switch code, _ := m.view.judgeRun(peer); {
	case code == wire.RefusedMoving:
		m.challenge(peer)
		return
	case code != "" || !moved && !newRun:
		return // it is news no more
	}
	if moved {
		m.hints[peer.Self.NodeID] = peer.Self.PeerAddr
	}
	if newRun {
		m.meet(peer)
	}
	m.setPeers()
	m.publish()
}
