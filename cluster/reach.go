package cluster

// Reach is what one member knows of its links and of the election. Members ask
// each other for it: that a link works in one direction alone shows only when
// both ends are heard. Lengths of time are in milliseconds.
type Reach struct {
	Self     NodeID   `json:"self"`
	Name     string   `json:"name"`
	Leader   NodeID   `json:"leader,omitempty"` // 0: none known
	State    string   `json:"state"`            // as in [Status]
	Election Election `json:"election"`
	Links    []Link   `json:"links"` // sorted by peer
}

// Link finds the link to a peer.
func (r *Reach) Link(peer NodeID) (Link, bool) {
	for _, l := range r.Links {
		if l.Peer == peer {
			return l, true
		}
	}
	return Link{}, false
}

// Link is what a member knows of one other.
type Link struct {
	Peer      NodeID `json:"peer"`
	Connected bool   `json:"connected"`         // the connection that this member dials stands, and the peer confirms what comes
	For       int64  `json:"for_ms"`            // since when it does, or doesn't
	Heard     int64  `json:"heard_ms"`          // since the peer was heard on the connection that it dials; -1: never
	Err       string `json:"err,omitempty"`     // why there is no connection
	Refused   bool   `json:"refused,omitempty"` // because one of the two refuses the other
}

// heardLimit is how old the last sign of life of a peer may be, which comes
// every second, in milliseconds.
const heardLimit = 3000

// Hears says that the peer was heard just now.
func (l Link) Hears() bool { return l.Heard >= 0 && l.Heard < heardLimit }

// Silence is for how long the peer has not been heard, in milliseconds: since
// there is no connection, when it never was.
func (l Link) Silence() int64 {
	if l.Heard < 0 {
		return l.For
	}
	return l.Heard
}

// Election is what one member has seen of the votes since it last knew a leader.
type Election struct {
	Term       uint64   `json:"term"`
	Vote       NodeID   `json:"vote,omitempty"` // whom this member voted for in that term; 0: nobody, or that election is over
	Leaderless int64    `json:"leaderless_ms"`  // since no leader is known; 0: one is
	Ballots    []Ballot `json:"ballots"`        // sorted by candidate and voter
}

// Ballot is one member's answer to one that wants to lead.
type Ballot struct {
	Candidate NodeID      `json:"candidate"`
	Voter     NodeID      `json:"voter"`
	Term      uint64      `json:"term"`          // in which the candidate would lead
	Poll      bool        `json:"poll"`          // asked before the election, whether it could be won (Raft thesis §9.6)
	Granted   bool        `json:"granted"`       //
	Why       VoteRefusal `json:"why,omitempty"` // not granted, where the reason is known
	Ago       int64       `json:"ago_ms"`
}

// VoteRefusal is why a member doesn't vote for another; stable.
type VoteRefusal string

// Why a vote is refused (Raft thesis §3.4, §3.6 and §4.2.3).
const (
	RefusedVoted       VoteRefusal = "voted"        // for another in this term
	RefusedLogBehind   VoteRefusal = "log_behind"   // the candidate's log lacks something that the voter's has
	RefusedHearsLeader VoteRefusal = "hears_leader" // the voter has a leader
	RefusedOldTerm     VoteRefusal = "old_term"     // the candidate's term is over
)
