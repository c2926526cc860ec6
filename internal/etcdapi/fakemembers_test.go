package etcdapi

import (
	"context"
	"fmt"
	"slices"

	"github.com/musterhq/muster/cluster"
)

// coded is a refusal that says which rule it was.
type coded string

func (c coded) Error() string       { return fmt.Sprintf("refused: %s", string(c)) }
func (c coded) Unwrap() error       { return errRefused }
func (c coded) RefusalCode() string { return string(c) }

// What the fake node does as a Membership: it changes its status as a cluster
// would whose leader it is, or fails with onOp.

func (n *fakeNode) Announce(_ context.Context, peerURLs []string, learner bool) (cluster.Announced, error) {
	if n.onOp != nil {
		return cluster.Announced{}, n.onOp
	}
	a := cluster.Announced{ID: 2 + 1<<60 + cluster.NodeID(len(n.status.Announced)), PeerURLs: peerURLs, Learner: learner}
	if !n.behind {
		n.status.Announced = append(slices.Clone(n.status.Announced), a)
	}
	return a, nil
}

func (n *fakeNode) Promote(_ context.Context, id cluster.NodeID) error {
	m, ok := n.status.Known(id)
	switch {
	case n.onOp != nil:
		return n.onOp
	case !ok:
		return coded("unknown_member")
	case m.Role == cluster.Voter:
		return coded("not_learner")
	case !n.behind:
		n.status.Members = slices.Clone(n.status.Members)
		for i := range n.status.Members {
			if n.status.Members[i].ID == m.ID {
				n.status.Members[i].Wanted = cluster.Voter
			}
		}
	}
	return nil
}

func (n *fakeNode) Readdress(_ context.Context, id cluster.NodeID, peerURLs []string) error {
	n.moving = append(n.moving, fmt.Sprint(uint64(id), peerURLs))
	return n.onOp
}

func (n *fakeNode) RemoveBelowFloor(_ context.Context, id cluster.NodeID) error {
	if n.onOp != nil {
		return n.onOp
	}
	_, announced := n.status.Announcement(id)
	m, ok := n.status.Known(id)
	if !ok && !announced {
		return coded("unknown_member")
	}
	n.removed = append(n.removed, id)
	if !n.behind {
		n.status.Members = slices.DeleteFunc(slices.Clone(n.status.Members), func(o cluster.MemberStatus) bool { return ok && o.ID == m.ID })
		n.status.Announced = slices.DeleteFunc(slices.Clone(n.status.Announced), func(a cluster.Announced) bool { return a.ID == id })
	}
	return nil
}
