package roster

import (
	"fmt"
	"slices"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
)

// PlanRemove is the change that removes a member, because it leaves or because
// an operator says so: with it go the promotions and demotions that leave an
// odd number of voters, nearest to the target for the members left. The reason
// is nil, or says why it is refused; the change is then empty.
//
// With belowFloor it may leave fewer voters than the policy's floor.
//
// Codes: no_leader and change_pending pass by themselves; unknown_member and
// already_removed don't; no_quorum, last_voter and would_lose_quorum end when
// other members come up.
func PlanRemove(s Seen, p Policy, id cluster.NodeID, belowFloor bool) (Change, *event.Reason) {
	v := newView(s, p)
	at := slices.IndexFunc(s.Members, func(m MemberSeen) bool { return m.Member.ID == id })
	switch {
	case slices.Contains(s.Removed, id):
		return refuse(codeRemoved, id, fmt.Sprintf("member %s was removed already", id), "nothing is left to do")
	case at < 0:
		return refuse(codeUnknown, id, fmt.Sprintf("%s is no member of this cluster", id), "see `muster members` for the IDs")
	}
	if r := v.stuck(); r != nil {
		r.Peer = id
		return Change{}, r
	}
	if s.Members[at].Member.Role == cluster.Learner {
		return Change{Remove: []cluster.NodeID{id}}, nil
	}
	return v.removeVoter(s.Members[at])
}

// removeVoter takes a voter out and makes the number of the others odd: by as
// many promotions as the target allows, or by demotions only.
func (v *view) removeVoter(gone MemberSeen) (Change, *event.Reason) {
	id := gone.Member.ID
	kept := without(v.voters, []MemberSeen{gone})
	target := Target(len(v.Members)-1, v.policy)
	ready := v.readyLearners()
	most := min(len(ready), max(0, target-len(kept)))
	if len(kept)+most == 0 {
		return refuse(codeLastVoter, id,
			fmt.Sprintf("%s is the only voter, and no other member is ready to take its place", name(gone)),
			"wait until a learner has caught up, or stop the cluster instead")
	}
	for _, n := range []int{most, most - 1, 0} {
		if n < 0 || n > 0 && (len(kept)+n)%2 == 0 {
			continue
		}
		demoted := v.surplus(kept, len(kept)+n-target, n)
		stay := without(kept, demoted)
		if len(stay)+n > 0 && holds(stay, n) {
			return Change{Promote: ids(ready[:n]), Demote: ids(demoted), Remove: []cluster.NodeID{id}}, nil
		}
	}
	return refuse(codeQuorum, id,
		fmt.Sprintf("without %s, only %d of %d voters answer", name(gone), active(kept), len(kept)),
		"start the members that are down, or remove those first")
}

// surplus picks which of the voters that stay to demote: those above the
// target, or else one if their number with the newcomers would be even.
func (v *view) surplus(kept []MemberSeen, above, newcomers int) []MemberSeen {
	n := above
	if n <= 0 {
		n = 1 - (len(kept)+newcomers)%2
	}
	spare := expendable(kept, v.Leader)
	return spare[:min(n, len(spare))]
}

func refuse(code string, id cluster.NodeID, text, wayOut string) (Change, *event.Reason) {
	return Change{}, &event.Reason{Code: code, Peer: id, Text: text, WayOut: wayOut}
}
