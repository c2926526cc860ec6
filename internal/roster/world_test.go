package roster

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/musterhq/muster/cluster"
)

// anything is a cluster in any state; its leader has a quorum, as leaders do.
func anything(r *rand.Rand) (Seen, Policy) {
	for {
		s, zones := Seen{LastIndex: 1000}, 1+r.IntN(5)
		for i := range 1 + r.IntN(9) {
			s.Members = append(s.Members, anybody(r, cluster.NodeID(i+1), zones))
		}
		pairs(r, s.Members)
		var voters []MemberSeen
		for _, m := range s.Members {
			if m.Member.Role == cluster.Voter && m.Active {
				voters = append(voters, m)
			}
		}
		if len(voters) == 0 {
			continue
		}
		s.Leader = voters[r.IntN(len(voters))].Member.ID
		if v := newView(s, Policy{}); active(v.voters) < majority(len(v.voters)) {
			continue
		}
		return s, anyPolicy(r)
	}
}

// anybody is a member in any state, in one of so many zones, or in none.
func anybody(r *rand.Rand, id cluster.NodeID, zones int) MemberSeen {
	m := MemberSeen{
		Member: cluster.Member{ID: id, Role: cluster.Learner, Zone: []string{"", "a", "b", "c", "d"}[r.IntN(zones)]},
		Match:  uint64(r.IntN(1001)), Active: r.IntN(4) > 0, CaughtUp: r.IntN(4) > 0, Snapshotting: r.IntN(8) == 0, Stopping: r.IntN(10) == 0,
	}
	if m.Active {
		m.ActiveTicks = r.IntN(40)
	} else {
		m.SilentTicks, m.Unseen = r.IntN(200), r.IntN(3) == 0
	}
	if r.IntN(2) == 0 {
		m.Member.Role, m.Unseen = cluster.Voter, false
	} else if r.IntN(6) == 0 {
		m.Member.Wanted = cluster.Learner
	}
	return m
}

// pairs makes some the successors of others. At most one of two votes, and of
// several successors at most one does.
func pairs(r *rand.Rand, ms []MemberSeen) {
	for range r.IntN(3) {
		a, b := &ms[r.IntN(len(ms))], &ms[r.IntN(len(ms))]
		taken := slices.ContainsFunc(ms, func(o MemberSeen) bool { return o.Member.Replaces == b.Member.ID && o.Member.Role == cluster.Voter })
		if !taken && !follows(ms, b.Member.ID, a.Member.ID) && (a.Member.Role == cluster.Learner || b.Member.Role == cluster.Learner) {
			a.Member.Replaces = b.Member.ID
			if r.IntN(4) > 0 {
				a.Member.Zone = b.Member.Zone
			}
		}
	}
}

// follows says whether id is the other one or comes instead of it, or of one
// that does.
func follows(ms []MemberSeen, id, other cluster.NodeID) bool {
	for id != other && id != 0 {
		m, _ := find(ms, id)
		id = m.Member.Replaces
	}
	return id == other
}

func anyPolicy(r *rand.Rand) Policy {
	p := Policy{TargetVoters: r.IntN(8), StabilityTicks: r.IntN(20), LearnerExpiryTicks: 100 * r.IntN(2), DeadTicks: 30 * r.IntN(3), RemoveTicks: 90 * r.IntN(3)}
	if r.IntN(2) == 0 {
		p.Floor = r.IntN(7)
	}
	if r.IntN(3) == 0 {
		p.LeaderZones = []string{"b", "a"}[:1+r.IntN(2)]
	}
	return p
}

// apply is the cluster after a change.
func apply(s Seen, c Change) Seen {
	s.Members = slices.DeleteFunc(slices.Clone(s.Members), func(m MemberSeen) bool { return slices.Contains(c.Remove, m.Member.ID) })
	if c.Lead != 0 {
		s.Leader = c.Lead
	}
	for i := range s.Members {
		m := &s.Members[i].Member
		switch {
		case slices.Contains(c.Promote, m.ID):
			m.Role = cluster.Voter
		case slices.Contains(c.Demote, m.ID):
			m.Role = cluster.Learner
		}
	}
	return s
}

// described is a world as the stories write it.
func described(s Seen, p Policy) string {
	out := fmt.Sprintf("%+v\n", p)
	for _, m := range s.Members {
		out += fmt.Sprintf("n%d %s", m.Member.ID, m.Member.Role)
		for _, x := range []struct {
			ok   bool
			word string
		}{
			{m.Member.ID == s.Leader, "leader"}, {!m.Active, fmt.Sprint("down=", m.SilentTicks)}, {m.Active, fmt.Sprint("ticks=", m.ActiveTicks)},
			{!m.CaughtUp, "behind"}, {true, fmt.Sprint("match=", m.Match)}, {m.Snapshotting, "snapshot"}, {m.Unseen, "unseen"}, {m.Stopping, "stopping"},
			{m.Member.Wanted == cluster.Learner, "announced"},
			{m.Member.Zone != "", "zone=" + m.Member.Zone}, {m.Member.Replaces != 0, fmt.Sprint("replaces=", uint64(m.Member.Replaces))},
		} {
			if x.ok {
				out += " " + x.word
			}
		}
		out += "\n"
	}
	return out
}

