package host

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/member"
	"github.com/musterhq/muster/internal/transport"
	"github.com/musterhq/muster/internal/wire"
)

// Status is what this node knows now.
func (h *Host) Status() *cluster.Status {
	s := h.live.view.Load().Status
	s.Members = slices.Clone(s.Members)
	s.Applied, s.Committed = h.live.applied.Load(), h.live.committed.Load()
	s.Committed = max(s.Committed, s.Applied)
	s.Last = max(s.Last, s.Committed)
	select {
	case <-h.ctx.Done():
		s.State = "stopped"
	default:
	}
	links := map[cluster.NodeID]transport.PeerStatus{}
	for _, p := range h.tr.Peers() {
		links[p.ID] = p
	}
	for i := range s.Members {
		m := &s.Members[i]
		if m.ID == s.Self.ID {
			m.Connected, m.Applied = true, s.Applied
			continue
		}
		m.Connected, m.Err = links[m.ID].Connected, links[m.ID].Err
		if p, ok := h.streams.to(m.ID); ok {
			m.Sent, m.Total = p.at, p.total
		}
	}
	return &s
}

// Glance is what goes with every answer; it costs next to nothing.
func (h *Host) Glance() cluster.Glance {
	s := &h.live.view.Load().Status
	return cluster.Glance{ClusterID: s.ClusterID, Self: s.Self.ID, Leader: s.Leader, Term: s.Term}
}

// Why says what the node waits for, and what would end the wait.
func (h *Host) Why() []event.Reason {
	v := h.live.view.Load()
	var out []event.Reason
	switch {
	case !v.InCluster():
		return v.Why
	case v.Status.Leader == 0:
		out = append(out, h.whyNoLeader(v)...)
	}
	if p, from, ok := h.streams.incoming(); ok {
		out = append(out, event.Reason{Code: "snapshot_receiving", Peer: from,
			Text:   fmt.Sprintf("receiving the snapshot at index %d from %s: %d of %d bytes", p.index, v.Name(from), p.at, p.total),
			WayOut: "nothing to do: the member catches up when it is complete"})
	}
	if v.ImageErr != nil {
		out = append(out, event.Reason{Code: "snapshot_failed", Text: "no snapshot can be taken: " + v.ImageErr.Error(),
			WayOut: "mend the cause; until then the log grows and a new member can't catch up"})
	}
	out = append(out, v.Why...)
	out = append(out, h.whyLinks(v)...)
	out = append(out, h.whyRefused()...)
	return append(out, h.whyClocks(v)...)
}

// whyNoLeader explains an election that doesn't end.
func (h *Host) whyNoLeader(v *member.View) []event.Reason {
	self, known := v.Membership.Member(v.Status.Self.ID)
	if !known || v.Status.Applied == 0 {
		return []event.Reason{{Code: "waiting_for_leader", Text: "admitted to the cluster; waiting to hear from its leader",
			WayOut: "it comes by itself when the leader can reach this node at " + v.Status.Self.PeerAddr}}
	}
	links := map[cluster.NodeID]transport.PeerStatus{}
	for _, p := range h.tr.Peers() {
		links[p.ID] = p
	}
	var voters, up int
	var missing []string
	for _, m := range v.Membership.Members {
		if m.Role != cluster.Voter {
			continue
		}
		voters++
		if l := links[m.ID]; m.ID == self.ID || l.Connected {
			up++
		} else {
			missing = append(missing, fmt.Sprintf("%s at %s (%s)", m.Name, v.Addr(m), orUnknown(l.Err)))
		}
	}
	need := voters/2 + 1
	if up < need {
		return []event.Reason{{Code: "no_quorum",
			Text:   fmt.Sprintf("no leader in term %d: %d of %d voters can be reached, %d are needed; missing: %s", v.Status.Term, up, voters, need, strings.Join(missing, ", ")),
			WayOut: fmt.Sprintf("start %d of the missing members again, with their data directories, or mend the network to them", need-up)}}
	}
	return []event.Reason{{Code: "electing", Text: fmt.Sprintf("no leader in term %d: an election is under way; %d of %d voters can be reached, %d are needed", v.Status.Term, up, voters, need),
		WayOut: "nothing to do: it ends within a few election timeouts"}}
}

func orUnknown(s string) string {
	if s == "" {
		return "not connected yet"
	}
	return s
}

