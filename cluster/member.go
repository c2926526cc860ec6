package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Role says what a member may do in raft.
type Role uint8

const (
	// Learner receives the log but does not vote (Raft thesis §4.2.1).
	Learner Role = iota + 1
	// Voter counts in elections and commits.
	Voter
)

// String is "learner" or "voter".
func (r Role) String() string {
	switch r {
	case Learner:
		return "learner"
	case Voter:
		return "voter"
	}
	return fmt.Sprintf("role(%d)", uint8(r))
}

// MarshalText encodes the role as its name; no role, as a node has before it
// is a member, as empty text.
func (r Role) MarshalText() ([]byte, error) {
	if r == 0 {
		return nil, nil
	}
	return []byte(r.String()), nil
}

// UnmarshalText is the inverse of [Role.MarshalText].
func (r *Role) UnmarshalText(b []byte) error {
	switch string(b) {
	case "":
		*r = 0
	case "learner":
		*r = Learner
	case "voter":
		*r = Voter
	default:
		return fmt.Errorf("unknown role %q", b)
	}
	return nil
}

// Member is one node of a cluster, as the log has it.
type Member struct {
	ID          NodeID      `json:"id"`
	Incarnation Incarnation `json:"incarnation"`
	Name        string      `json:"name"`                  // unique among living members, but for Replaces
	PeerAddr    string      `json:"peer_addr"`             // host:port, members talk here
	ClientAddr  string      `json:"client_addr,omitempty"` // host:port, clients talk here; https://host:port, if in TLS; "" when there is none
	ClientMore  string      `json:"client_more,omitempty"` // further ones, as ClientAddr, separated by commas: members are compared with ==
	Zone        string      `json:"zone,omitempty"`
	Role        Role        `json:"role"`

	// Replaces is the voter of the same name whose disk this member comes
	// instead of, until that one is out; 0: none.
	Replaces NodeID `json:"replaces,omitempty"`

	// Alias is the ID under which the member was announced, see [Announced]; 0: it
	// wasn't. Clients of the etcd API know it by that one.
	Alias NodeID `json:"alias,omitempty"`
	// Wanted is the role that somebody asked for by name. A Learner is not
	// promoted until somebody does; of a Voter nothing is left to ask for, and
	// when it votes the policy says. 0: nobody said anything.
	Wanted Role `json:"wanted,omitempty"`
	// MovesTo is the peer address that it will have when it comes back, as
	// somebody said; "": nobody did. The member itself has the last word.
	MovesTo string `json:"moves_to,omitempty"`
}

// KnownAs is the ID by which clients of the etcd API know the member.
func (m Member) KnownAs() NodeID {
	if m.Alias != 0 {
		return m.Alias
	}
	return m.ID
}

// Awaits says that the member is a learner which is to be promoted by name: it
// was announced as one, or nobody has said that it should vote.
func (m Member) Awaits() bool { return m.Role == Learner && m.Wanted != Voter }

// Renewed is m with what a member tells of itself taken from told: its name,
// addresses and zone. The rest is the cluster's to say.
func (m Member) Renewed(told Member) Member {
	m.Name, m.PeerAddr, m.ClientAddr, m.ClientMore, m.Zone = told.Name, told.PeerAddr, told.ClientAddr, told.ClientMore, told.Zone
	if sameAddr(m.MovesTo, m.PeerAddr) {
		m.MovesTo = ""
	}
	return m
}

// ClientAddrs are all addresses for clients, the one that members use first.
func (m Member) ClientAddrs() []string {
	if m.ClientAddr == "" {
		return nil
	}
	all := []string{m.ClientAddr}
	if m.ClientMore != "" {
		all = append(all, strings.Split(m.ClientMore, ",")...)
	}
	return all
}

// URL is an address as a URL: http, unless it says otherwise.
func URL(addr string) string {
	if strings.Contains(addr, "://") {
		return addr
	}
	return "http://" + addr
}

// Tombstone remembers a removed identity for ever.
type Tombstone struct {
	ID    NodeID `json:"id"`
	Name  string `json:"name"`
	Index uint64 `json:"index"` // log index of the removal
}

// Outcome records what became of one membership request, so that asking again
// with the same request ID gets the same answer.
type Outcome struct {
	Request string `json:"request"`           // request ID
	Index   uint64 `json:"index"`             // log index at which it was decided
	Refused string `json:"refused,omitempty"` // empty: applied; else why not
}

// MaxOutcomes is how many [Outcome]s a [Membership] remembers, newest last.
const MaxOutcomes = 1024