// wrong says what a change breaks, "" if nothing; asked: somebody asked for it.
func wrong(s Seen, p Policy, c Change, asked bool) string {
	before, after := newView(s, p), newView(apply(s, c), p)
	all := slices.Concat(c.Promote, c.Demote, c.Remove)
	slices.Sort(all)
	switch {
	case len(slices.Compact(all)) != len(c.Promote)+len(c.Demote)+len(c.Remove):
		return "a member is in the change twice"
	case !slices.IsSorted(c.Promote) || !slices.IsSorted(c.Demote) || !slices.IsSorted(c.Remove):
		return "a list isn't sorted"
	case len(after.voters) == 0:
		return "no voter is left"
	case len(after.voters)%2 == 0 && len(after.voters) != len(before.voters):
		return "an even number of voters"
	case slices.Contains(c.Demote, s.Leader):
		return "the leader is demoted"
	case len(after.voters) < min(len(before.voters), floorOf(s, p)) && !asked:
		return "fewer voters than the floor"
	case bothVote(s) == 0 && bothVote(apply(s, c)) > 0:
		return "both of a pair vote"
	case c.Lead != 0 && (len(all) > 0 || !slices.ContainsFunc(before.voters, func(m MemberSeen) bool { return m.Member.ID == c.Lead && m.Active })):
		return "leadership goes to nobody that could lead, or not alone"
	}
	if bad := losesQuorum(after, c); bad != "" {
		return bad
	}
	for _, m := range s.Members {
		if slices.Contains(c.Promote, m.Member.ID) &&
			(m.Member.Role == cluster.Voter || !m.Active || !m.CaughtUp || m.Snapshotting || m.Stopping || m.ActiveTicks < p.StabilityTicks) {
			return "one that isn't ready is promoted"
		}
		if slices.Contains(c.Promote, m.Member.ID) && m.Member.Wanted == cluster.Learner {
			return "one that was announced as a learner is promoted"
		}
		if slices.Contains(c.Remove, m.Member.ID) && !asked {
			if bad := tooEarly(before, m); bad != "" {
				return bad
			}
		}
	}
	if asked {
		return ""
	}
	return senseless(before, after, c)
}

// tooEarly says why the planner may not remove a member by itself, yet.
func tooEarly(v view, m MemberSeen) string {
	expired := m.Unseen && v.policy.LearnerExpiryTicks > 0 && m.SilentTicks >= v.policy.LearnerExpiryTicks
	replaced := slices.ContainsFunc(v.Members, func(o MemberSeen) bool { return o.Active && o.Member.Replaces == m.Member.ID })
	switch {
	case m.Active || m.Member.Role == cluster.Voter:
		return "one that votes or answers is removed"
	case expired || replaced:
		return ""
	case m.SilentTicks < v.policy.RemoveTicks || v.policy.RemoveTicks == 0:
		return "one is removed that may come back"
	case len(v.voters) < v.target || active(v.voters) < len(v.voters):
		return "one is removed that isn't replaced"
	}
	return ""
}

// losesQuorum says whether the newcomers' death would cost the quorum.
func losesQuorum(after view, c Change) string {
	kept := slices.DeleteFunc(slices.Clone(after.voters), func(m MemberSeen) bool { return slices.Contains(c.Promote, m.Member.ID) })
	lost := len(c.Promote) // how many newcomers die
	switch len(kept) {
	case 0:
		lost = 0
	case 1:
		lost = min(1, lost)
	}
	if active(kept)+len(c.Promote)-lost < majority(len(after.voters)) {
		return "no quorum if the newcomers die"
	}
	return ""
}

// senseless says what a change of the planner's own takes for nothing.
func senseless(before, after view, c Change) string {
	surplus, better := len(before.voters) > before.target, squares(after) < squares(before)
	for _, m := range before.voters {
		dead := !m.Active && before.policy.DeadTicks > 0 && m.SilentTicks >= before.policy.DeadTicks
		wiped := !m.Active && slices.ContainsFunc(before.learners, func(o MemberSeen) bool { return o.Active && o.Member.Replaces == m.Member.ID })
		if slices.Contains(c.Demote, m.Member.ID) && !dead && !wiped && !surplus && !better {
			return "a vote is taken for nothing"
		}
	}
	switch {
	case len(c.Demote) > len(c.Promote) && !surplus && before.policy.Floor == 0:
		return "a voter is demoted that nobody replaces"
	case active(after.voters) < active(before.voters) && !surplus:
		return "fewer voters answer than before"
	}
	return ""
}

func squares(v view) int {
	zones, sum := map[string]int{}, 0
	for _, m := range v.voters {
		z := m.Member.Zone
		if z == "" {
			z = "of " + m.Member.ID.String()
		}
		sum += 2*zones[z] + 1
		zones[z]++
	}
	return sum
}

func floorOf(s Seen, p Policy) int {
	if p.Floor > 0 {
		return p.Floor
	}
	n := len(s.Members)
	for _, m := range s.Members {
		if m.Member.Wanted == cluster.Learner {
			n--
			continue
		}
		if m.Member.Role == cluster.Learner && slices.ContainsFunc(s.Members, func(o MemberSeen) bool {
			return o.Member.ID == m.Member.Replaces || o.Member.Replaces == m.Member.ID && o.Member.Role == cluster.Voter
		}) {
			n--
		}
	}
	return Target(n, p)
}

// bothVote counts the pairs of which both vote.
func bothVote(s Seen) int {
	n := 0
	for _, m := range s.Members {
		for _, o := range s.Members {
			if o.Member.ID == m.Member.Replaces && m.Member.Role == cluster.Voter && o.Member.Role == cluster.Voter {
				n++
			}
		}
	}
	return n
}
