package roster

import (
	"fmt"
	"slices"

	"github.com/musterhq/muster/cluster"
)

// Codes of reasons; stable.
const (
	codeNoLeader    = "no_leader"
	codePending     = "change_pending"
	codePaused      = "paused"
	codeHeldByPause = "held_by_pause"
	codeNoQuorum    = "no_quorum"

	// Why a learner is not promoted.
	codeStandby        = "standby"
	codeNeedsMember    = "needs_member"
	codeNeedsPair      = "needs_pair"
	codeNext           = "next"
	codeNotActive      = "not_active"
	codeStopping       = "stopping"
	codeNotStable      = "not_stable"
	codeCatchingUp     = "catching_up"
	codeSnapshotting   = "receiving_snapshot"
	codeQuorum         = "would_lose_quorum"
	codeSpreadQuorum   = "spread_would_lose_quorum"
	codeReplacesLiving = "replaces_living"
	codeAnnounced      = "announced_learner"

	// Why a learner that is gone is not removed.
	codeRemovalWaits = "removal_waits"

	// Why a voter is one, or is no help.
	codeSilentVoter  = "voter_silent"
	codeWiped        = "voter_wiped"
	codeNoStandby    = "no_standby"
	codeKeptForFloor = "kept_for_floor"
	codeZoneHalf     = "zone_has_half"

	// Why another doesn't lead.
	codeLeaderZoneWaits = "leader_zone_waits"
	codeLeaderZoneEmpty = "leader_zone_empty"

	// Why this change.
	codePromoting  = "promoting"
	codeDemoting   = "demoting"
	codeDropping   = "demoting_dead"
	codeReplacing  = "replacing_dead"
	codeSwapping   = "swapping_wiped"
	codeSpreading  = "spreading_zones"
	codeBurying    = "removing_wiped"
	codeCleaning   = "removing_dead"
	codeExpired    = "learner_expired"
	codeLeaderZone = "leader_zone"
	codeAskedFor   = "asked_for"

	// Why what is asked for is refused.
	codeUnknown    = "unknown_member"
	codeRemoved    = "already_removed"
	codeLastVoter  = "last_voter"
	codeBelowFloor = "below_floor"
	codeNotVoter   = "not_voter"
	codeNotLearner = "not_learner"
	codeNotThere   = "not_there"
	codeIsLeader   = "is_leader"
)

// rest gives the reasons of the members that c leaves as they are and that are
// not what they should be.
func (v *view) rest(c Change) Why {
	var why Why
	for _, m := range v.learners {
		if !c.touches(m.Member.ID) {
			why = append(why, v.reason(m, v.learning(m, c)))
		}
	}
	surplus := crowdOf(v.voters).thin(v.voters, v.Leader, v.excess())
	for _, m := range v.voters {
		_, extra := find(surplus, m.Member.ID)
		switch code := v.voting(m); {
		case c.touches(m.Member.ID):
		case code != "":
			why = append(why, v.reason(m, code))
		case extra && len(c.Demote) == 0:
			why = append(why, v.reason(m, codeKeptForFloor))
		}
	}
	if c.Empty() {
		why = append(append(why, v.lopsided()...), v.leading()...)
	}
	return why
}

// learning is why a learner is one, and stays one beside the change c.
func (v *view) learning(m MemberSeen, c Change) string {
	short, bound := len(v.voters) < v.target, bound(v.Members, m, 0)
	unready, held := v.unready(m), m.Member.Wanted == cluster.Learner
	_, rival := v.rival(m)
	switch {
	case rival:
		return codeReplacesLiving
	case v.overdue(m):
		return codeRemovalWaits
	case !m.Active:
		return codeNotActive
	case unready == codeAnnounced, held && !short && !bound:
		return codeAnnounced
	case unready != "" && (short || bound || len(v.dead()) > len(c.Demote)):
		return unready
	case bound, short && !c.Empty() && v.target-len(v.voters) > len(c.Promote):
		return codeNext
	case short && c.Empty() && !holds(v.voters, v.step()):
		return codeQuorum
	case short && c.Empty():
		return codeNeedsPair
	case len(v.voters) < 3 && v.policy.TargetVoters >= 3 && v.target < 3:
		return codeNeedsMember
	case c.Empty() && v.relieves(m):
		return codeSpreadQuorum
	}
	return codeStandby
}

// voting is what is the matter with a voter, or "".
func (v *view) voting(m MemberSeen) string {
	_, wiped := v.successor(m)
	switch {
	case m.Active:
		return ""
	case wiped:
		return codeWiped
	case v.isDead(m):
		return codeNoStandby
	}
	return codeSilentVoter
}

// excess is how many voters there are above the target that only the floor keeps.
func (v *view) excess() int {
	if v.floor <= v.target || len(v.voters) <= 2 {
		return 0
	}
	return max(0, len(v.voters)-v.target)
}

// lopsided warns of a zone whose failure would stop the cluster.
func (v *view) lopsided() Why {
	z, n := v.crowded()
	if z == "" {
		return nil
	}
	return Why{{Code: codeZoneHalf, WayOut: "add a member in another zone",
		Text: fmt.Sprintf("zone %s has %d of %d votes: without it nothing can be decided", z, n, len(v.voters))}}
}

// leading is why no member of a better zone leads.
func (v *view) leading() Why {
	var why Why
	better := v.preferred()
	for _, m := range better {
		if code := v.unfit(m); code != "" {
			why = append(why, v.heldBack(m, code))
		}
	}
	if len(better) == 0 && len(v.policy.LeaderZones) > 0 && v.rank(v.leader()) > 0 {
		why = append(why, v.reason(v.leader(), codeLeaderZoneEmpty))
	}
	return why
}

func (v *view) each(ms []MemberSeen, code string) Why {
	var why Why
	for _, m := range ms {
		why = append(why, v.reason(m, code))
	}
	return why
}

func (c Change) sorted() Change {
	for _, list := range [][]cluster.NodeID{c.Promote, c.Demote, c.Remove} {
		slices.Sort(list)
	}
	return c
}
