package wire

import (
	"fmt"

	"github.com/musterhq/muster/cluster"
)

// Request is one question on a control connection: exactly one field is set.
type Request struct {
	Probe   *Probe   `json:"probe,omitempty"`
	Prepare *Prepare `json:"prepare,omitempty"`
	Accept  *Accept  `json:"accept,omitempty"`
	Commit  *Commit  `json:"commit,omitempty"`
	Join    *Join    `json:"join,omitempty"`
	Change  *Change  `json:"change,omitempty"`
	Reach   *Reach   `json:"reach,omitempty"`
}

// Response answers a Request; the field of the same name is set, or Nack.
type Response struct {
	Probe   *ProbeReply  `json:"probe,omitempty"`
	Promise *Promise     `json:"promise,omitempty"`
	Accept  *AcceptReply `json:"accept,omitempty"`
	Commit  *CommitReply `json:"commit,omitempty"`
	Join    *JoinReply   `json:"join,omitempty"`
	Change  *ChangeReply `json:"change,omitempty"`
	Reach   *ReachReply  `json:"reach,omitempty"`
	Nack    *Nack        `json:"nack,omitempty"`
}

// Nack says that the question was not acted on, and why.
type Nack struct {
	Code   string `json:"code"`   // stable snake_case
	Reason string `json:"reason"` // one sentence
}

// Error implements error.
func (n *Nack) Error() string { return fmt.Sprintf("%s: %s", n.Code, n.Reason) }

// Probe asks a node for what it knows; its Hello already says who it is.
type Probe struct{}

// ProbeReply lists the addresses that a node knows, so that others learn them.
type ProbeReply struct {
	Known   []string `json:"known,omitempty"`   // peer addresses, sorted
	Genesis []byte   `json:"genesis,omitempty"` // the genesis it was founded by, if it is a founder

	// Sees are those that answer the node and with which it could found, if it
	// founds with whom it meets; sorted.
	Sees []cluster.Incarnation `json:"sees,omitempty"`
}

// Ballot orders founding attempts: by Counter, then by Incarnation.
type Ballot struct {
	Counter uint64              `json:"counter"`
	Node    cluster.Incarnation `json:"node"`
}

// IsZero says that no ballot was seen yet.
func (b Ballot) IsZero() bool { return b == Ballot{} }

// Compare orders ballots.
func (b Ballot) Compare(o Ballot) int {
	switch {
	case b.Counter < o.Counter:
		return -1
	case b.Counter > o.Counter:
		return 1
	}
	return b.Node.Compare(o.Node)
}

// Prepare asks for a promise (phase 1 of founding).
type Prepare struct {
	Ballot   Ballot              `json:"ballot"`
	To       cluster.Incarnation `json:"to"`               // must be the answering disk
	Founders []Identity          `json:"founders"`         // sorted by incarnation
	Seeds    []string            `json:"seeds"`            // the proposer's list, sorted
	Expect   int                 `json:"expect,omitempty"` // and how many founders it expects; 0: the seeds
}

// Promise answers Prepare, durably: no lower ballot will be answered.
type Promise struct {
	Ballot   Ballot `json:"ballot"`            // the ballot promised
	Accepted Ballot `json:"accepted"`          // of the genesis accepted before; zero: none
	Genesis  []byte `json:"genesis,omitempty"` // that genesis
	Refused  string `json:"refused,omitempty"` // not promised, and why (a sentence)
	Code     string `json:"code,omitempty"`    // why, stable: seeds_differ, name_differs, not_blank, wrong_disk, ballot_low
}

// Accept asks to accept a genesis (phase 2).
type Accept struct {
	Ballot  Ballot              `json:"ballot"`
	To      cluster.Incarnation `json:"to"`
	Genesis []byte              `json:"genesis"`
}

// AcceptReply answers Accept, durably.
type AcceptReply struct {
	Ballot  Ballot `json:"ballot"`
	Refused string `json:"refused,omitempty"`
	Code    string `json:"code,omitempty"`
}

// Commit says that every founder accepted the genesis.
type Commit struct {
	Genesis []byte `json:"genesis"`
}

// CommitReply answers Commit, durably.
type CommitReply struct {
	Refused string `json:"refused,omitempty"`
	Code    string `json:"code,omitempty"`
}

