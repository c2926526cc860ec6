package wire

import (
	"fmt"
	"strings"

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

	// ForQuestions is for any number of Questions, and their Answers in any
	// order. Releases that don't know it refuse it as malformed.
	ForQuestions Purpose = "questions"
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
	ClientMore  string              `json:"client_more,omitempty"`
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
	Boots     []string          `json:"boots"`        // a random word of each of the last, newest first; not empty
	To        cluster.NodeID    `json:"to,omitempty"` // whom the dialler believes to speak to; 0: anybody
	Stage     Stage             `json:"stage"`
	Seeds     []string          `json:"seeds,omitempty"`  // of a node that founds with fixed seeds: as configured
	Expect    int               `json:"expect,omitempty"` // of a node that founds with whom it meets: how many together
	Version   string            `json:"version,omitempty"`

	Generation uint64         `json:"generation,omitempty"`  // of the cluster: how often it was re-formed
	ReformedBy cluster.NodeID `json:"reformed_by,omitempty"` // around which member, last
	Now        int64          `json:"now,omitempty"`         // of the sender's clock, Unix milliseconds; nothing is decided by it
	// Pin is the cluster that a node was in which lost its disk and not its pin.
	Pin   cluster.ClusterID `json:"pin,omitzero"`
	Token []byte            `json:"token,omitempty"` // Proof that the node has the cluster's token; never the token
}

// Run is the run that says Hello.
func (h *Hello) Run() Run {
	r := Run{Epoch: h.Epoch}
	if len(h.Boots) > 0 {
		r.Boot = h.Boots[0]
	}
	return r
}

// Follows says that the run is r or a later one that goes back to it, as far
// as the Hello tells. One that doesn't runs on an older image of the disk, or
// on a copy: what was true of r need not be true of it.
func (h *Hello) Follows(r Run) bool {
	if h.Epoch < r.Epoch {
		return false
	}
	back := h.Epoch - r.Epoch
	return back >= uint64(len(h.Boots)) || h.Boots[back] == r.Boot
}

// Run names one run of a node on its disk.
type Run struct {
	Epoch uint64 `json:"epoch"` // boots of the disk so far; an older image counts from there
	Boot  string `json:"boot"`  // the random word of that boot; copies of a disk draw different ones
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
	RefusedCopy        RefusalCode = "copied_disk"    // a node reached another run of its own disk
	RefusedRolledBack  RefusalCode = "rolled_back"    // it runs on an older image of its disk, or on a copy: ends it
	RefusedMoving      RefusalCode = "moving"         // it came to another address; whether it left the old one is being looked into
	RefusedBusy        RefusalCode = "busy"
	RefusedMalformed   RefusalCode = "malformed"

	RefusedOldGeneration RefusalCode = "old_generation" // it is of before the cluster was re-formed: ends it
	RefusedNewGeneration RefusalCode = "new_generation" // the acceptor is: that ends the acceptor

	RefusedGenerationConflict RefusalCode = "generation_conflict" // the cluster was re-formed twice, around different members

	RefusedToken RefusalCode = "token" // it doesn't prove that it has the cluster's token

	// Of connections with TLS, before any Hello; no member has said them.
	RefusedTLSExpired     RefusalCode = "tls_certificate_expired"
	RefusedTLSNotYet      RefusalCode = "tls_not_yet_valid" // a certificate, or a clock is wrong
	RefusedTLSAuthority   RefusalCode = "tls_unknown_authority"
	RefusedTLSCertificate RefusalCode = "tls_certificate_refused" // for another reason
	RefusedTLSExpected    RefusalCode = "tls_expected"            // one side speaks TLS, and the other doesn't
	RefusedTLSFiles       RefusalCode = "tls_files"               // they can't be used
)

// Passing says that the code is a matter of a moment, of which nobody need be
// told: the acceptor, or the dialler, was admitted just now and has not heard
// of it yet, or it has moved.
func (c RefusalCode) Passing() bool { return c == RefusedNotMember || c == RefusedMoving }

