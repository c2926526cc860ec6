package member

import (
	"maps"
	"slices"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/wire"
)

// View is an immutable picture of the node, made at each tick and whenever
// something in it that others act on has changed.
type View struct {
	Stage      wire.Stage
	Status     cluster.Status
	Membership cluster.Membership // its Outcomes are left out
	Why        []event.Reason     // the former's or the roster's
	ImageErr   error              // why no snapshot could be taken
	Election   cluster.Election   // what it has seen of the votes; members only

	cfg    *Config
	pinned cluster.ClusterID // see formation.Former.Pinned
	hints  map[cluster.NodeID]string
	known  acquaintances

	reformedBy cluster.NodeID // the member around which the cluster was re-formed last
}

// run is this node's own.
func (v *View) run() wire.Run { return wire.Run{Epoch: v.cfg.Epoch, Boot: v.cfg.Boots[0]} }

// InCluster says that the node is a member.
func (v *View) InCluster() bool { return v.Stage == wire.InCluster }

func (v *View) isMember(id cluster.NodeID) bool {
	_, ok := v.Membership.Member(id)
	return ok
}

func (v *View) leaving(id cluster.NodeID) bool {
	return slices.ContainsFunc(v.Membership.Leaving, func(m cluster.Member) bool { return m.ID == id })
}

// Addr is where a member was heard from last, or should be.
func (v *View) Addr(m cluster.Member) string {
	if a, ok := v.hints[m.ID]; ok {
		return a
	}
	return m.PeerAddr
}

// Name is a member's name, or its ID when it is not known.
func (v *View) Name(id cluster.NodeID) string {
	if m, ok := v.Membership.Member(id); ok {
		return m.Name
	}
	return id.String()
}

// publish makes a new view.
func (m *Member) publish() {
	v := &View{cfg: &m.cfg, Stage: m.state.Stage, ImageErr: m.images.failed}
	if v.Stage == "" {
		v.Stage = wire.Blank
	}
	self := m.cfg.Self.Member(0)
	v.Status = cluster.Status{Self: self, Cluster: m.cfg.Cluster, ClusterID: m.state.ClusterID, State: "forming"}
	v.Membership = m.membership()
	v.Membership.Outcomes = nil
	if m.former != nil {
		v.Stage = m.former.Stage()
		v.Why, v.pinned = m.former.Why(), m.former.Pinned()
	}
	if m.rep != nil {
		v.Status = m.rep.Status()
		v.Status.Cluster, v.Status.ClusterID = m.cfg.Cluster, m.state.ClusterID
		v.Why, v.Election = slices.Concat(m.whyStrangers(), m.rep.Why()), m.rep.Election()
		v.hints = make(map[cluster.NodeID]string, len(m.hints))
		for id, a := range m.hints {
			v.hints[id] = a
		}
		v.known = m.met.known
		if len(v.Status.Members) == 0 { // admitted, but no snapshot yet
			for _, mem := range v.Membership.Members {
				v.Status.Members = append(v.Status.Members, cluster.MemberStatus{Member: mem})
			}
		}
	}
	v.Status.Stage = string(v.Stage)
	v.Status.Generation, v.reformedBy = m.generation(&v.Membership)
	v.Status.LogBytes = m.disk.Log.Size()
	m.view = v
	m.body.Changed(v)
}

// membership is the replica's, or what the node was admitted with until its
// first snapshot has come.
func (m *Member) membership() cluster.Membership {
	if m.rep != nil {
		if all := m.rep.Membership(); len(all.Members) > 0 {
			return all
		}
	}
	if m.state.Hint != nil {
		return m.state.Hint.Clone()
	}
	return cluster.Membership{}
}

// setPeers tells the body whom to reach where.
func (m *Member) setPeers() {
	all := m.membership()
	for id, addr := range m.hints {
		mem, _ := all.Member(id)
		if _, gone := all.Tombstone(id); gone || mem.PeerAddr == addr {
			delete(m.hints, id)
		}
	}
	m.forgetRemoved(all)
	m.body.SetPeers(m.peers())
}

// peers are all that are to be reached, and where. Nobody else is at this node's
// own address: whom the membership has there has lost its disk, and is this node
// now.
func (m *Member) peers() map[cluster.NodeID]string {
	peers := peerAddrs(m.membership(), m.cfg.Self.NodeID)
	maps.Copy(peers, m.hints)
	maps.DeleteFunc(peers, func(_ cluster.NodeID, addr string) bool { return addr == m.cfg.Self.PeerAddr })
	return peers
}

func peerAddrs(m cluster.Membership, self cluster.NodeID) map[cluster.NodeID]string {
	out := map[cluster.NodeID]string{}
	for _, list := range [][]cluster.Member{m.Leaving, m.Members} {
		for _, mem := range list {
			if mem.ID != self {
				out[mem.ID] = mem.PeerAddr
			}
		}
	}
	return out
}
