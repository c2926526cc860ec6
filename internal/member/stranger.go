package member

import (
	"fmt"
	"slices"
	"strings"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/wire"
)

// stranger is a member of another cluster that has this one's name. The two are
// kept apart by their IDs; what remains is that somebody has two clusters where
// he believes to have one, and both have to tell.
type stranger struct {
	self    wire.Identity
	cluster cluster.ClusterID
	there   bool   // it was when it was met last, or asked
	met     uint64 // in which tick
}

const (
	maxStrangers = 16
	// lookRounds is how many election timeouts pass before one is asked again
	// whether it is still there; and between two looks at an address that this
	// member was told of and at which no other member is.
	lookRounds = 10
)

// Stranger says that a peer which was refused so is to be [Member.MetStranger].
func (v *View) Stranger(peer wire.Hello, r *wire.Refusal) bool {
	return r != nil && r.Code == wire.RefusedClusterID && peer.Stage == wire.InCluster
}

// MetStranger notes a member of another cluster of this name.
func (m *Member) MetStranger(self wire.Identity, id cluster.ClusterID) {
	if m.failed || m.rep == nil || id.IsZero() || id == m.state.ClusterID {
		return
	}
	k := slices.IndexFunc(m.met.strangers, func(s stranger) bool { return s.cluster == id && s.self.PeerAddr == self.PeerAddr })
	if k >= 0 {
		s := &m.met.strangers[k]
		news := !s.there
		s.self, s.there, s.met = self, true, m.ticks
		if news {
			m.publish()
		}
		return
	}
	if len(m.met.strangers) == maxStrangers {
		m.met.strangers = m.met.strangers[1:]
	}
	m.met.strangers = append(m.met.strangers, stranger{self, id, true, m.ticks})
	m.body.Emit(event.TwoClusters{Name: m.cfg.Cluster, Cluster: m.state.ClusterID, Other: id, Peer: self.NodeID, Addr: self.PeerAddr})
	m.publish()
}

// lookAfterStrangers asks those that were not met for a while whether they are
// still there. Anything else than the same refusal says that they are not.
func (m *Member) lookAfterStrangers() {
	for _, s := range m.met.strangers {
		age := m.ticks - s.met
		if !s.there || age == 0 || age%uint64(lookRounds*m.cfg.ElectionTicks) != 0 {
			continue
		}
		asked := m.ticks
		m.call(s.self.PeerAddr, 0, wire.Request{Probe: &wire.Probe{}}, CallPatience, func(wire.Response, wire.Hello, error) {
			k := slices.IndexFunc(m.met.strangers, func(o stranger) bool { return o.cluster == s.cluster && o.self.PeerAddr == s.self.PeerAddr })
			if k >= 0 && m.met.strangers[k].met < asked {
				m.met.strangers[k].there = false
				m.publish()
			}
		})
	}
}

// whyStrangers gives one reason for each other cluster, in the order of their IDs.
func (m *Member) whyStrangers() []event.Reason {
	there := slices.DeleteFunc(slices.Clone(m.met.strangers), func(s stranger) bool { return !s.there })
	slices.SortFunc(there, func(a, b stranger) int {
		if c := slices.Compare(a.cluster[:], b.cluster[:]); c != 0 {
			return c
		}
		return strings.Compare(a.self.PeerAddr, b.self.PeerAddr)
	})
	var out []event.Reason
	for len(there) > 0 {
		first := there[0]
		n := slices.IndexFunc(there, func(s stranger) bool { return s.cluster != first.cluster })
		if n < 0 {
			n = len(there)
		}
		var who []string
		for _, s := range there[:n] {
			who = append(who, fmt.Sprintf("%s at %s", s.self.Name, s.self.PeerAddr))
		}
		slices.Sort(who)
		there = there[n:]
		out = append(out, event.Reason{Code: "conflict_two_clusters", Peer: first.self.NodeID, Addr: first.self.PeerAddr,
			Text: fmt.Sprintf("two clusters are named %q: this node is in %s, and %s (%s); they refuse each other, and can't be merged",
				m.cfg.Cluster, m.state.ClusterID, first.cluster, strings.Join(who, ", ")),
			WayOut: "keep the one that has the data: stop the nodes of the other, and start them with empty data directories, so that they join; or take the addresses of each out of the other's seeds and discovery"})
	}
	return out
}
