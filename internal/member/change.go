package member

import (
	"fmt"
	"maps"
	"slices"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/replica"
	"github.com/musterhq/muster/internal/wire"
)

// changeFor answers a peer's change: a member passes it to its leader, once.
func (m *Member) changeFor(peer wire.Hello, c wire.Change, reply func(wire.ChangeReply)) {
	if !m.InCluster() || peer.ClusterID != m.view.Status.ClusterID {
		reply(wire.ChangeReply{Status: wire.ChangeRefused, Code: "not_a_member", Reason: "only members of the same cluster may ask for changes"})
		return
	}
	m.Change(c, reply)
}

// Change carries a change out here or, not forwarded yet, at the leader. reply
// is called once, from the applied state, or never when the node ends. Asking
// again with the same request ID is harmless and gets the same answer.
func (m *Member) Change(c wire.Change, reply func(wire.ChangeReply)) {
	leader := m.view.Status.Leader
	switch {
	case m.failed || !m.InCluster():
		reply(wire.ChangeReply{Status: wire.ChangePending, Code: "not_a_member", Reason: "this node is in no cluster yet"})
	case leader == m.cfg.Self.NodeID && len(c.Steps) == 1 && c.Steps[0].Op == wire.OpTransfer:
		reply(m.HandOver(c.Steps[0].Member.ID))
	case leader == m.cfg.Self.NodeID:
		m.change(c, reply)
	case leader == 0 || c.Forwarded:
		reply(wire.ChangeReply{Status: wire.ChangePending, Code: "no_leader", Reason: "the cluster has no leader at the moment", Leader: leader})
	default:
		c.Forwarded = true
		m.askLeader(wire.Request{Change: &c}, func(resp wire.Response, err error) {
			if err != nil || resp.Change == nil {
				reply(wire.ChangeReply{Status: wire.ChangeUnknown, Code: "leader_unreachable", Reason: fmt.Sprintf("the leader %s did not answer: %v", m.view.Name(leader), err), Leader: leader})
				return
			}
			reply(*resp.Change)
		})
	}
}

// change carries out a change on this member, if it leads.
func (m *Member) change(c wire.Change, reply func(wire.ChangeReply)) {
	m.token++
	m.asked[m.token] = reply
	m.rep.Change(m.token, c)
}

// Foresee is the replica's; the error says that it does not lead, or what can't
// be understood.
func (m *Member) Foresee(suppose string) (event.Forecast, error) {
	if !m.InCluster() {
		return event.Forecast{}, replica.ErrNotLeader
	}
	return m.rep.Foresee(suppose)
}

// StandDown is the replica's. The node is InCluster.
func (m *Member) StandDown() []wire.Step { return m.rep.StandDown() }

// HandOver starts a transfer of leadership to a voter, or to the furthest when
// to is 0. Which member follows shows later. The node is InCluster.
func (m *Member) HandOver(to cluster.NodeID) wire.ChangeReply {
	if why := m.rep.Transfer(to); why != nil {
		return wire.ChangeReply{Status: wire.ChangeRefused, Code: why.Code, Reason: why.Text}
	}
	return wire.ChangeReply{Status: wire.ChangeApplied}
}

// announce has the leader correct this member's own line in the membership. If
// no leader is known one of the others is asked, each in turn, to pass it on: a
// leader that has moved itself may not find this member, nor be found by it.
func (m *Member) announce(c wire.Change) {
	if m.asking {
		return
	}
	m.asking = true
	done := func(r wire.ChangeReply) {
		m.asking = false
		if r.Status == wire.ChangeRefused {
			m.body.Warn("the cluster keeps this member's old name or addresses", fmt.Errorf("%s", r.Reason))
		}
	}
	peers := m.peers()
	if m.view.Status.Leader != 0 || len(peers) == 0 {
		m.Change(c, done)
		return
	}
	m.turn++
	other := slices.Sorted(maps.Keys(peers))[m.turn%len(peers)]
	m.call(peers[other], other, wire.Request{Change: &c}, CallPatience, func(resp wire.Response, _ wire.Hello, _ error) {
		var r wire.ChangeReply
		if resp.Change != nil {
			r = *resp.Change
		}
		done(r)
	})
}
