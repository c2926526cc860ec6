package host

import (
	"context"
	"errors"
	"slices"

	"github.com/musterhq/muster/cluster"
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
		if errors.Is(context.Cause(h.ctx), ErrRemoved) {
			s.Stage = string(wire.Removed)
		}
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

// Traffic is what went to and came from each peer, sorted by ID.
func (h *Host) Traffic() (out []cluster.Traffic) {
	for _, p := range h.tr.Peers() {
		out = append(out, cluster.Traffic{ID: p.ID, Connected: p.Connected, Sent: p.Sent, Received: p.Received, Dropped: p.Dropped})
	}
	return out
}

// Glance is what goes with every answer; it costs next to nothing.
func (h *Host) Glance() cluster.Glance {
	s := &h.live.view.Load().Status
	g := cluster.Glance{ClusterID: s.ClusterID, Self: s.Self.ID, Alias: s.Self.Alias, Leader: s.Leader, Term: s.Term}
	g.Committed = h.live.committed.Load()
	g.Applied = h.live.applied.Load()
	return g
}
