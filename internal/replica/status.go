package replica

import (
	"slices"
	"strings"

	"go.etcd.io/raft/v3"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
)

// Status is what this member knows. The body adds what it knows of
// connections, bytes and addresses. Not free: meant for once a tick, not for
// once a request.
func (r *Replica) Status() cluster.Status {
	self := r.cfg.Self
	if m, ok := r.membership.Member(self.ID); ok {
		self.Role, self.Alias, self.Wanted = m.Role, m.Alias, m.Wanted
	}
	s := cluster.Status{
		Self: self, Cluster: r.membership.Cluster, ClusterID: r.membership.ID,
		Leader: cluster.NodeID(r.basic.Lead), Term: r.basic.GetTerm(),
		State:     stateName(r.basic.RaftState),
		Committed: r.basic.GetCommit(), Applied: r.applied,
		First: r.storage.log.FirstIndex(), Last: r.last,
		Joint: r.joint(), Pending: len(r.proposals.waiting), Policy: r.membership.Policy, Announced: slices.Clone(r.membership.Announced),
	}
	leads := r.termStart > 0
	progress := r.progress()
	for _, m := range r.membership.Members {
		ms := cluster.MemberStatus{Member: m}
		if leads {
			pr := progress[m.ID]
			ms.Match, ms.Progress = pr.Match, strings.ToLower(strings.TrimPrefix(pr.State.String(), "State"))
			ms.Active = m.ID == self.ID || r.peers.heard[m.ID].active(r.tick, r.cfg.ElectionTicks)
		}
		if m.ID == self.ID {
			ms.Applied = r.applied
		}
		s.Members = append(s.Members, ms)
	}
	return s
}

func stateName(s raft.StateType) string {
	switch s {
	case raft.StateLeader:
		return "leader"
	case raft.StateFollower:
		return "follower"
	}
	return "candidate"
}

// Applied index, leader and term without a whole Status.
func (r *Replica) Indexes() (applied, committed uint64) { return r.applied, r.basic.GetCommit() }

// Leader is the leader this member knows (0: none) and the term.
func (r *Replica) Leader() (cluster.NodeID, uint64) {
	return cluster.NodeID(r.basic.Lead), r.basic.GetTerm()
}

// Why is who waits to be let in, what the roster holds back, and for which
// reason; empty unless this member leads.
func (r *Replica) Why() []event.Reason {
	return slices.Concat(r.whyJoinsWait(), r.whyAnnounced(), r.detailed(r.peers.why))
}
