package formation

import (
	"slices"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/wire"
)

// seesCluster says that a cluster of this name was seen. One that fell silent
// still counts: it ends only when its address answers as something else, or
// with this process.
func (f *Former) seesCluster() bool {
	return slices.ContainsFunc(f.peers, func(p peer) bool { return p.in(f.cfg.Cluster) })
}

// clusters lists the clusters of this name that answer now, sorted.
func (f *Former) clusters() []cluster.ClusterID {
	var ids []cluster.ClusterID
	for i := range f.peers {
		if p := &f.peers[i]; p.live && p.in(f.cfg.Cluster) {
			ids = append(ids, p.hello.ClusterID)
		}
	}
	slices.SortFunc(ids, func(a, b cluster.ClusterID) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(ids)
}

// provenGenesis returns the genesis by which this node is founded after all,
// nil when there is none: the one that it accepted, if a member shows its ID,
// so that it was committed. And one that it accepted and then gave up, if
// members were founded by it, and what it accepted since can't be committed.
func (f *Former) provenGenesis() []byte {
	if f.d.Stage != wire.Accepted || f.unreadable() {
		return nil
	}
	dead := f.acceptedIsDead()
	for i := range f.peers {
		p := &f.peers[i]
		switch {
		case !p.in(f.cfg.Cluster):
		case p.hello.ClusterID == f.acceptedID:
			return f.d.Genesis
		case dead && p.names && !f.abandoned(p.genesis):
			return p.genesis
		}
	}
	return nil
}

// acceptedIsDead says that one of the founders of the accepted genesis is in
// another cluster: it was not founded by that genesis and never will be, and
// as every founder is needed, nobody was.
func (f *Former) acceptedIsDead() bool {
	return f.accepted != nil && slices.ContainsFunc(f.peers, func(p peer) bool {
		return p.in(f.cfg.Cluster) && p.hello.ClusterID != f.acceptedID && f.accepted.Has(p.hello.Self.Incarnation)
	})
}

// rolledBack says that a cluster counts this node as one of its voters though
// its disk knows nothing of it. Joining would make it vote twice (Raft thesis
// §3.8: votes must survive restarts).
func (f *Former) rolledBack() bool {
	if f.joining != nil && f.joining.Status == wire.JoinDone {
		return true
	}
	return f.d.Stage != wire.Accepted && slices.ContainsFunc(f.peers, func(p peer) bool { return p.in(f.cfg.Cluster) && p.names })
}

// target is the cluster to join: the only one of this name that answers, if
// nothing that this node accepted stands against it; or that of its pin.
func (f *Former) target() (cluster.ClusterID, bool) {
	ids := f.clusters()
	switch {
	case f.unreadable(), f.rolledBack():
		return cluster.ClusterID{}, false
	case f.pinned(): // which of two is the right one is known then
		return f.Pinned(), slices.Contains(ids, f.cfg.Pin)
	case len(ids) != 1:
		return cluster.ClusterID{}, false
	case f.d.Stage == wire.Accepted && !f.acceptedIsDead():
		return cluster.ClusterID{}, false
	}
	return ids[0], true
}
