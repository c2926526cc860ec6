package roster

import (
	"fmt"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
)

// PlanStandDown is the change in which a voter that is about to stop gives its
// role to the best learner that is ready. The reason is nil, or says why its
// role stays with it; the change is then empty.
//
// Whoever carries it out sees to it that the voter isn't promoted again before
// it has stopped, see [MemberSeen.Stopping].
//
// Codes: those of [PlanRemove], but for the floor, which is never touched; and
// not_voter, is_leader and no_standby.
func PlanStandDown(s Seen, p Policy, id cluster.NodeID) (Change, *event.Reason) {
	v := newView(s, p)
	m, r := v.named(id)
	if r != nil {
		return Change{}, r
	}
	kept, ready := without(v.voters, []MemberSeen{m}), v.standbys
	switch {
	case m.Member.Role != cluster.Voter:
		return refuse(codeNotVoter, id, name(m)+" is no voter: it has no role to give", "stop it")
	case id == v.Leader:
		return refuse(codeIsLeader, id, name(m)+" is the leader", "hand leadership over first")
	case len(ready) == 0:
		return refuse(codeNoStandby, id, "no learner is ready to take the place of "+name(m), "add a member, or stop it as a voter: it keeps its vote")
	case !holds(kept, 1):
		return refuse(codeQuorum, id,
			fmt.Sprintf("without %s, only %d of %s answer, too few should the newcomer fail", name(m), active(kept), event.Count(len(v.voters), "voter")),
			"start the voters that are down first")
	}
	return Change{Promote: ids(crowdOf(kept).fill(ready, 1)), Demote: []cluster.NodeID{id}}, nil
}
