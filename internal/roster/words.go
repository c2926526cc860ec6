package roster

import (
	"fmt"
	"strings"
	"time"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
)

// say makes a reason about a member; the text goes on after its name.
func say(m MemberSeen, code, wayOut, format string, args ...any) event.Reason {
	return event.Reason{Code: code, Peer: m.Member.ID, Addr: m.Member.PeerAddr, Text: name(m) + " " + fmt.Sprintf(format, args...), WayOut: wayOut}
}

// reason is the one of that code; what a code says depends on the member.
func (v *view) reason(m MemberSeen, code string) event.Reason {
	for _, words := range []func(MemberSeen, string) (string, string){v.ofLearner, v.ofAbsent, v.ofVoter, v.ofChange} {
		if text, wayOut := words(m, code); text != "" {
			r := say(m, code, wayOut, "%s", text)
			r.Text = label(v.Members, m) + " " + text
			return r
		}
	}
	panic("roster: no words for " + code)
}

// ofLearner says why a learner that answers stays one, and what would end that.
func (v *view) ofLearner(m MemberSeen, code string) (text, wayOut string) {
	voters := len(v.voters)
	switch code {
	case codeStandby:
		n := max(voters, v.target)
		return fmt.Sprintf("is on standby: %s %s enough for %s", event.Count(n, "voter"), are(n), event.Count(v.heads, "member")),
			"it is promoted when a voter leaves or dies, or when more members join and the target allows more voters"
	case codeNeedsMember:
		return fmt.Sprintf("stays a learner: %s would survive no more failures than %d", event.Count(voters+1, "voter"), voters), "add a third member"
	case codeNeedsPair:
		return "is ready, and waits for another learner to be: voters are added in pairs, so that their number stays odd",
			"bring another learner up, or add a member"
	case codeNext:
		return "is ready, and its turn comes after the others", "wait"
	case codeStopping:
		return "is about to stop", "start it again"
	case codeNotStable:
		return fmt.Sprintf("has answered for %s of %s", v.span(m.ActiveTicks), v.span(v.policy.StabilityTicks)), "wait"
	case codeCatchingUp:
		return fmt.Sprintf("is catching up: %s behind", v.behind(m)), "wait; it must keep up with the writes"
	case codeSnapshotting:
		return "is receiving a snapshot", "wait"
	case codeQuorum:
		return fmt.Sprintf("is not promoted: only %d of %d voters answer, and a quorum would be lost should it fail as a voter", active(v.voters), voters),
			v.startVoters()
	case codeSpreadQuorum:
		return fmt.Sprintf("would spread the votes better over the zones, but only %d of %d voters answer, and a quorum would be lost should it fail as a voter", active(v.voters), voters),
			v.startVoters()
	case codeAnnounced:
		return "stays a learner: it was announced as one, and nobody has promoted it yet", "`muster promote " + name(m) + "`, or `etcdctl member promote`"
	case codeReplacesLiving:
		other, _ := v.rival(m)
		return fmt.Sprintf("is not promoted: another member of that name answers, %s", other.Member.ID),
			"stop one of the two for good, or give it another name"
	}
	return "", ""
}

// ofAbsent says what becomes of a learner that doesn't answer.
func (v *view) ofAbsent(m MemberSeen, code string) (text, wayOut string) {
	switch code {
	case codeNotActive:
		text, wayOut = "doesn't answer", "start it, or see why the leader can't reach it"
		switch {
		case m.Unseen && v.policy.LearnerExpiryTicks > 0:
			text += fmt.Sprintf("; it has never shown up, and is removed after %s", v.span(v.policy.LearnerExpiryTicks))
		case v.policy.RemoveTicks > 0:
			text += fmt.Sprintf("; it is removed after %s", v.span(v.policy.RemoveTicks))
		}
		return text, wayOut
	case codeRemovalWaits:
		return fmt.Sprintf("hasn't answered for %s, and isn't removed yet: %s", v.span(m.SilentTicks), v.lacking(m)),
			"start it; or bring other members up, so that nothing depends on it; or `muster remove " + name(m) + "`"
	}
	return "", ""
}

// lacking is why the cluster can't do without a learner that is gone.
func (v *view) lacking(m MemberSeen) string {
	switch n := len(v.voters); {
	case n < v.target:
		return fmt.Sprintf("there are %d of %s", n, event.Count(v.target, "voter"))
	case active(v.voters) < n:
		return fmt.Sprintf("only %d of %s answer", active(v.voters), event.Count(n, "voter"))
	case v.needed([]MemberSeen{m}):
		return "with one member fewer, there would be too many voters"
	}
	return "other changes go first"
}

