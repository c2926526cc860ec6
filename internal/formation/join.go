package formation

import (
	"slices"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/wire"
)

// askToJoin asks the members of a cluster in turn to let this node in. Only
// those are asked that have shown by which genesis they were founded, so that
// a node that is a founder of that cluster finds out first.
func (f *Former) askToJoin(id cluster.ClusterID) {
	if f.joinID != id {
		f.joinID, f.joinAt, f.joinWait, f.joining = id, "", 0, nil
	}
	if f.joinWait > 0 || f.unheard() && f.ticks < f.cfg.RetryTicks {
		return
	}
	addr := f.nextMember(id)
	if addr == "" {
		return
	}
	f.joinAt, f.joinWait, f.joinOpen = addr, lost*f.cfg.RetryTicks, true
	f.out.Calls = append(f.out.Calls, Call{Addr: addr, Request: wire.Request{
		Join: &wire.Join{Self: f.cfg.Self, Cluster: f.cfg.Cluster},
	}})
}

// unheard says that an address that it was told of was asked and nothing came of it yet. It may be in
// another cluster: that is better known before joining than after.
func (f *Former) unheard() bool {
	return slices.ContainsFunc(f.peers, func(p peer) bool {
		return p.told() && !p.met && !p.self && p.refusal == nil && p.err == ""
	})
}

// nextMember is the member after the one asked last, in the order of their
// addresses and around; "" when none answers.
func (f *Former) nextMember(id cluster.ClusterID) string {
	first := ""
	for i := range f.peers {
		p := &f.peers[i]
		if !p.live || !p.probed || !p.in(f.cfg.Cluster) || p.hello.ClusterID != id {
			continue
		}
		if p.addr > f.joinAt {
			return p.addr
		}
		if first == "" {
			first = p.addr
		}
	}
	return first
}

// joinEnded lets the next member be asked soon, if the call that came to nothing
// was the one under way.
func (f *Former) joinEnded(addr string) {
	if f.joinOpen && addr == f.joinAt {
		f.joinOpen, f.joinWait = false, min(f.joinWait, f.cfg.RetryTicks)
	}
}

// readJoin takes a member's answer.
func (f *Former) readJoin(p *peer, r wire.JoinReply) {
	id, ok := f.target()
	if !ok || !p.in(f.cfg.Cluster) || p.hello.ClusterID != id || f.joinID != id {
		return
	}
	f.joinOpen = false
	switch r.Status {
	case wire.JoinPending:
		f.joinWait = min(f.joinWait, f.cfg.RetryTicks)
	case wire.JoinRefused:
		f.joinWait = slow * f.cfg.RetryTicks
	case wire.JoinDone:
		m, ok := f.admitted(id, r)
		if !ok {
			return
		}
		if m.Role == cluster.Learner {
			f.joined(p.addr, id, r)
			return
		}
	default:
		return
	}
	f.joining = &r
}

// admitted finds this node in the member list of the cluster that it asked.
func (f *Former) admitted(id cluster.ClusterID, r wire.JoinReply) (cluster.Member, bool) {
	if r.Membership == nil || r.Membership.ID != id {
		return cluster.Member{}, false
	}
	m, ok := r.Membership.Member(f.cfg.Self.NodeID)
	return m, ok && m.Incarnation == f.cfg.Self.Incarnation
}

// joined ends formation as a learner. An accepted genesis goes with it: it was
// found to be dead.
func (f *Former) joined(via string, id cluster.ClusterID, r wire.JoinReply) {
	f.d.Stage, f.d.ClusterID, f.d.Founded = wire.InCluster, id, false
	f.d.Accepted, f.d.Genesis = wire.Ballot{}, nil
	f.finish(&Outcome{Joined: &r, Via: via})
	f.out.Events = append(f.out.Events, event.Joined{Cluster: id, Via: via})
}