// TLS says that the code is about a connection's certificates.
func (c RefusalCode) TLS() bool { return strings.HasPrefix(string(c), "tls_") }

// WayOut is what can be done about a member that is refused so.
func (c RefusalCode) WayOut(member string) string {
	switch c {
	case RefusedGenerationConflict:
		return "keep one of the two: stop all members of the other, and start them with empty directories to join; what was acknowledged there is lost"
	case RefusedToken:
		return "start all nodes of the cluster with the same token (--join-token-file)"
	case RefusedTLSExpired:
		return "renew the certificate; the new file is read at the next attempt, nothing needs to be restarted"
	case RefusedTLSNotYet:
		return "see that the clocks of both machines are right; else wait, or use another certificate"
	case RefusedTLSAuthority:
		return "give all members certificates of one authority, and its certificate (--peer-tls-ca)"
	case RefusedTLSCertificate:
		return "see `muster why` on the other side; a member's certificate needs the extended usages serverAuth and clientAuth, and with --peer-tls-system-roots to be for the host that is dialled"
	case RefusedTLSExpected:
		return "start all members with --peer-tls-cert, --peer-tls-key and --peer-tls-ca, or all with --peer-auto-tls, or none with either"
	case RefusedTLSFiles:
		return "mend the files; they are read at the next attempt, nothing needs to be restarted"
	case RefusedOldGeneration, RefusedNewGeneration:
		return "what a directory of before the cluster was re-formed holds beyond the new cluster's is lost to it; keep the directory if that may be worth something, and start the node with an empty one to join as a new member"
	case RefusedRolledBack:
		return fmt.Sprintf("stop it if it is a copy; else start %s with an empty data directory: it joins as a new member, and takes the place of the old one", member)
	case RefusedRemoved:
		return fmt.Sprintf("stop %s, if it still runs; to come back it needs an empty data directory", member)
	case RefusedProtocol:
		return "run releases that speak the same protocol version on both"
	case RefusedCluster:
		return "if both are to be in one cluster, start them with the same --cluster; else take the address out of the seeds of the one that is wrong there"
	case RefusedClusterID:
		return "take the address out of the seeds of the one that is wrong there; two clusters are never merged: to move a node over, start it with an empty data directory"
	case RefusedNotMe:
		return fmt.Sprintf("nothing to do here, if another node had this address before; `muster why` at %s tells what to do about that one", member)
	case RefusedIncarnation:
		return fmt.Sprintf("if another node has taken the address of %s over, start %s elsewhere with its data directory; if its data is gone, nothing needs to be done", member, member)
	case RefusedCopy:
		return "stop the copy, and start it with an empty data directory"
	case RefusedUnknown:
		return fmt.Sprintf("nothing to do, if %s was added just now; else see that it was started with the seeds of this cluster", member)
	case RefusedBusy:
		return "nothing to do: it is tried again; if it goes on, see who opens so many connections to the peer port"
	}
	return "see that both belong to the same cluster and run the same release"
}

// Refusal is the acceptor's answer in place of its Hello. It is an error.
type Refusal struct {
	Code   RefusalCode       `json:"code"`
	Reason string            `json:"reason"`          // one sentence, for people
	Index  uint64            `json:"index,omitempty"` // RefusedRemoved: the tombstone's index
	From   Identity          `json:"from"`
	Member cluster.ClusterID `json:"cluster_id"` // the refusing node's cluster, if any

	Generation uint64 `json:"generation,omitempty"` // of that cluster
}

// Error implements error.
func (r *Refusal) Error() string { return fmt.Sprintf("refused (%s): %s", r.Code, r.Reason) }

// opening is what an acceptor answers: exactly one field is set.
type opening struct {
	Hello   *Hello   `json:"hello,omitempty"`
	Refusal *Refusal `json:"refusal,omitempty"`
}
