package cluster

import (
	"cmp"
	"slices"
	"strings"
)

// Announced is a member that somebody said will come, and that has not come
// yet: what etcd's `member add` leaves. It has no part in raft, expects no
// quorum, and gates nothing: who may join is decided when it asks to.
type Announced struct {
	// ID is drawn by who announces it. A node's own ID lives with its disk, which
	// nobody has seen yet; the member that comes keeps this one as its Alias.
	ID NodeID `json:"id"`
	// PeerURLs are where it will be reached, scheme://host:port; sorted, not
	// empty. Whoever joins with one of the addresses is the one that was meant.
	PeerURLs []string `json:"peer_urls"`
	Learner  bool     `json:"learner,omitempty"` // it stays one until it is promoted by name
	Index    uint64   `json:"index,omitempty"`   // log index of the announcement
	At       int64    `json:"at,omitempty"`      // by the clock of who took it, Unix milliseconds; nothing is decided by it
}

// Addrs are the peer addresses, host:port, in the order of the URLs.
func (a Announced) Addrs() []string {
	var out []string
	for _, u := range a.PeerURLs {
		_, addr, _ := strings.Cut(u, "://")
		out = append(out, addr)
	}
	return out
}

// Expects says whether it is announced at that address.
func (a Announced) Expects(addr string) bool {
	return slices.ContainsFunc(a.Addrs(), func(own string) bool { return sameAddr(own, addr) })
}

// sameAddr compares addresses as they are written: names have no case (RFC 4343).
func sameAddr(a, b string) bool { return strings.EqualFold(a, b) }

// Announcement finds one by its ID.
func (m *Membership) Announcement(id NodeID) (Announced, bool) {
	i, ok := slices.BinarySearchFunc(m.Announced, id, compareAnnounced)
	if !ok {
		return Announced{}, false
	}
	return m.Announced[i], true
}

// Announce adds an announcement, or replaces the one with its ID.
func (m *Membership) Announce(a Announced) {
	m.Announced = put(m.Announced, a, a.ID, compareAnnounced)
}

// Withdraw takes an announcement back.
func (m *Membership) Withdraw(id NodeID) {
	m.Announced = slices.DeleteFunc(m.Announced, func(a Announced) bool { return a.ID == id })
}

// Known finds a living member by its ID or by its alias.
func (m *Membership) Known(id NodeID) (Member, bool) {
	if mem, ok := m.Member(id); ok {
		return mem, true
	}
	for _, mem := range m.Members {
		if mem.Alias == id && id != 0 {
			return mem, true
		}
	}
	return Member{}, false
}

// At says who has the peer address, or is said to move to it, apart from
// besides: a living member, or one that is announced.
func (m *Membership) At(addr string, besides NodeID) (NodeID, bool) {
	for _, mem := range m.Members {
		if mem.ID != besides && (sameAddr(mem.PeerAddr, addr) || mem.MovesTo != "" && sameAddr(mem.MovesTo, addr)) {
			return mem.ID, true
		}
	}
	for _, a := range m.Announced {
		if a.ID != besides && a.Expects(addr) {
			return a.ID, true
		}
	}
	return 0, false
}

// Admit adds a newcomer, as a learner, and returns it as it is then. One that
// was announced at its address is that one from now on. One that comes in place
// of a learner of its name, whose disk is gone, inherits what was said of that
// one: nobody has promoted it yet.
func (m *Membership) Admit(mem Member) Member {
	mem.Role = Learner
	mem.Alias, mem.Wanted, mem.MovesTo = 0, 0, ""
	for _, o := range m.Members {
		if o.Name == mem.Name && o.Role == Learner && o.ID != mem.Replaces && o.ID != mem.ID {
			mem.Alias, mem.Wanted = o.Alias, o.Wanted
		}
	}
	i := slices.IndexFunc(m.Announced, func(a Announced) bool { return a.Expects(mem.PeerAddr) })
	if i >= 0 {
		a := m.Announced[i]
		mem.Alias, mem.Wanted = a.ID, Voter
		if a.Learner {
			mem.Wanted = Learner
		}
		m.Withdraw(a.ID)
	}
	m.Put(mem)
	return mem
}

func compareAnnounced(a Announced, id NodeID) int { return cmp.Compare(a.ID, id) }
