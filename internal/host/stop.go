package host

import (
	"context"
	"slices"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/member"
	"github.com/musterhq/muster/internal/wire"
)

// Stop hands over what this node does for others, and closes the host.
func (h *Host) Stop(ctx context.Context) error {
	h.HandOver(ctx)
	return h.Close()
}

// HandOver gives leadership to another voter, and this node's own vote to a
// learner, where somebody is ready to take them, and returns when they have. It is a courtesy of who is about
// to stop: what becomes of it changes nothing for that, and the log tells.
func (h *Host) HandOver(ctx context.Context) {
	var steps []wire.Step
	for ctx.Err() == nil && h.leads(h.live.view.Load()) {
		steps, _ = onLoop(ctx, h, h.m.StandDown) // none, if there is no time left for it
		if reply := h.handOver(ctx, 0); reply.Status != wire.ChangeApplied {
			h.log.Warn("leadership could not be handed over before stopping", "reason", reply.Reason)
			return
		}
		try, cancel := context.WithTimeout(ctx, 2*h.electionTimeout())
		// It has stepped down when it is asked for its vote; another leads some time
		// after that. Where nobody does in time the next voter is tried.
		_ = h.wait(try, func(v *member.View) bool { return v.Status.Leader != 0 && !h.leads(v) })
		cancel()
	}
	h.standDown(ctx, steps)
}

// standDown has a learner vote in this node's place: the one in steps, if it was
// picked while this node led, or the one that the leader picks. It waits for at
// most two election timeouts.
func (h *Host) standDown(ctx context.Context, steps []wire.Step) {
	v := h.live.view.Load()
	self, ok := v.Membership.Member(h.cfg.Self.NodeID)
	spare := slices.ContainsFunc(v.Membership.Members, func(m cluster.Member) bool { return m.Role == cluster.Learner })
	if ctx.Err() != nil || !v.InCluster() || !ok || self.Role != cluster.Voter || !spare {
		return
	}
	if len(steps) == 0 {
		steps = []wire.Step{{Op: wire.OpStandDown, Member: cluster.Member{ID: self.ID}}}
	}
	ctx, cancel := context.WithTimeout(ctx, 2*h.electionTimeout())
	defer cancel()
	if h.wait(ctx, func(v *member.View) bool { return v.Status.Leader != 0 }) != nil {
		return
	}
	reply := h.changeOnce(ctx, wire.Change{Request: newRequest(), Steps: steps, Why: "it stops"})
	if reply.Status != wire.ChangeApplied {
		h.log.Debug("the vote stays with this member", "reason", reply.Reason)
		return
	}
	h.log.Info("another member votes in this one's place while it is away")
}
