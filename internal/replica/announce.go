package replica

import (
	"fmt"
	"slices"
	"strings"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/roster"
	"github.com/musterhq/muster/internal/wire"
)

// Why a change that concerns announcements is refused; stable.
const (
	refusedAddrTaken = "peer_addr_taken" // somebody is there already, or is announced there
	refusedIDTaken   = "id_taken"        // the ID that was drawn is another's
	refusedUnknown   = "unknown_member"  // nobody has that ID
	refusedInvalid   = "invalid"
)

// resolve turns what somebody asked for by an ID that isn't a member's own into
// what is to happen: that ID is the alias of a member, or an announcement's. It
// is the leader who does so: an announcement may have been taken up meanwhile.
func (r *Replica) resolve(c wire.Change) wire.Change {
	if len(c.Steps) != 1 || c.Steps[0].Op == wire.OpAdd || c.Steps[0].Op == wire.OpAnnounce {
		return c
	}
	s := c.Steps[0]
	if _, ok := r.membership.Announcement(s.Member.ID); ok && s.Op == wire.OpRemove {
		s.Op = wire.OpWithdraw
	} else if m, ok := r.membership.Known(s.Member.ID); ok && s.Op != wire.OpUpdate {
		s.Member.ID = m.ID
	}
	c.Steps = []wire.Step{s}
	return c
}

// letVote is what is to be done for a learner whose promotion is asked for by
// name: it is promoted, or what kept the roster from it is lifted.
func (r *Replica) letVote(c wire.Change, id cluster.NodeID) (wire.Change, *wire.ChangeReply) {
	if a, ok := r.membership.Announcement(id); ok {
		return c, r.refuses(roster.NotThere(id, a))
	}
	plan, why := roster.PlanPromote(r.atTurn(), r.policy(), id)
	switch {
	case why != nil:
		return c, r.refuses(why)
	case plan.Empty():
		c.Steps = []wire.Step{{Op: wire.OpWant, Member: cluster.Member{ID: id, Wanted: cluster.Voter}}}
	default:
		c.Steps = steps(plan)
	}
	return c, nil
}

// aboutAnnounced says whether a step is checked and applied here.
func aboutAnnounced(op wire.ChangeOp) bool {
	return op == wire.OpAnnounce || op == wire.OpWithdraw || op == wire.OpReaddress || op == wire.OpWant
}

// checkAnnounced says why such a step can't be applied to m: a code and a
// sentence, or "".
func checkAnnounced(m *cluster.Membership, s wire.Step) (code, why string) {
	id := s.Member.ID
	mem, isMember := m.Member(id)
	_, announced := m.Announcement(id)
	switch s.Op {
	case wire.OpAnnounce:
		if _, known := m.Known(id); known || announced || buried(m, id) || id == 0 {
			return refusedIDTaken, fmt.Sprintf("the ID %s is in use", id)
		}
	case wire.OpWithdraw:
		if !announced {
			return refusedUnknown, fmt.Sprintf("nobody is announced by the ID %s", id)
		}
		return "", ""
	case wire.OpWant:
		switch {
		case !isMember:
			return refusedUnknown, fmt.Sprintf("no member has the ID %s", id)
		case mem.Role == cluster.Voter || s.Member.Wanted != cluster.Voter:
			return refusedInvalid, fmt.Sprintf("member %s (%s) is no learner", id, mem.Name)
		}
		return "", ""
	case wire.OpReaddress:
		if !isMember && !announced {
			return refusedUnknown, fmt.Sprintf("no member has the ID %s", id)
		}
	}
	return checkAddrs(m, s, isMember)
}

func checkAddrs(m *cluster.Membership, s wire.Step, isMember bool) (code, why string) {
	switch a := s.Announced; {
	case a == nil || len(a.PeerURLs) == 0 || slices.Contains(a.Addrs(), ""):
		return refusedInvalid, "a member needs a peer address"
	case isMember && len(a.PeerURLs) > 1:
		return refusedInvalid, "a member has one peer address"
	}
	for _, addr := range s.Announced.Addrs() {
		if other, taken := m.At(addr, s.Member.ID); taken {
			return refusedAddrTaken, fmt.Sprintf("the peer address %s is that of %s", addr, other)
		}
	}
	return "", ""
}

func buried(m *cluster.Membership, id cluster.NodeID) bool {
	_, ok := m.Tombstone(id)
	return ok
}

// applyAnnounced carries out a step that was checked.
func (r *Replica) applyAnnounced(index uint64, s wire.Step) {
	m := &r.membership
	switch s.Op {
	case wire.OpAnnounce:
		a := *s.Announced
		a.ID, a.Index = s.Member.ID, index
		m.Announce(a)
		r.tell(index, event.MemberAnnounced{Announced: a})
	case wire.OpWithdraw:
		a, _ := m.Announcement(s.Member.ID)
		m.Withdraw(a.ID)
		r.tell(index, event.AnnouncementWithdrawn{Announced: a, Withdrawn: index})
	case wire.OpReaddress:
		if a, ok := m.Announcement(s.Member.ID); ok {
			a.PeerURLs = s.Announced.PeerURLs
			m.Announce(a)
			return
		}
		mem, _ := m.Member(s.Member.ID)
		mem.MovesTo = s.Announced.Addrs()[0]
		m.Put(mem.Renewed(mem)) // where it is already, it doesn't move to
	case wire.OpWant:
		mem, _ := m.Member(s.Member.ID)
		mem.Wanted = s.Member.Wanted
		m.Put(mem)
		r.peers.why = slices.DeleteFunc(slices.Clone(r.peers.why), func(x event.Reason) bool { return x.Peer == mem.ID }) // until the next plan
	}
}

// whyAnnounced names those that are announced and haven't joined.
func (r *Replica) whyAnnounced() []event.Reason {
	if r.termStart == 0 {
		return nil
	}
	var out []event.Reason
	for _, a := range r.membership.Announced {
		at := strings.Join(a.Addrs(), " or ")
		out = append(out, event.Reason{Code: "announced", Peer: a.ID, Addr: a.Addrs()[0],
			Text:   fmt.Sprintf("a %s is announced at %s (%s), and no node has joined from there", roleOf(a), at, a.ID),
			WayOut: fmt.Sprintf("start it with that address as the one that it advertises to peers; or take the announcement back with `muster remove %s`", a.ID)})
	}
	return out
}

func roleOf(a cluster.Announced) string {
	if a.Learner {
		return "learner"
	}
	return "member"
}
