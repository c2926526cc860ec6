package roster

import (
	"slices"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
)

// MemberSeen is one member as the leader sees it.
type MemberSeen struct {
	Member       cluster.Member
	Match        uint64 // highest log index known to be on its disk
	Active       bool   // answered within an election timeout
	ActiveTicks  int    // for how long without a break
	CaughtUp     bool   // its last catch-up round was shorter than an election timeout
	Snapshotting bool   // a snapshot is on its way to it
	// Unseen: a learner of which it is known that it has not once answered
	// since it was added. When in doubt, false.
	Unseen bool
	// SilentTicks is for how long it has not answered, as far as this leader
	// can tell; 0 while Active.
	SilentTicks int
}

// Seen is the cluster as its leader sees it.
type Seen struct {
	Leader    cluster.NodeID // 0: this node doesn't lead, and nothing is planned
	Members   []MemberSeen   // sorted by ID, no duplicates
	Removed   []cluster.NodeID
	Joint     bool   // a joint configuration is in force
	Pending   bool   // a change is in flight
	Paused    string // why an operator stopped automatic changes, "" if none did; removals go on
	LastIndex uint64 // of the leader's log
}

// Policy is what the roster aims at.
type Policy struct {
	// TargetVoters is how many voters there should be; 0 means 5. An even
	// number counts as the odd one below it.
	TargetVoters int
	// Floor is below how many voters no change brings the cluster; 0 means
	// [Target] of the members that there are before the change.
	Floor int
	// StabilityTicks is for how long a learner must have answered without a
	// break before it is promoted, in ticks; 0 means 10.
	StabilityTicks int
	// LearnerExpiryTicks is after how long a learner that never showed up is
	// removed, in ticks; 0 means never.
	LearnerExpiryTicks int
	// DeadTicks is after how long a silence a voter makes room for a learner
	// that is ready, in ticks; 0 means never.
	DeadTicks int
	// RemoveTicks is after how long a silence a learner that voters enough can
	// do without is removed, in ticks; 0 means never.
	RemoveTicks int
	// LeaderZones are the zones that the leader should be in, best first.
	LeaderZones []string
}

const (
	defaultTargetVoters   = 5
	defaultStabilityTicks = 10
)

func (p Policy) withDefaults() Policy {
	if p.TargetVoters <= 0 {
		p.TargetVoters = defaultTargetVoters
	}
	if p.StabilityTicks <= 0 {
		p.StabilityTicks = defaultStabilityTicks
	}
	return p
}

// Change is one membership change, to happen as a whole. Each list is sorted.
// A member is in at most one of them.
type Change struct {
	Promote, Demote, Remove []cluster.NodeID
	// Lead is to whom leadership is to be handed; 0: it stays. With it, the
	// lists are empty.
	Lead cluster.NodeID
}

// Empty says that there is nothing to do.
func (c Change) Empty() bool { return len(c.Promote)+len(c.Demote)+len(c.Remove) == 0 && c.Lead == 0 }

// Why is the reasons for a change, or for the lack of one, sorted by member and
// code. Codes are stable.
type Why []event.Reason

// Target is how many voters a cluster of so many members should have: the
// largest odd number that is no more than the members and no more than the
// policy's. With the default policy that is 5, or 3 with fewer than five
// members, or 1 with fewer than three.
func Target(members int, p Policy) int {
	n := min(members, p.withDefaults().TargetVoters)
	if n%2 == 0 {
		n--
	}
	return max(n, 1)
}

func majority(voters int) int { return voters/2 + 1 }

// view is Seen, sorted out.
type view struct {
	Seen
	policy   Policy
	voters   []MemberSeen // sorted by ID
	learners []MemberSeen // sorted by ID
	target   int
}

func newView(s Seen, p Policy) view {
	v := view{Seen: s, policy: p.withDefaults(), target: Target(len(s.Members), p)}
	for _, m := range s.Members {
		m.Active = m.Active || m.Member.ID == s.Leader
		if m.Member.Role == cluster.Voter {
			v.voters = append(v.voters, m)
		} else {
			v.learners = append(v.learners, m)
		}
	}
	return v
}

// ready says whether a learner could be promoted, going by itself alone.
func (v *view) ready(m MemberSeen) bool { return v.unready(m) == "" }

// unready is the code of why a learner can't be promoted yet, or "".
func (v *view) unready(m MemberSeen) string {
	switch {
	case !m.Active:
		return codeNotActive
	case m.Snapshotting:
		return codeSnapshotting
	case !m.CaughtUp:
		return codeCatchingUp
	case m.ActiveTicks < v.policy.StabilityTicks:
		return codeNotStable
	}
	return ""
}

// readyLearners lists the learners that could be promoted, sorted by ID.
func (v *view) readyLearners() []MemberSeen {
	return slices.DeleteFunc(slices.Clone(v.learners), func(m MemberSeen) bool { return !v.ready(m) })
}

// holds says whether a configuration of the kept voters and the newcomers has
// a quorum when the newcomers are dead. Where at most one voter is kept, that
// can't be: then all newcomers but one must do, or the only one.
func holds(kept []MemberSeen, newcomers int) bool {
	have := active(kept)
	switch {
	case len(kept) == 0:
		have = newcomers
	case len(kept) == 1 && newcomers > 1:
		have += newcomers - 1
	}
	return have >= majority(len(kept)+newcomers)
}

func active(ms []MemberSeen) int {
	n := 0
	for _, m := range ms {
		if m.Active {
			n++
		}
	}
	return n
}

// expendable orders voters by which to demote first: those that don't answer,
// those that lag, the highest ID. The leader is not among them.
func expendable(voters []MemberSeen, leader cluster.NodeID) []MemberSeen {
	out := slices.DeleteFunc(slices.Clone(voters), func(m MemberSeen) bool { return m.Member.ID == leader })
	slices.SortFunc(out, func(a, b MemberSeen) int {
		switch {
		case a.Active != b.Active:
			if b.Active {
				return -1
			}
			return 1
		case a.Match != b.Match:
			if a.Match < b.Match {
				return -1
			}
			return 1
		case a.Member.ID > b.Member.ID:
			return -1
		}
		return 1
	})
	return out
}

// ids lists the members' IDs, sorted.
func ids(ms []MemberSeen) []cluster.NodeID {
	var out []cluster.NodeID
	for _, m := range ms {
		out = append(out, m.Member.ID)
	}
	slices.Sort(out)
	return out
}

// without is ms less those in gone.
func without(ms, gone []MemberSeen) []MemberSeen {
	return slices.DeleteFunc(slices.Clone(ms), func(m MemberSeen) bool {
		return slices.ContainsFunc(gone, func(g MemberSeen) bool { return g.Member.ID == m.Member.ID })
	})
}