// Membership is who is in the cluster at one log index. It is a function of
// the log and of nothing else.
type Membership struct {
	Cluster string    `json:"cluster"` // the cluster's name
	ID      ClusterID `json:"id"`
	// Generation is how often the cluster was re-formed after a majority of it
	// was lost for good; see Reform.
	Generation uint64 `json:"generation,omitempty"`
	// ReformedBy is the member around which it was re-formed last.
	ReformedBy NodeID `json:"reformed_by,omitempty"`

	Members  []Member    `json:"members"`            // sorted by ID, no duplicates
	Removed  []Tombstone `json:"removed,omitempty"`  // sorted by ID, no duplicates
	Leaving  []Member    `json:"leaving,omitempty"`  // removed, but still counted by the joint configuration in force
	Outcomes []Outcome   `json:"outcomes,omitempty"` // oldest first, at most MaxOutcomes
	Policy   Policy      `json:"policy,omitzero"`    // as far as it was set

	Announced []Announced `json:"announced,omitempty"` // members that are to come; sorted by ID, no duplicates
}

// Clone returns a copy that shares nothing with m.
func (m Membership) Clone() Membership {
	m.Members = slices.Clone(m.Members)
	m.Removed = slices.Clone(m.Removed)
	m.Leaving = slices.Clone(m.Leaving)
	m.Outcomes = slices.Clone(m.Outcomes)
	m.Policy.LeaderZones = slices.Clone(m.Policy.LeaderZones)
	m.Announced = slices.Clone(m.Announced)
	for i := range m.Announced {
		m.Announced[i].PeerURLs = slices.Clone(m.Announced[i].PeerURLs)
	}
	return m
}

// Member finds a living member.
func (m *Membership) Member(id NodeID) (Member, bool) {
	i, ok := slices.BinarySearchFunc(m.Members, id, compareMember)
	if !ok {
		return Member{}, false
	}
	return m.Members[i], true
}

// ByName finds a living member by its name: of two with one name, the one that
// replaces the other.
func (m *Membership) ByName(name string) (Member, bool) {
	var found Member
	for _, mem := range m.Members {
		if mem.Name == name && (found.ID == 0 || mem.Replaces == found.ID) {
			found = mem
		}
	}
	return found, found.ID != 0
}

// Put adds the member or replaces the one with its ID.
func (m *Membership) Put(mem Member) {
	m.Members = put(m.Members, mem, mem.ID, compareMember)
}

// put adds e to a list sorted by ID, or replaces what has its ID.
func put[E any](list []E, e E, id NodeID, compare func(E, NodeID) int) []E {
	i, ok := slices.BinarySearchFunc(list, id, compare)
	if ok {
		list[i] = e
		return list
	}
	return slices.Insert(list, i, e)
}

// Remove takes a living member out and leaves a tombstone. It stays in Leaving
// until the caller takes it from there.
func (m *Membership) Remove(id NodeID, index uint64) {
	i, ok := slices.BinarySearchFunc(m.Members, id, compareMember)
	if !ok {
		return
	}
	t := Tombstone{ID: id, Name: m.Members[i].Name, Index: index}
	m.Leaving = append(m.Leaving, m.Members[i])
	m.Members = slices.Delete(m.Members, i, i+1)
	j, _ := slices.BinarySearchFunc(m.Removed, id, compareTombstone)
	m.Removed = slices.Insert(m.Removed, j, t)
}

// Reform leaves one member, as its only voter, in a cluster that was re-formed
// at index: all others have tombstones, and none of them is waited for, nor who
// was announced to those before.
func (m *Membership) Reform(only Member, generation, index uint64) {
	for _, mem := range m.Clone().Members {
		if mem.ID != only.ID {
			m.Remove(mem.ID, index)
		}
	}
	only.Role, only.Replaces = Voter, 0
	if only.Wanted == Learner {
		only.Wanted = Voter
	}
	m.Put(only)
	m.Leaving, m.Announced, m.Generation, m.ReformedBy = nil, nil, generation, only.ID
}

// Tombstone says whether the identity was removed, and when.
func (m *Membership) Tombstone(id NodeID) (Tombstone, bool) {
	i, ok := slices.BinarySearchFunc(m.Removed, id, compareTombstone)
	if !ok {
		return Tombstone{}, false
	}
	return m.Removed[i], true
}

// Voters lists the IDs of the voting members, sorted.
func (m *Membership) Voters() []NodeID {
	var ids []NodeID
	for _, mem := range m.Members {
		if mem.Role == Voter {
			ids = append(ids, mem.ID)
		}
	}
	return ids
}

// Record notes an outcome, dropping the oldest above [MaxOutcomes].
func (m *Membership) Record(o Outcome) {
	if n := len(m.Outcomes) - MaxOutcomes + 1; n > 0 {
		m.Outcomes = slices.Delete(m.Outcomes, 0, n)
	}
	m.Outcomes = append(m.Outcomes, o)
}

// Outcome finds what became of a request.
func (m *Membership) Outcome(request string) (Outcome, bool) {
	for i := len(m.Outcomes) - 1; i >= 0; i-- {
		if m.Outcomes[i].Request == request {
			return m.Outcomes[i], true
		}
	}
	return Outcome{}, false
}

func compareMember(m Member, id NodeID) int { return cmp.Compare(m.ID, id) }

func compareTombstone(t Tombstone, id NodeID) int { return cmp.Compare(t.ID, id) }