// ofVoter says what is the matter with a voter.
func (v *view) ofVoter(m MemberSeen, code string) (text, wayOut string) {
	switch code {
	case codeSilentVoter:
		return "is a voter and doesn't answer" + v.substitute(m), "start it; " + v.goneForGood(m)
	case codeWiped:
		s, _ := v.successor(m)
		return fmt.Sprintf("doesn't answer, and its disk is gone: the new %s (%s) takes its place when it is ready", name(s), s.Member.ID), "wait"
	case codeNoStandby:
		return fmt.Sprintf("is a voter, hasn't answered for %s, and no learner is ready to take its place", v.span(m.SilentTicks)),
			"start it; " + v.goneForGood(m)
	case codeKeptForFloor:
		return fmt.Sprintf("is a voter more than the target of %d asks for, and kept for the floor of %d", v.target, v.floor),
			fmt.Sprintf("nothing to do; to have fewer voters: `muster policy set floor=%d`", v.target)
	case codeLeaderZoneEmpty:
		return fmt.Sprintf("leads from %s, as there is no voter in %s", v.place(m), strings.Join(v.policy.LeaderZones[:v.rank(m)], " or ")),
			"add a member there, or change leader-zones"
	}
	return "", ""
}

// substitute is what becomes of a silent voter's place, as a clause.
func (v *view) substitute(m MemberSeen) string {
	switch {
	case len(v.takers(m)) == 0:
		return ", and no learner is ready to take its place"
	case v.policy.DeadTicks <= 0:
		return "; nothing takes its place by itself, as dead-after is never"
	}
	return fmt.Sprintf("; after %s a learner that is ready takes its place", v.span(v.policy.DeadTicks))
}

// goneForGood is the way out of a voter that will not come back: to remove it,
// if that would not be refused.
func (v *view) goneForGood(m MemberSeen) string {
	remove := "`muster remove " + name(m) + "`"
	if _, no := v.removeVoter(m); no != nil {
		return "if it is gone for good, add a member first, then " + remove
	}
	return "if it is gone for good, " + remove
}

// startVoters is the way out where too few voters answer.
func (v *view) startVoters() string {
	var down, wiped []string
	for _, m := range v.voters {
		if _, ok := v.successor(m); ok && !m.Active {
			wiped = append(wiped, name(m))
		} else if !m.Active {
			down = append(down, name(m))
		}
	}
	if len(down) == 0 {
		return "wait until the place of " + listed(wiped) + " is taken by the member with the new disk"
	}
	return "start the voters that are down: " + listed(down)
}

// ofChange says why a change is made.
func (v *view) ofChange(m MemberSeen, code string) (text, wayOut string) {
	voters := len(v.voters)
	switch code {
	case codePromoting:
		return fmt.Sprintf("becomes a voter: %d of %d are there", voters, v.target), ""
	case codeDemoting:
		return fmt.Sprintf("becomes a learner: %d voters where %d do", voters, v.target), ""
	case codeDropping:
		return fmt.Sprintf("becomes a learner: it hasn't answered for %s, and counts against the quorum", v.span(m.SilentTicks)), ""
	case codeExpired:
		return fmt.Sprintf("is removed: it was added, and has not shown up for %s", v.span(m.SilentTicks)), ""
	case codeCleaning:
		return fmt.Sprintf("is removed: it hasn't answered for %s, and nothing depends on it", v.span(m.SilentTicks)), ""
	case codeBurying:
		s, _ := v.successor(m)
		return fmt.Sprintf("is removed: its disk is gone, and %s has its name", s.Member.ID), ""
	case codeLeaderZone:
		return fmt.Sprintf("takes leadership over: %s is preferred to %s", v.place(m), v.place(v.leader())), ""
	}
	return "", ""
}

// heldBack says why a voter in a better zone doesn't lead yet.
func (v *view) heldBack(m MemberSeen, code string) event.Reason {
	cause, wayOut := v.ofLearner(m, code)
	if code == codeNotActive {
		cause, wayOut = "doesn't answer", "start it"
	}
	return say(m, codeLeaderZoneWaits, wayOut, "should lead, as %s is preferred, but %s", v.place(m), cause)
}

// place is a member's zone in words.
func (v *view) place(m MemberSeen) string {
	if m.Member.Zone == "" {
		return "no zone"
	}
	return "zone " + m.Member.Zone
}

func (v *view) crowding(m MemberSeen) string {
	return fmt.Sprintf("%s has %d of %d votes", v.place(m), crowdOf(v.voters)[zone(m)], len(v.voters))
}

func (v *view) behind(m MemberSeen) string {
	n := int(v.LastIndex - min(m.Match, v.LastIndex))
	if n == 1 {
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", n)
}

// span is a number of ticks in words.
func (v *view) span(ticks int) string { return span(ticks, v.policy.Tick) }

func span(ticks int, tick cluster.Duration) string {
	if tick <= 0 {
		return event.Count(ticks, "tick")
	}
	d := time.Duration(ticks) * time.Duration(tick)
	if d >= time.Second {
		d -= d % time.Second
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func are(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

func name(m MemberSeen) string {
	if m.Member.Name != "" {
		return m.Member.Name
	}
	return m.Member.ID.String()
}
