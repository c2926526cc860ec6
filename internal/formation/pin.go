package formation

import (
	"fmt"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
)

// A pin is what a node keeps outside its data directory: the ID of its cluster.
// It is durable before the node is a member: before the Save of an Outcome, on
// founders as on those that join. So a node whose disk knows of no cluster and
// whose pin names one has lost its disk, and may have been a voter there. It
// neither promises nor founds; it joins the very cluster of its pin, and no other.
//
// That is enough for this: if every founder's disk is wiped, and their pins are
// not, no second cluster comes out of their seeds. A cluster that has ever
// committed anything had a majority of its founders as members, each with its
// pin; and to found another takes the promise of every seed. A founder that has
// only accepted needs no pin: it has not committed anything. One that crashed
// between its pin and its Save still has the genesis that it accepted, and goes
// on with that, whatever the pin says.

// Pinned is the cluster of the pin, if the pin holds this node to it.
func (f *Former) Pinned() cluster.ClusterID {
	if f.pinned() {
		return f.cfg.Pin
	}
	return cluster.ClusterID{}
}

func (f *Former) pinned() bool {
	return !f.done && !f.cfg.Pin.IsZero() && f.accepted == nil && !f.unreadable()
}

// whyPinned: the disk was lost, and no member of the cluster of the pin answers.
func (f *Former) whyPinned() []event.Reason {
	reasons := []event.Reason{{Code: whyPinned,
		Text:   fmt.Sprintf("this node's pin says that it was in cluster %s, of which its disk knows nothing; it waits for a member of that cluster, and founds and joins no other", f.cfg.Pin),
		WayOut: fmt.Sprintf("start a member that has its data, where this node can reach it; to give cluster %s up for good, delete %s and start this node again", f.cfg.Pin, orElse(f.cfg.PinPath, "the pin"))}}
	for i := range f.peers {
		p := &f.peers[i]
		switch code := f.unfit(p); {
		case p.live && p.in(f.cfg.Cluster):
			reasons = append(reasons, p.reason(whyPinOther,
				fmt.Sprintf("%s is in cluster %s, which is not that of this node's pin", p.who(), p.hello.ClusterID),
				fmt.Sprintf("stop it if it is wrong here; if this node is to join it, delete %s and start this node again", orElse(f.cfg.PinPath, "the pin"))))
		case p.told() && code != "" && code != whySeedsDiffer && code != whyExpectDiffers:
			reasons = append(reasons, f.explain(problem{code: code, p: p}))
		}
	}
	return reasons
}

// explainPinned is about another node that lost its disk and has a pin.
func (f *Former) explainPinned(p *peer) event.Reason {
	return p.reason(whyPeerPinned,
		fmt.Sprintf("%s was in cluster %s, says its pin, and has lost its disk: it founds no other cluster", p.who(), p.hello.Pin),
		"start a member of that cluster that has its data; or give that cluster up by deleting the pin of each node that has one")
}
