package sim

import (
	"slices"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/wire"
)

// announce says that the machine which is put up next will come, or another one.
func (w *World) announce(f Fault) {
	p := w.node(f.A).member()
	if p == nil {
		return
	}
	at := host(len(w.nodes))
	if f.N%8 == 0 {
		at = w.node(f.B).host // somebody may be there
	}
	a := cluster.Announced{ID: cluster.NodeID(f.N), PeerURLs: []string{"http://" + at}, Learner: f.N%3 > 0}
	w.ops.demand(p, "announce "+at, wire.Change{Steps: []wire.Step{{Op: wire.OpAnnounce, Member: cluster.Member{ID: a.ID}, Announced: &a}}})
}

// withdraw takes an announcement back, which may be taken up meanwhile.
func (w *World) withdraw(f Fault) {
	p := w.node(f.A).member()
	if p == nil || len(p.view.Membership.Announced) == 0 || len(w.ops.lost()) > 0 {
		return
	}
	all := p.view.Membership.Announced
	a := all[f.B%len(all)]
	w.ops.remove(p, a.ID, "whom is awaited at "+a.Addrs()[0])
}

// promote asks for a member's promotion, learner or not.
func (w *World) promote(f Fault) {
	p := w.node(f.A).member()
	if p == nil {
		return
	}
	ms := p.view.Membership.Members
	held := slices.IndexFunc(ms, func(m cluster.Member) bool { return m.Wanted == cluster.Learner })
	if held < 0 || f.N%2 == 0 {
		held = f.B % len(ms)
	}
	w.ops.promote(p, ms[held])
}

// promote asks for a learner's promotion, by its alias if it has one.
func (o *operators) promote(p *process, m cluster.Member) {
	o.demand(p, "promote "+m.Name, wire.Change{Steps: []wire.Step{{Op: wire.OpVote, Member: cluster.Member{ID: m.KnownAs()}}}})
}

// there says whether an ID that was removed is still somebody's.
func (o *operators) there(id cluster.NodeID) bool {
	t := &o.w.truth
	_, known := t.latest.Known(id)
	_, announced := t.latest.Announcement(id)
	_, buried := t.latest.Tombstone(id)
	_, wasMember := t.ever[id]
	return known || announced || wasMember && !buried
}

// byName: who was announced as a learner is promoted only if somebody asked for
// it, by name.
func (t *truth) byName(w *World, id cluster.NodeID, at uint64, before *cluster.Membership) {
	m, _ := before.Member(id)
	if m.Wanted != cluster.Learner {
		return
	}
	for _, r := range w.ops.requests {
		if s := r.c.Steps; len(s) == 1 && s[0].Op == wire.OpVote && (s[0].Member.ID == m.ID || s[0].Member.ID == m.Alias) {
			w.sometimes(promotedByName)
			return
		}
	}
	w.fail("%s was announced as a learner and is promoted at index %d, though nobody asked for it", m.Name, at)
}
