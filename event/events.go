package event

import (
	"fmt"
	"strings"

	"github.com/musterhq/muster/cluster"
)

// Forming says what a node without a cluster waits for; sent when it changes.
type Forming struct {
	Stage   string   `json:"stage"` // blank, promised, accepted, joining
	Reasons []Reason `json:"reasons"`
}

// Kind implements [Event].
func (Forming) Kind() string { return "forming" }

// Text implements [Event].
func (e Forming) Text() string {
	if len(e.Reasons) == 0 {
		return "forming a cluster: nothing is waited for"
	}
	parts := make([]string, len(e.Reasons))
	for i, r := range e.Reasons {
		parts[i] = r.Text
	}
	return "no cluster yet: " + strings.Join(parts, "; ")
}

// Founded: this node is a founder of a new cluster.
type Founded struct {
	Cluster  cluster.ClusterID `json:"cluster"`
	Founders []string          `json:"founders"` // names
}

// Kind implements [Event].
func (Founded) Kind() string { return "founded" }

// Text implements [Event].
func (e Founded) Text() string {
	return fmt.Sprintf("founded cluster %s with %s", e.Cluster, strings.Join(e.Founders, ", "))
}

// Joined: this node was admitted to a cluster as a learner.
type Joined struct {
	Cluster cluster.ClusterID `json:"cluster"`
	Via     string            `json:"via"` // address of the member that answered
}

// Kind implements [Event].
func (Joined) Kind() string { return "joined" }

// Text implements [Event].
func (e Joined) Text() string { return fmt.Sprintf("joined cluster %s through %s", e.Cluster, e.Via) }

// LeaderChanged: this node follows another leader than before.
type LeaderChanged struct {
	Term   uint64         `json:"term"`
	Leader cluster.NodeID `json:"leader,omitempty"` // 0: none
	Name   string         `json:"name,omitempty"`
}

// Kind implements [Event].
func (LeaderChanged) Kind() string { return "leader_changed" }

// Text implements [Event].
func (e LeaderChanged) Text() string {
	if e.Leader == 0 {
		return fmt.Sprintf("no leader in term %d", e.Term)
	}
	return fmt.Sprintf("%s leads in term %d", nameOr(e.Name, e.Leader), e.Term)
}

// MemberAdded: a learner was added.
type MemberAdded struct {
	Member   cluster.Member `json:"member"`
	Namesake bool           `json:"namesake,omitempty"` // another member has its name, too
	Index    uint64         `json:"index"`
}

// Kind implements [Event].
func (MemberAdded) Kind() string { return "member_added" }

// Text implements [Event].
func (e MemberAdded) Text() string {
	s := fmt.Sprintf("%s at %s was added as a %s", called(e.Member.Name, e.Member.ID, e.Namesake), e.Member.PeerAddr, e.Member.Role)
	if e.Member.Replaces != 0 {
		s += fmt.Sprintf(", to take the place of %s", e.Member.Replaces)
	}
	return s
}

// Promoted: a learner became a voter.
type Promoted struct {
	ID       cluster.NodeID `json:"id"`
	Name     string         `json:"name"`
	Namesake bool           `json:"namesake,omitempty"` // another member has its name, too
	Index    uint64         `json:"index"`
}

// Kind implements [Event].
func (Promoted) Kind() string { return "promoted" }

// Text implements [Event].
func (e Promoted) Text() string { return called(e.Name, e.ID, e.Namesake) + " was promoted to voter" }

// Demoted: a voter became a learner.
type Demoted struct {
	ID       cluster.NodeID `json:"id"`
	Name     string         `json:"name"`
	Namesake bool           `json:"namesake,omitempty"` // another member has its name, too
	Index    uint64         `json:"index"`
}

// Kind implements [Event].
func (Demoted) Kind() string { return "demoted" }

// Text implements [Event].
func (e Demoted) Text() string { return called(e.Name, e.ID, e.Namesake) + " was demoted to learner" }

// MemberRemoved: a member left or was removed, for good.
type MemberRemoved struct {
	ID       cluster.NodeID `json:"id"`
	Name     string         `json:"name"`
	Namesake bool           `json:"namesake,omitempty"` // another member has its name, too
	Index    uint64         `json:"index"`
}

// Kind implements [Event].
func (MemberRemoved) Kind() string { return "member_removed" }

// Text implements [Event].
func (e MemberRemoved) Text() string { return called(e.Name, e.ID, e.Namesake) + " was removed" }

// MemberAnnounced: a member is said to come.
type MemberAnnounced struct {
	cluster.Announced
}

// Kind implements [Event].
func (MemberAnnounced) Kind() string { return "member_announced" }

// Text implements [Event].
func (e MemberAnnounced) Text() string {
	role := "member"
	if e.Learner {
		role = "learner"
	}
	return fmt.Sprintf("a %s was announced at %s (%s)", role, strings.Join(e.Addrs(), " or "), e.ID)
}

// AnnouncementWithdrawn: it is not to come any more.
type AnnouncementWithdrawn struct {
	cluster.Announced
	Withdrawn uint64 `json:"withdrawn"` // log index
}

// Kind implements [Event].
func (AnnouncementWithdrawn) Kind() string { return "announcement_withdrawn" }

// Text implements [Event].
func (e AnnouncementWithdrawn) Text() string {
	return fmt.Sprintf("the member that was announced at %s (%s) is not to come any more", strings.Join(e.Addrs(), " or "), e.ID)
}

// PolicyChanged: the cluster aims at something else than before.
type PolicyChanged struct {
	Settings map[string]string `json:"settings"` // by cluster.Policy's keys; empty: back to the default
	Why      string            `json:"why,omitempty"`
	Index    uint64            `json:"index"`
}

