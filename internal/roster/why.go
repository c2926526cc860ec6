package roster

import (
	"fmt"
	"slices"

	"github.com/musterhq/muster/event"
)

// Codes of reasons; stable.
const (
	codeNoLeader = "no_leader"
	codePending  = "change_pending"
	codePaused   = "paused"
	codeNoQuorum = "no_quorum"

	// Why a learner is not promoted.
	codeStandby      = "standby"
	codeNeedsMember  = "needs_member"
	codeNeedsPair    = "needs_pair"
	codeNext         = "next"
	codeNotActive    = "not_active"
	codeNotStable    = "not_stable"
	codeCatchingUp   = "catching_up"
	codeSnapshotting = "receiving_snapshot"
	codeQuorum       = "would_lose_quorum"

	// Why a voter is one, or is no help.
	codeSilentVoter   = "voter_silent"
	codeKeptForQuorum = "kept_for_quorum"

	// Why this change.
	codePromoting = "promoting"
	codeDemoting  = "demoting"
	codeExpired   = "learner_expired"

	// Why a removal is refused.
	codeUnknown   = "unknown_member"
	codeRemoved   = "already_removed"
	codeLastVoter = "last_voter"
)

// standby gives the learners of a cluster that has voters enough.
func (v *view) standby() Why {
	var why Why
	for _, m := range v.learners {
		switch {
		case !m.Active:
			why = append(why, v.reason(m, codeNotActive))
		case len(v.voters) < 3 && v.policy.TargetVoters >= 3:
			why = append(why, v.reason(m, codeNeedsMember))
		default:
			why = append(why, v.reason(m, codeStandby))
		}
	}
	return why
}

// waiting gives the learners that are not ready.
func (v *view) waiting() Why {
	var why Why
	for _, m := range v.learners {
		if code := v.unready(m); code != "" {
			why = append(why, v.reason(m, code))
		}
	}
	return why
}

// silentVoters gives the voters that don't answer and that c leaves as they are.
func (v *view) silentVoters(c Change) Why {
	var why Why
	for _, m := range v.voters {
		if !m.Active && !slices.Contains(c.Demote, m.Member.ID) {
			why = append(why, v.reason(m, codeSilentVoter))
		}
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

func (v *view) reason(m MemberSeen, code string) event.Reason {
	text, wayOut := v.words(m, code)
	return event.Reason{Code: code, Peer: m.Member.ID, Addr: m.Member.PeerAddr, Text: name(m) + " " + text, WayOut: wayOut}
}

// words says what is the matter with a member, and what would end it.
func (v *view) words(m MemberSeen, code string) (text, wayOut string) {
	voters := len(v.voters)
	switch code {
	case codeStandby:
		return fmt.Sprintf("is on standby: %d voters are enough for %d members", voters, len(v.Members)),
			"it is promoted when a voter leaves, or when more members join and the target allows more voters"
	case codeNeedsMember:
		return fmt.Sprintf("stays a learner: %d voters would survive no more failures than %d", voters+1, voters), "add a third member"
	case codeNeedsPair:
		return "is ready, and waits for another learner to be: voters are added in pairs, so that their number stays odd",
			"bring another learner up, or add a member"
	case codeNext:
		return "is ready, and is promoted after the others", "wait"
	case codeNotActive:
		return "doesn't answer", "start it, or see why the leader can't reach it"
	case codeNotStable:
		return fmt.Sprintf("has answered for %d of %d ticks", m.ActiveTicks, v.policy.StabilityTicks), "wait"
	case codeCatchingUp:
		return fmt.Sprintf("is catching up: %d entries behind", v.LastIndex-min(m.Match, v.LastIndex)), "wait; it must keep up with the writes"
	case codeSnapshotting:
		return "is receiving a snapshot", "wait"
	case codeQuorum:
		return fmt.Sprintf("is not promoted: only %d of %d voters answer, too few should it fail", active(v.voters), voters),
			"start the voters that are down"
	case codeSilentVoter:
		return "is a voter and doesn't answer", "start it; if it is gone for good, remove it"
	case codeKeptForQuorum:
		return "is one voter too many, and kept because others don't answer", "start the voters that are down"
	case codePromoting:
		return fmt.Sprintf("becomes a voter: %d of %d are there", voters, v.target), ""
	case codeDemoting:
		return fmt.Sprintf("becomes a learner: %d voters where %d do", voters, v.target), ""
	case codeExpired:
		return fmt.Sprintf("is removed: it was added, and has not shown up for %d ticks", m.SilentTicks), ""
	}
	panic("roster: no words for " + code)
}

func name(m MemberSeen) string {
	if m.Member.Name != "" {
		return m.Member.Name
	}
	return m.Member.ID.String()
}
