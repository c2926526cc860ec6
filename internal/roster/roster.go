package roster

import (
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
	// Stopping: it has said that it is about to stop, and is not promoted.
	Stopping bool
}

// Seen is the cluster as its leader sees it.
type Seen struct {
	Leader    cluster.NodeID // 0: this node doesn't lead, and nothing is planned
	Members   []MemberSeen   // sorted by ID, no duplicates
	Removed   []cluster.NodeID
	Joint     bool   // a joint configuration is in force
	Pending   bool   // a change is in flight
	Paused    string // why an operator stopped automatic changes, "" if none did; what is asked for by name goes on
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
	// Tick is the length of a tick, for the words of reasons alone; 0: they
	// count ticks.
	Tick cluster.Duration
}

const defaultStabilityTicks = 10

func (p Policy) withDefaults() Policy {
	if p.TargetVoters <= 0 {
		p.TargetVoters = cluster.DefaultTargetVoters
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
