package roster

import (
	"fmt"
	"slices"
	"strings"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
)

// PlanPromote is the change that follows when somebody asks for a learner's
// promotion by name. It is what [Plan] would do if nobody had said that the
// learner stays one, as far as that concerns it. An empty change without a reason
// says that nothing stands against it but the number of voters that there should
// be: it is on standby from then on, and votes when the policy wants one more.
//
// The reason is nil, or says why it is refused; the change is then empty.
//
// Codes: unknown_member, already_removed and not_learner don't pass; no_leader,
// change_pending and no_quorum do by themselves, and so do those of a learner
// that isn't ready (not_active, stopping, receiving_snapshot, catching_up,
// not_stable), would_lose_quorum and replaces_living.
func PlanPromote(s Seen, p Policy, id cluster.NodeID) (Change, *event.Reason) {
	s.Members = slices.Clone(s.Members)
	wanted := false // by somebody, as a voter
	for i := range s.Members {
		if m := &s.Members[i].Member; m.ID == id {
			wanted, m.Wanted = m.Wanted == cluster.Voter, cluster.Voter
		}
	}
	v := newView(s, p)
	m, r := v.named(id)
	switch {
	case r != nil:
		return Change{}, r
	case m.Member.Role == cluster.Voter:
		return refuse(codeNotLearner, id, name(m)+" is a voter already", "nothing is left to do")
	case wanted:
		return refuse(codeNotLearner, id, name(m)+" is not kept a learner: it votes as soon as the policy wants one more voter", "`muster why` says what it waits for")
	}
	c, _ := v.next()
	if slices.Contains(c.Promote, id) {
		return c, nil
	}
	code := v.unready(m)
	if code == "" {
		if code = v.learning(m, Change{}); code != codeQuorum && code != codeReplacesLiving {
			return Change{}, nil
		}
	}
	why := v.reason(m, code)
	return Change{}, &why
}

// NotThere says that one that is only announced can't be promoted.
func NotThere(id cluster.NodeID, a cluster.Announced) *event.Reason {
	return &event.Reason{Code: codeNotThere, Peer: id,
		Text:   fmt.Sprintf("the member that is announced at %s has not joined yet", strings.Join(a.Addrs(), " or ")),
		WayOut: "start it"}
}
