package formation

import (
	"slices"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/wire"
)

// unfitOpen says why a node that answers and speaks of the same cluster can't
// found with this one, where founders are those that meet; "" when it can.
func (f *Former) unfitOpen(p *peer) string {
	switch {
	case p.hello.Expect == f.cfg.Expect:
		return ""
	case p.hello.Expect == 0 && len(p.hello.Seeds) == 0:
		return whyJoins
	}
	return whyExpectDiffers
}

// company lists those that answer and could found with this node, each
// incarnation once, sorted by it. This node is not among them.
func (f *Former) company() []*peer {
	var all []*peer
	for i := range f.peers {
		p := &f.peers[i]
		if p.self || f.unfit(p) != "" || p.hello.Stage == wire.InCluster {
			continue
		}
		same := func(o *peer) bool { return o.hello.Self.Incarnation == p.hello.Self.Incarnation }
		switch k := slices.IndexFunc(all, same); {
		case k < 0:
			all = append(all, p)
		case p.addr == p.hello.Self.PeerAddr:
			all[k] = p // its own word for where it is
		}
	}
	slices.SortFunc(all, func(a, b *peer) int { return a.hello.Self.Incarnation.Compare(b.hello.Self.Incarnation) })
	return all
}

// around lists all incarnations that could found, as far as this node and those
// that it sees can see. Sorted.
func (f *Former) around(company []*peer) []cluster.Incarnation {
	all := []cluster.Incarnation{f.cfg.Self.Incarnation}
	for _, p := range company {
		all = append(append(all, p.hello.Self.Incarnation), p.sees...)
	}
	slices.SortFunc(all, cluster.Incarnation.Compare)
	return slices.Compact(all)
}

// crowdChanged notes who is around, and says whether that is news.
func (f *Former) crowdChanged() bool {
	if f.cfg.Mode != Dynamic {
		return false
	}
	now := f.around(f.company())
	if slices.Equal(now, f.crowd) {
		return false
	}
	f.crowd = now
	return true
}

// holder is one of those that accepted a genesis, nil if nobody did.
func holder(company []*peer) *peer {
	k := slices.IndexFunc(company, func(p *peer) bool { return p.hello.Stage == wire.Accepted })
	if k < 0 {
		return nil
	}
	return company[k]
}
