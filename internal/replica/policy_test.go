package replica

import (
	"strings"
	"testing"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/wire"
)

func setPolicy(request string, settings ...string) wire.Change {
	c := wire.Change{Request: request, Policy: map[string]string{}}
	for i := 0; i < len(settings); i += 2 {
		c.Policy[settings[i]] = settings[i+1]
	}
	return c
}

func (w *world) voters() int {
	m := w.leader().rep.Membership()
	return len(m.Voters())
}

// TestPolicyIsInTheLog: every member comes to the same policy, whoever leads
// goes by it, and neither a restart nor an image forgets it.
func TestPolicyIsInTheLog(t *testing.T) {
	w := newWorld(t, 1, 3, 3)
	l := w.elect(1)
	token := l.change(setPolicy("p1", "target-voters", "1", "dead-after", "never"))
	w.settle()
	a := l.want(token, wire.ChangeApplied, "")
	if b := l.answer(l.change(setPolicy("p1", "target-voters", "1", "dead-after", "never"))); b != a {
		t.Fatalf("asked twice, answered %+v and %+v", a, b)
	}
	w.until("one voter is left", func() bool { return w.leader() != nil && w.voters() == 1 })
	w.ticks(3)
	for _, id := range w.ids {
		if p := w.nodes[id].rep.Membership().Policy; p.TargetVoters != 1 || p.DeadAfter != cluster.Never {
			t.Errorf("%s has the policy %+v", w.nodes[id].self.Name, p)
		}
	}
	l = w.leader()
	l.shoot(true)
	l.crash()
	l.start()
	w.until("it leads again", func() bool { return w.leader() != nil })
	if p := l.rep.Membership().Policy; p.TargetVoters != 1 {
		t.Errorf("after a restart the policy is %+v", p)
	}
	w.leader().change(setPolicy("p2", "target-voters", ""))
	w.until("three vote again", func() bool { return w.leader() != nil && w.voters() == 3 })
}

// TestPolicyRefused: what can't be is refused from the applied state, and
// changes nothing; a change is not half a policy and half a membership.
func TestPolicyRefused(t *testing.T) {
	w := newWorld(t, 2, 3, 3)
	l := w.elect(1)
	both := setPolicy("p0", "floor", "1")
	both.Steps = single("", wire.OpDemote, 2).Steps
	for _, c := range []wire.Change{
		both,
		setPolicy("p1", "target-voters", "3", "floor", "5"),
		setPolicy("p2", "fish", "1"),
		{Request: "p3"},
	} {
		token := l.change(c)
		w.settle()
		l.want(token, wire.ChangeRefused, "invalid")
	}
	if p := l.rep.Membership().Policy; p.TargetVoters != 0 || p.Floor != 0 {
		t.Errorf("a refused change left %+v", p)
	}
}

// TestPause: while it is paused the roster does nothing and says why; what is
// asked for by name is done.
func TestPause(t *testing.T) {
	w := newWorld(t, 3, 1, 3)
	l := w.elect(1)
	token := l.change(setPolicy("p1", "paused", "the network is being moved"))
	w.settle()
	l.want(token, wire.ChangeApplied, "")
	n2, n3 := w.join(2), w.join(3)
	w.until("both have caught up", func() bool { return w.level(n2)() && w.level(n3)() })
	w.ticks(50)
	if n := w.voters(); n != 1 {
		t.Fatalf("%d voters while it is paused", n)
	}
	if !hasReason(l.rep.Why(), "paused", "the network is being moved") {
		t.Errorf("it doesn't say that it is paused: %v", l.rep.Why())
	}
	token = l.change(remove(3))
	w.until("n3 is removed by name", func() bool { _, ok := l.seen.answers[token]; return ok })
	l.want(token, wire.ChangeApplied, "")
	w.join(4)
	l.change(setPolicy("p2", "paused", ""))
	w.until("three vote", func() bool { return w.leader() != nil && w.voters() == 3 })
}

func hasReason(why []event.Reason, code, text string) bool {
	for _, r := range why {
		if r.Code == code && strings.Contains(r.Text, text) {
			return true
		}
	}
	return false
}

// TestNameOfASilentMember: a newcomer takes the name of a member that is
// silent: beside a voter, which it says it replaces, and in the place of a
// learner. Of one that answers it can't have it.
func TestNameOfASilentMember(t *testing.T) {
	w := newWorld(t, 4, 3, 3)
	l := w.elect(1)
	named := func(id cluster.NodeID, name, addr string) wire.Change {
		n := w.newNode(id)
		n.self.Name, n.self.PeerAddr = name, addr
		return join(n.self)
	}
	taken, at := w.nodes[2].self.Name, w.nodes[2].self.PeerAddr
	token := l.change(named(11, taken, "elsewhere:1"))
	w.settle()
	l.want(token, wire.ChangeRefused, "invalid")

	w.nodes[2].crash()
	w.ticks(7)
	token = l.change(named(12, taken, "elsewhere:1"))
	w.settle()
	l.want(token, wire.ChangeRefused, "invalid") // it may be back: an election timeout says little about another place

	token = l.change(named(13, taken, at))
	w.settle()
	l.want(token, wire.ChangeApplied, "")
	m := l.rep.Membership()
	if got, _ := m.Member(13); got.Replaces != 2 || got.Role != cluster.Learner {
		t.Fatalf("added as %+v", got)
	}
	if got, _ := m.ByName(taken); got.ID != 13 {
		t.Errorf("%s is %+v", taken, got)
	}

	// The newcomer never shows up; the next one comes in its place, beside the same voter.
	w.ticks(7)
	token = l.change(named(14, taken, at))
	w.settle()
	l.want(token, wire.ChangeApplied, "")
	m = l.rep.Membership()
	if got, _ := m.Member(14); got.Replaces != 2 {
		t.Fatalf("added as %+v", got)
	}
	if _, ok := m.Tombstone(13); !ok {
		t.Error("the newcomer before it is still there")
	}

	// When the voter is gone, nobody replaces it any more.
	token = l.change(remove(2))
	w.until("it is removed", func() bool { _, ok := l.seen.answers[token]; return ok })
	if got, _ := m.Member(14); got.Replaces != 2 {
		t.Fatalf("a copy was changed")
	}
	m = l.rep.Membership()
	if got, _ := m.Member(14); got.Replaces != 0 {
		t.Errorf("it replaces %s, which is gone", got.Replaces)
	}
}

// TestMoveKeepsThePair: a member that comes in place of another and moves before
// it has taken that place still comes in place of it.
func TestMoveKeepsThePair(t *testing.T) {
	w := newWorld(t, 5, 3, 3)
	l := w.elect(1)
	gone := w.nodes[2]
	gone.crash()
	w.ticks(7)
	n := w.newNode(13)
	n.self.Name, n.self.PeerAddr = gone.self.Name, gone.self.PeerAddr
	token := l.change(join(n.self))
	w.settle()
	l.want(token, wire.ChangeApplied, "")
	moved := n.self
	moved.PeerAddr = "elsewhere:1"
	token = l.change(wire.Change{Request: "move", Steps: []wire.Step{{Op: wire.OpUpdate, Member: moved}}})
	w.settle()
	l.want(token, wire.ChangeApplied, "")
	m := l.rep.Membership()
	if got, _ := m.Member(13); got.Replaces != 2 || got.PeerAddr != "elsewhere:1" {
		t.Errorf("after its move it is %+v", got)
	}
}