// Kind implements [Event].
func (PolicyChanged) Kind() string { return "policy_changed" }

// Text implements [Event].
func (e PolicyChanged) Text() string {
	if paused, ok := e.Settings["paused"]; ok && len(e.Settings) == 1 {
		if paused == "" {
			return "automatic changes of the membership go on"
		}
		return "automatic changes of the membership are paused: " + paused
	}
	var parts []string
	for _, key := range cluster.PolicyKeys() {
		if v, ok := e.Settings[key]; ok && v == "" {
			parts = append(parts, key+" back to its default")
		} else if ok {
			parts = append(parts, fmt.Sprintf("%s to %q", key, v))
		}
	}
	return "the policy was changed: " + strings.Join(parts, ", ")
}

// PeerRefused: this node refused a peer, or was refused by one.
type PeerRefused struct {
	Peer   cluster.NodeID `json:"peer,omitempty"`
	Addr   string         `json:"addr"`
	Code   string         `json:"code"` // wire.RefusalCode
	Reason string         `json:"reason"`
	ByPeer bool           `json:"by_peer"` // the peer refused us
}

// Kind implements [Event].
func (PeerRefused) Kind() string { return "peer_refused" }

// Text implements [Event].
func (e PeerRefused) Text() string {
	if e.ByPeer {
		return fmt.Sprintf("%s refused this node: %s", e.Addr, e.Reason)
	}
	return fmt.Sprintf("refused %s: %s", e.Addr, e.Reason)
}

// SnapshotSending, told at start, at each tenth, though not more than once a
// second, and at the end.
type SnapshotSending struct {
	To    cluster.NodeID `json:"to"`
	Name  string         `json:"name,omitempty"` // the receiver's
	Index uint64         `json:"index"`
	Sent  int64          `json:"sent_bytes"`
	Total int64          `json:"total_bytes"`
	Done  bool           `json:"done"`
	Err   string         `json:"err,omitempty"`
}

// Kind implements [Event].
func (SnapshotSending) Kind() string { return "snapshot_sending" }

// Text implements [Event].
func (e SnapshotSending) Text() string {
	if e.Err != "" {
		return fmt.Sprintf("snapshot at index %d to %s failed after %d of %d bytes: %s", e.Index, nameOr(e.Name, e.To), e.Sent, e.Total, e.Err)
	}
	return fmt.Sprintf("snapshot at index %d to %s: %d of %d bytes", e.Index, nameOr(e.Name, e.To), e.Sent, e.Total)
}

// SnapshotReceiving is the receiver's side of [SnapshotSending].
type SnapshotReceiving struct {
	From  cluster.NodeID `json:"from"`
	Name  string         `json:"name,omitempty"` // the sender's
	Index uint64         `json:"index"`
	Have  int64          `json:"have_bytes"`
	Total int64          `json:"total_bytes"`
	Done  bool           `json:"done"`
	Err   string         `json:"err,omitempty"`
}

// Kind implements [Event].
func (SnapshotReceiving) Kind() string { return "snapshot_receiving" }

// Text implements [Event].
func (e SnapshotReceiving) Text() string {
	if e.Err != "" {
		return fmt.Sprintf("snapshot at index %d from %s stopped at %d of %d bytes: %s", e.Index, nameOr(e.Name, e.From), e.Have, e.Total, e.Err)
	}
	return fmt.Sprintf("snapshot at index %d from %s: %d of %d bytes", e.Index, nameOr(e.Name, e.From), e.Have, e.Total)
}

// SnapshotInstalled: this node's state was replaced by a snapshot.
type SnapshotInstalled struct {
	Index uint64 `json:"index"`
}

// Kind implements [Event].
func (SnapshotInstalled) Kind() string { return "snapshot_installed" }

// Text implements [Event].
func (e SnapshotInstalled) Text() string {
	return fmt.Sprintf("installed the snapshot at index %d", e.Index)
}

// Compacted: the log now begins after Index.
type Compacted struct {
	Index uint64 `json:"index"`
}

// Kind implements [Event].
func (Compacted) Kind() string { return "compacted" }

// Text implements [Event].
func (e Compacted) Text() string { return fmt.Sprintf("log compacted through index %d", e.Index) }

// Stopped: the node ended, and why.
type Stopped struct {
	Err string `json:"err,omitempty"` // empty: it was asked to
}

// Kind implements [Event].
func (Stopped) Kind() string { return "stopped" }

// Text implements [Event].
func (e Stopped) Text() string {
	if e.Err == "" {
		return "stopped"
	}
	return "stopped: " + e.Err
}

func nameOr(name string, id cluster.NodeID) string {
	if name != "" {
		return name
	}
	return id.String()
}

// called is the name, with the ID where the name alone says too little: a member
// that lost its disk is there twice until the new one has taken its place.
func called(name string, id cluster.NodeID, namesake bool) string {
	if name != "" && namesake {
		return fmt.Sprintf("%s (%s)", name, id)
	}
	return nameOr(name, id)
}

// Reformed: the cluster goes on with one of its members alone, because the
// others were lost for good and an operator said so.
type Reformed struct {
	Generation uint64 `json:"generation"`
	Index      uint64 `json:"index"`
	Name       string `json:"name"` // of the member that stayed
	Lost       int    `json:"lost"` // how many others there were
}

// Kind implements [Event].
func (Reformed) Kind() string { return "reformed" }

// Text implements [Event].
func (e Reformed) Text() string {
	return fmt.Sprintf("the cluster was re-formed around %s alone, %d others were given up: generation %d begins at index %d", e.Name, e.Lost, e.Generation, e.Index)
}