// whyLinks tells of peers that can't be reached, or that refuse this node.
func (h *Host) whyLinks(v *member.View) []event.Reason {
	var out []event.Reason
	for _, p := range h.tr.Peers() {
		switch {
		case p.Connected:
		case p.Refusal != nil && p.Refusal.Code.TLS():
			out = append(out, event.Reason{Code: string(p.Refusal.Code), Peer: p.ID, Addr: p.Addr,
				Text:   fmt.Sprintf("no connection to %s at %s: %s", v.Name(p.ID), p.Addr, p.Refusal.Reason),
				WayOut: p.Refusal.Code.WayOut(v.Name(p.ID))})
		case p.OwnRefusal && p.Refusal.Code == wire.RefusedRolledBack:
			out = append(out, event.Reason{Code: "peer_rolled_back", Peer: p.ID, Addr: p.Addr,
				Text:   fmt.Sprintf("%s at %s is not trusted: %s", v.Name(p.ID), p.Addr, p.Refusal.Reason),
				WayOut: p.Refusal.Code.WayOut(v.Name(p.ID))})
		case p.Refusal != nil && !p.OwnRefusal:
			out = append(out, event.Reason{Code: "peer_refuses", Peer: p.ID, Addr: p.Addr,
				Text:   fmt.Sprintf("%s at %s refuses this node: %s", v.Name(p.ID), p.Addr, p.Refusal.Reason),
				WayOut: p.Refusal.Code.WayOut(v.Name(p.ID))})
		case p.Err != "":
			out = append(out, event.Reason{Code: "peer_unreachable", Peer: p.ID, Addr: p.Addr,
				Text:   fmt.Sprintf("%s at %s can't be reached: %s", v.Name(p.ID), p.Addr, p.Err),
				WayOut: "start it, or mend the network between the two; if it is gone for good: muster remove " + v.Name(p.ID)})
		}
	}
	return out
}

// refusedFor is for how long it is shown that a node was refused which is no
// peer of this one. What is about certificates may be mended any time; whoever
// still has that trouble comes again every few seconds.
const (
	refusedFor = 5 * time.Minute
	turnedFor  = 10 * time.Second
)

// whyRefused tells of nodes that this one has refused for what they are. Those
// that it dials itself are in whyLinks.
func (h *Host) whyRefused() []event.Reason {
	peers := h.tr.Peers()
	var out []event.Reason
	for _, x := range h.live.refusals.recent(time.Now()) {
		if x.refusal.Code.TLS() {
			out = append(out, event.Reason{Code: string(x.refusal.Code), Addr: x.peer.PeerAddr,
				Text:   fmt.Sprintf("a connection from %s came to nothing: %s", x.peer.PeerAddr, x.refusal.Reason),
				WayOut: x.refusal.Code.WayOut("")})
			continue
		}
		if !slices.ContainsFunc(peers, func(p transport.PeerStatus) bool { return p.ID == x.peer.NodeID }) {
			out = append(out, event.Reason{Code: "refused_" + string(x.refusal.Code), Peer: x.peer.NodeID, Addr: x.peer.PeerAddr,
				Text:   fmt.Sprintf("%s at %s was refused %s ago: %s", x.peer.Name, x.peer.PeerAddr, time.Since(x.at).Round(time.Second), x.refusal.Reason),
				WayOut: x.refusal.Code.WayOut(x.peer.Name)})
		}
	}
	return out
}

// refusals remembers the last refusal of and by each peer.
type refusals struct {
	mu    sync.Mutex
	last  map[refusalKey]string
	shown map[string]refused // by this node, for what the other is; by the other's address
}

// refused is a node that was refused.
type refused struct {
	peer    wire.Identity
	refusal *wire.Refusal
	at      time.Time
}

// show remembers a refusal that operators are to see though the other is no peer.
func (r *refusals) show(peer wire.Identity, x *wire.Refusal) {
	if x.Code != wire.RefusedOldGeneration && x.Code != wire.RefusedProtocol && !x.Code.TLS() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.shown == nil || len(r.shown) >= maxRefusals {
		r.shown = map[string]refused{}
	}
	r.shown[peer.PeerAddr] = refused{peer, x, time.Now()}
}

// recent lists them in the order of their addresses.
func (r *refusals) recent(now time.Time) (out []refused) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, addr := range slices.Sorted(maps.Keys(r.shown)) {
		x, most := r.shown[addr], refusedFor
		if x.refusal.Code.TLS() {
			most = turnedFor
		}
		if now.Sub(x.at) < most {
			out = append(out, x)
		}
	}
	return out
}

type refusalKey struct {
	id     cluster.NodeID
	addr   string
	byPeer bool
}

// maxRefusals bounds what strangers can make a node remember.
const maxRefusals = 256

// put says whether this refusal differs from the last one.
func (r *refusals) put(k refusalKey, x *wire.Refusal) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := string(x.Code) + " " + x.Reason
	if r.last[k] == s {
		return false
	}
	if r.last == nil || len(r.last) >= maxRefusals {
		r.last = map[refusalKey]string{}
	}
	r.last[k] = s
	return true
}
