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
// already_removed don't; below_floor, no_quorum, last_voter and
// would_lose_quorum end when other members come up.
func PlanRemove(s Seen, p Policy, id cluster.NodeID, belowFloor bool) (Change, *event.Reason) {
	v := newView(s, p)
	m, r := v.named(id)
	if r != nil {
		return Change{}, r
	}
	if m.Member.Role == cluster.Learner {
		return Change{Remove: []cluster.NodeID{id}}, nil
	}
	if belowFloor {
		v.floor = 0
	}
	return v.removeVoter(m)
}

// named finds the member that a change is asked for, or says why there can be
// none.
func (v *view) named(id cluster.NodeID) (MemberSeen, *event.Reason) {
	m, ok := find(slices.Concat(v.voters, v.learners), id)
	switch {
	case slices.Contains(v.Removed, id):
		return m, &event.Reason{Code: codeRemoved, Peer: id, Text: fmt.Sprintf("member %s was removed already", id), WayOut: "nothing is left to do"}
	case !ok:
		return m, &event.Reason{Code: codeUnknown, Peer: id, Text: fmt.Sprintf("%s is no member of this cluster", id), WayOut: "see `muster members` for the IDs"}
	}
	r := v.stuck()
	if r != nil {
		r.Peer = id
	}
	return m, r
}

// removeVoter takes a voter out and makes the number of the others odd: by as
// many promotions as the target allows, or by demotions only.
func (v *view) removeVoter(gone MemberSeen) (Change, *event.Reason) {
	kept := without(v.voters, []MemberSeen{gone})
	target := Target(heads(without(v.Members, []MemberSeen{gone})), v.policy)
	ready := v.takers(gone)
	most := min(len(ready), max(0, target-len(kept)))
	if len(kept)+most == 0 {
		return refuse(codeLastVoter, gone.Member.ID,
			fmt.Sprintf("%s is the only voter, and no other member is ready to take its place", name(gone)),
			"wait until a learner has caught up, or stop the cluster instead")
	}
	left := 0 // the most voters that there could be
	for _, n := range []int{most, most - 1, 0} {
		if n < 0 || n > 0 && (len(kept)+n)%2 == 0 {
			continue
		}
		zones := crowdOf(kept)
		demoted := zones.thin(kept, v.Leader, tooMany(len(kept), n, target))
		stay := without(kept, demoted)
		if len(stay)+n == 0 || !holds(stay, n) {
			continue
		}
		if left = max(left, len(stay)+n); len(stay)+n >= min(v.floor, len(v.voters)) {
			return Change{Promote: ids(zones.fill(ready, n)), Demote: ids(demoted), Remove: []cluster.NodeID{gone.Member.ID}}, nil
		}
	}
	if left > 0 {
		return v.belowFloor(gone, left)
	}
	return refuse(codeQuorum, gone.Member.ID,
		fmt.Sprintf("without %s, only %d of %d voters answer", name(gone), active(kept), len(kept)),
		"start the members that are down, or remove those first")
}

// tooMany is how many of the voters kept are to be demoted: those above the
// target, or else one if their number with the newcomers would be even.
func tooMany(kept, newcomers, target int) int {
	if above := kept + newcomers - target; above > 0 {
		return above
	}
	return 1 - (kept+newcomers)%2
}

func (v *view) belowFloor(gone MemberSeen, left int) (Change, *event.Reason) {
	setting, wait := "target-voters", ""
	if v.policy.Floor > 0 {
		setting = "floor"
	}
	for _, m := range v.learners {
		if m.Active && wait == "" && !bound(v.Members, m, gone.Member.ID) {
			wait = fmt.Sprintf("wait until %s is ready, ", name(m))
		}
	}
	return refuse(codeBelowFloor, gone.Member.ID,
		fmt.Sprintf("without %s, %s would be left of %d, below the floor of %d", name(gone), event.Count(left, "voter"), len(v.voters), v.floor),
		fmt.Sprintf("%sadd a member first (it takes the place), lower the target or the floor (`muster policy set %s=%d`), or say --below-floor", wait, setting, left))
}

func refuse(code string, id cluster.NodeID, text, wayOut string) (Change, *event.Reason) {
	return Change{}, &event.Reason{Code: code, Peer: id, Text: text, WayOut: wayOut}
}