// Join asks to be added. Asking again with the same identity is harmless.
type Join struct {
	Self      Identity `json:"self"`
	Cluster   string   `json:"cluster"`
	Forwarded bool     `json:"forwarded,omitempty"` // by a member to its leader; goes no further
}

// JoinStatus is how far a join has come.
type JoinStatus string

const (
	JoinPending JoinStatus = "pending" // queued or proposed: ask again
	JoinDone    JoinStatus = "joined"  // applied; Membership has it
	JoinRefused JoinStatus = "refused" // will not happen; Reason says why
)

// JoinReply answers Join from the applied state of the leader.
type JoinReply struct {
	Status     JoinStatus          `json:"status"`
	Code       string              `json:"code,omitempty"` // why pending or refused, stable
	Reason     string              `json:"reason,omitempty"`
	Index      uint64              `json:"index,omitempty"` // at which it was applied
	Leader     cluster.NodeID      `json:"leader,omitempty"`
	Membership *cluster.Membership `json:"membership,omitempty"` // JoinDone: all members, the leader too

	// Met are the runs that the leader has met: the newcomer was not there.
	Met map[cluster.NodeID]Run `json:"met,omitempty"`
}

// ChangeOp is what a membership change does to one member.
type ChangeOp string

const (
	OpAdd      ChangeOp = "add"      // as a learner
	OpPromote  ChangeOp = "promote"  // learner to voter
	OpDemote   ChangeOp = "demote"   // voter to learner
	OpRemove   ChangeOp = "remove"   // for good
	OpUpdate   ChangeOp = "update"   // name, addresses, zone
	OpReform   ChangeOp = "reform"   // leave this one alone, as the only voter: written to a stopped member's log and nowhere else
	OpTransfer ChangeOp = "transfer" // leadership; not a change of the membership

	// Members that are to come, and what was said of those that have; no change of
	// raft's configuration.
	OpAnnounce  ChangeOp = "announce"  // Announced is to come
	OpWithdraw  ChangeOp = "withdraw"  // an announcement, whose ID is Member's
	OpReaddress ChangeOp = "readdress" // of the member or announcement with Member's ID: Announced.PeerURLs are its addresses, or will be
	OpWant      ChangeOp = "want"      // Member.Wanted is the role that the member should have

	// OpVote asks the leader to promote a learner, or to let the roster do so.
	OpVote ChangeOp = "vote"

	// OpStandDown asks the leader to give the voter's role to another member,
	// if one is ready: it is about to stop.
	OpStandDown ChangeOp = "stand_down"
)

// Step is one part of a change.
type Step struct {
	Op     ChangeOp       `json:"op"`
	Member cluster.Member `json:"member"` // ID always; the rest for add and update

	Announced *cluster.Announced `json:"announced,omitempty"` // announce, readdress

	BelowFloor bool `json:"below_floor,omitempty"` // remove: even if too few voters are left by the policy
}

// Change asks for, or in the log is, one membership change. All steps happen
// together (joint consensus, Raft thesis §4.3) or none.
type Change struct {
	Request   string `json:"request"` // request ID, chosen by who asks; unique for ever
	Steps     []Step `json:"steps,omitempty"`
	Why       string `json:"why,omitempty"`       // who wanted it and for what, for people
	Forwarded bool   `json:"forwarded,omitempty"` // by a member to its leader; goes no further

	// Policy are settings of the policy to be changed, by cluster.Policy's keys;
	// instead of steps.
	Policy     map[string]string `json:"policy,omitempty"`
	Generation uint64            `json:"generation,omitempty"` // OpReform: that begins with it
}

// ChangeStatus is what became of a change.
type ChangeStatus string

const (
	ChangeApplied ChangeStatus = "applied"
	ChangeRefused ChangeStatus = "refused"
	ChangeUnknown ChangeStatus = "unknown" // ask again with the same request ID
	ChangePending ChangeStatus = "pending" // not decided yet: ask again with the same request ID
)

// ChangeReply answers Change.
type ChangeReply struct {
	Status ChangeStatus   `json:"status"`
	Index  uint64         `json:"index,omitempty"`
	Code   string         `json:"code,omitempty"`
	Reason string         `json:"reason,omitempty"`
	Leader cluster.NodeID `json:"leader,omitempty"`
}
