package wire

import (
	"fmt"

	"github.com/musterhq/muster/cluster"
)

// Protocol is the version of everything in this package. Nodes of different
// versions refuse each other with [RefusedProtocol].
const Protocol = 1

// Purpose says what a connection is for.
type Purpose string

const (
	ForControl  Purpose = "control"  // one Request, one Response
	ForMessages Purpose = "messages" // frames from the dialler to the acceptor
	ForSnapshot Purpose = "snapshot" // package snapshot speaks on it
)

// Stage is how far a node has come; DESIGN: each is durable before it is shown.
type Stage string

const (
	Blank     Stage = "blank"
	Promised  Stage = "promised"
	Accepted  Stage = "accepted"
	InCluster Stage = "member" // founded or joined
	Removed   Stage = "removed"
)

// Identity is who a node is: durable things only, but for the addresses.
type Identity struct {
	Incarnation cluster.Incarnation `json:"incarnation"`
	NodeID      cluster.NodeID      `json:"node_id"`
	Name        string              `json:"name"`
	PeerAddr    string              `json:"peer_addr"`
	ClientAddr  string              `json:"client_addr,omitempty"`
	Zone        string              `json:"zone,omitempty"`
}

// Hello opens every connection, in both directions.
type Hello struct {
	Protocol  int               `json:"protocol"`
	Purpose   Purpose           `json:"purpose,omitempty"` // dialler only
	Cluster   string            `json:"cluster"`           // the cluster's name
	ClusterID cluster.ClusterID `json:"cluster_id"`        // zero: in no cluster yet
	Self      Identity          `json:"self"`
	Epoch     uint64            `json:"epoch"`        // boots of this data directory so far
	To        cluster.NodeID    `json:"to,omitempty"` // whom the dialler believes to speak to; 0: anybody
	Stage     Stage             `json:"stage"`
	Seeds     []string          `json:"seeds,omitempty"` // as configured, sorted; nil for a node that only joins
	Version   string            `json:"version,omitempty"`
}

// RefusalCode is why a connection was refused; stable, tested, shown by `muster why`.
type RefusalCode string

const (
	RefusedProtocol    RefusalCode = "protocol_version"
	RefusedCluster     RefusalCode = "cluster_name"
	RefusedClusterID   RefusalCode = "cluster_id"
	RefusedNotMe       RefusalCode = "not_me"         // Hello.To is somebody else
	RefusedIncarnation RefusalCode = "incarnation"    // the same ID with another disk
	RefusedUnknown     RefusalCode = "unknown_member" // not (yet) in this node's membership
	RefusedRemoved     RefusalCode = "removed"        // tombstoned
	RefusedNotMember   RefusalCode = "not_a_member"   // the acceptor is in no cluster yet
	RefusedSelf        RefusalCode = "self"           // a node reached itself
	RefusedBusy        RefusalCode = "busy"
	RefusedMalformed   RefusalCode = "malformed"
)

// Refusal is the acceptor's answer in place of its Hello. It is an error.
type Refusal struct {
	Code   RefusalCode       `json:"code"`
	Reason string            `json:"reason"`          // one sentence, for people
	Index  uint64            `json:"index,omitempty"` // RefusedRemoved: the tombstone's index
	From   Identity          `json:"from"`
	Member cluster.ClusterID `json:"cluster_id"` // the refusing node's cluster, if any
}

// Error implements error.
func (r *Refusal) Error() string { return fmt.Sprintf("refused (%s): %s", r.Code, r.Reason) }

// opening is what an acceptor answers: exactly one field is set.
type opening struct {
	Hello   *Hello   `json:"hello,omitempty"`
	Refusal *Refusal `json:"refusal,omitempty"`
}
