package sim

import (
	"slices"
	"strings"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/roster"
	"github.com/musterhq/muster/internal/wire"
)

// What a change says of who wants it.
const (
	whyRoster     = "roster"
	whyAsked      = "asked for"
	whyBelowFloor = "asked for, below the floor"
)

// changeIn is the change in a committed entry, if there is one.
func changeIn(e *raftpb.Entry) (c wire.Change, ok bool) {
	var err error
	switch data := e.GetData(); {
	case e.GetType() == raftpb.EntryConfChangeV2:
		cc := &raftpb.ConfChangeV2{}
		if err = proto.Unmarshal(data, cc); err == nil && cc.LeaveJoint() {
			return c, false
		}
		if err == nil {
			c, err = wire.DecodeChange(cc.GetContext())
		}
	case len(data) > 0 && wire.EntryKind(data[0]) == wire.EntryUpdate:
		c, err = wire.DecodeUpdate(data)
	default:
		return c, false
	}
	return c, err == nil
}

// between is the one change that was decided after the last membership that
// was seen, up to an index. There are several when nobody was seen in between.
func (t *truth) between(at uint64) (one wire.Change, ok bool) {
	n := 0
	for i := t.latestAt + 1; i <= at; i++ {
		if c, is := t.changes[i]; is {
			one = c
			n++
			delete(t.changes, i)
		}
	}
	return one, n == 1
}

// legal holds a change of the membership to the roster's rules.
func (t *truth) legal(p *process, c wire.Change, at uint64, before, after *cluster.Membership) {
	w := p.node.w
	old, now := len(before.Voters()), len(after.Voters())
	own := c.Why == whyRoster
	if slices.Equal(before.Voters(), after.Voters()) && len(before.Members) == len(after.Members) {
		t.edited(w, c)
		return
	}
	// Before its only voter goes, the one that takes its place is promoted.
	if now%2 == 0 && old%2 == 1 && (own || old > 1) {
		w.fail("the change at index %d makes %d voters of %d: an even number", at, now, old)
	}
	if floor := w.floorOf(before); now < old && now < floor && (own || c.Why == whyAsked) {
		w.fail("the change at index %d (%s) leaves %d of %d voters, below the floor of %d", at, c.Why, now, old, floor)
	}
	if own && before.Policy.Paused != "" {
		w.fail("the roster changed the membership at index %d, while it was paused: %+v", at, c.Steps)
	}
	for _, s := range c.Steps {
		if s.Op == wire.OpPromote {
			t.promotable(w, s.Member.ID, at)
			t.byName(w, s.Member.ID, at, before)
		}
	}
	if own {
		t.did(p, c, before)
	}
	if now < old && c.Why == whyBelowFloor && now < w.floorOf(before) {
		w.sometimes(belowFloor)
	}
}

// pairs: a name belongs to one member, but for two that are one machine with an
// old and a new disk; of those, one votes at most.
func (t *truth) pairs(w *World, at uint64, m *cluster.Membership) {
	for _, a := range m.Members {
		b, ok := m.Member(a.Replaces)
		if ok && a.Role == cluster.Voter && b.Role == cluster.Voter {
			w.fail("at index %d both vote that are %s: %s, and %s which it replaces", at, a.Name, a.ID, b.ID)
		}
		for _, o := range m.Members {
			if o.Name == a.Name && o.ID != a.ID && o.Replaces != a.ID && a.Replaces != o.ID {
				w.fail("at index %d two members have the name %s: %s and %s", at, a.Name, a.ID, o.ID)
			}
		}
	}
}

// promotable: who is promoted has the entry that it was added by on its disk.
func (t *truth) promotable(w *World, id cluster.NodeID, at uint64) {
	m, _ := t.latest.Member(id)
	n := t.owners[m.Incarnation]
	if n == nil || !n.up() || n.inc != m.Incarnation || n.stale || n.proc.view == nil || !n.proc.alive() {
		return
	}
	if last := n.proc.log.LastIndex(); last < t.added[id] {
		w.fail("%s is promoted at index %d, and its log ends at %d, before it was added at %d", n.host, at, last, t.added[id])
	}
}

// floorOf is below how many voters nothing may go but what says so.
func (w *World) floorOf(m *cluster.Membership) int {
	p := m.Policy.Or(w.plan.policy)
	if p.Floor > 0 {
		return p.Floor
	}
	return w.targetOf(m)
}

// targetOf is how many voters there should be.
func (w *World) targetOf(m *cluster.Membership) int {
	heads := 0
	for _, x := range m.Members {
		if _, pair := m.Member(x.Replaces); !pair && x.Wanted != cluster.Learner {
			heads++
		}
	}
	return roster.Target(heads, roster.Policy{TargetVoters: m.Policy.Or(w.plan.policy).TargetVoters})
}

// did counts what the roster does by itself.
func (t *truth) did(p *process, c wire.Change, before *cluster.Membership) {
	w := p.node.w
	var in, out cluster.Member
	for _, s := range c.Steps {
		m, _ := before.Member(s.Member.ID)
		switch s.Op {
		case wire.OpPromote:
			in = m
		case wire.OpDemote:
			out = m
		case wire.OpRemove:
			w.sometimes(cleanedUp)
		}
	}
	n := t.owners[out.Incarnation]
	switch {
	case in.ID == 0 || out.ID == 0:
	case in.Replaces == out.ID:
		w.sometimes(wipedSwapped)
		w.reached(onSwap, p)
	case n == nil || !n.up() || n.inc != out.Incarnation:
		w.sometimes(deadReplaced)
	case in.Zone != out.Zone:
		w.sometimes(votesSpread)
	}
}

// edited counts changes of the policy, and of what is wanted of a member.
func (t *truth) edited(w *World, c wire.Change) {
	paused, said := c.Policy["paused"]
	switch {
	case len(c.Steps) == 1 && c.Steps[0].Op == wire.OpWant:
		w.sometimes(promotedByName)
	case said && paused != "":
		w.sometimes(changesPaused)
	case said:
		w.sometimes(changesResumed)
	case len(c.Policy) > 0 && !strings.HasPrefix(c.Request, "plan-"):
		w.sometimes(policyChanged)
	}
}
