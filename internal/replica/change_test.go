package replica

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/wire"
)

// remove takes no heed of the floor: these tests are about what follows.
func remove(id cluster.NodeID) wire.Change {
	c := single("remove-"+id.String(), wire.OpRemove, id)
	c.Steps[0].BelowFloor = true
	return c
}

// as is the same change under another request.
func as(request string, c wire.Change) wire.Change {
	c.Request = request
	return c
}

func single(request string, op wire.ChangeOp, id cluster.NodeID) wire.Change {
	return wire.Change{Request: request, Steps: []wire.Step{{Op: op, Member: cluster.Member{ID: id}}}}
}

// answer is what the node was told about a change; the test fails without one.
func (n *node) answer(token uint64) wire.ChangeReply {
	n.w.t.Helper()
	a, ok := n.seen.answers[token]
	if !ok {
		n.w.t.Fatalf("%s got no answer to change %d\n%s", n.self.Name, token, n.w)
	}
	return a
}

func (n *node) want(token uint64, status wire.ChangeStatus, code string) wire.ChangeReply {
	n.w.t.Helper()
	a := n.answer(token)
	if a.Status != status || a.Code != code {
		n.w.t.Fatalf("answer %+v, want %s %q", a, status, code)
	}
	return a
}

// join adds a learner and boots it.
func (w *world) join(id cluster.NodeID) *node {
	w.t.Helper()
	l := w.leader()
	n := w.newNode(id)
	token := l.change(join(n.self))
	w.settle()
	l.want(token, wire.ChangeApplied, "")
	n.start()
	return n
}

// stir takes some steps, in an order that depends on the seed; no time passes.
func (w *world) stir(steps int) {
	for range steps {
		n := w.nodes[w.ids[w.rng.IntN(len(w.ids))]]
		switch {
		case len(w.pool) > 0 && w.rng.IntN(2) == 0:
			i := w.rng.IntN(len(w.pool))
			p := w.pool[i]
			w.pool = slices.Delete(w.pool, i, i+1)
			w.deliver(p)
		case n.up() && len(n.appends) > 0 && w.rng.IntN(2) == 0:
			n.append()
		case n.up() && len(n.applies) > 0:
			n.apply()
		}
	}
}

// level says whether the node holds all that the leader does.
func (w *world) level(n *node) func() bool {
	return func() bool {
		l := w.leader()
		return l != nil && n.up() && n.rep.applied == l.rep.last
	}
}

// lost is a filter of messages of one type.
func lost(typ raftpb.MessageType) func(cluster.NodeID, cluster.NodeID, *raftpb.Message) bool {
	return func(_, _ cluster.NodeID, m *raftpb.Message) bool { return m.GetType() == typ }
}

func TestJoinAnsweredBeforeCommit(t *testing.T) {
	w := newWorld(t, 1, 3, 3)
	l := w.elect(1)
	n := w.newNode(4)
	w.lose = lost(raftpb.MsgAppResp)
	token := l.change(join(n.self))
	again := l.change(join(n.self))
	w.settle()
	if len(l.seen.answers) > 0 {
		t.Fatalf("answered before it was committed: %v", l.seen.answers)
	}
	w.lose = nil
	w.until("answered", func() bool { return len(l.seen.answers) == 2 })
	a := l.want(token, wire.ChangeApplied, "")
	if b := l.answer(again); b != a {
		t.Fatalf("asked twice, answered %+v and %+v", a, b)
	}
	m := l.rep.Membership()
	if _, ok := m.Member(n.self.ID); !ok || len(m.Members) != 4 || a.Index > l.rep.applied {
		t.Fatalf("answered at %d with %d applied and members %v", a.Index, l.rep.applied, m.Members)
	}
	for range 3 { // and for ever after
		later := l.change(join(n.self))
		if b := l.answer(later); b != a {
			t.Fatalf("asked later, answered %+v, before it was %+v", b, a)
		}
	}
	sameMember := join(n.self)
	sameMember.Request = "another"
	l.want(l.change(sameMember), wire.ChangeApplied, "")
}

// The change was replicated when its leader lost the others: nobody knows. The
// next leader commits it, and asking again tells so.
func TestConfChangeTimeoutThenApplied(t *testing.T) {
	w := newWorld(t, 2, 3, 3)
	l := w.elect(1)
	joiner := w.newNode(4).self
	w.lose = lost(raftpb.MsgAppResp)
	token := l.change(join(joiner))
	queued := l.change(single("queued", wire.OpRemove, 3))
	w.settle() // the others have it; the leader doesn't know
	w.isolate(1)
	w.lose = nil
	w.until("the old leader gives up", func() bool { return l.rep.termStart == 0 })
	l.want(token, wire.ChangeUnknown, "leadership_lost")
	l.want(queued, wire.ChangePending, "not_leader")
	w.until("another leads", func() bool { n := w.leader(); return n != nil && n.rep.leads() && n.rep.applied == n.rep.last })
	n := w.leader()
	a := n.want(n.change(join(joiner)), wire.ChangeApplied, "")
	last := n.rep.last
	w.heal()
	w.ticks(10)
	if b := n.want(n.change(join(joiner)), wire.ChangeApplied, ""); b != a || n.rep.last != last {
		t.Fatalf("asked again: %+v, before it was %+v; log %d, before it was %d", b, a, n.rep.last, last)
	}
}

// The change never left its leader: unknown, and asking again carries it out once.
func TestChangeLostWithItsLeader(t *testing.T) {
	w := newWorld(t, 3, 3, 3)
	l := w.elect(1)
	w.isolate(1)
	token := l.change(join(w.newNode(4).self))
	w.until("the old leader gives up", func() bool { return l.rep.termStart == 0 })
	l.want(token, wire.ChangeUnknown, "leadership_lost")
	w.until("another leads", func() bool { n := w.leader(); return n != nil && n.rep.applied == n.rep.last })
	n := w.leader()
	again := n.change(join(w.nodes[4].self))
	w.heal()
	w.ticks(10)
	n.want(again, wire.ChangeApplied, "")
	if m := l.rep.Membership(); len(m.Outcomes) != 1 {
		t.Fatalf("outcomes %v", m.Outcomes)
	}
}

// The same change twice in the log, and a restart that reads both again.
func TestConfChangeAppliedTwiceAfterRestart(t *testing.T) {
	w := newWorld(t, 4, 1, 1)
	l := w.elect(1)
	w.join(2)
	c := join(w.newNode(3).self)
	for range 2 {
		if err := l.rep.raft.Step(l.rep.changeMessage(c)); err != nil {
			t.Fatal(err)
		}
		l.drain()
		w.settle()
	}
	before := l.rep.Membership()
	if len(before.Members) != 3 || len(before.Outcomes) != 2 {
		t.Fatalf("members %v, outcomes %v", before.Members, before.Outcomes)
	}
	removed := l.change(remove(3))
	w.settle()
	l.want(removed, wire.ChangeApplied, "")
	before = l.rep.Membership()
	for _, fromImage := range []bool{false, true} {
		if fromImage {
			l.shoot(false) // the entries stay in the log, below the image
		}
		l.crash()
		l.start()
		w.elect(1)
		if after := l.rep.Membership(); string(EncodeMembership(after)) != string(EncodeMembership(before)) {
			t.Fatalf("after a restart the membership is\n%s\nbefore it was\n%s", EncodeMembership(after), EncodeMembership(before))
		}
	}
}

func TestRestartForgetsItIsVoter(t *testing.T) {
	w := newWorld(t, 5, 1, 3)
	l := w.elect(1)
	w.join(2)
	w.join(3)
	w.until("three voters", func() bool { return len(l.rep.conf.GetVoters()) == 3 && !l.rep.joint() })
	for _, id := range w.ids {
		w.until("level", w.level(w.nodes[id]))
	}
	w.ticks(2)
	for _, image := range []bool{false, true} {
		for _, id := range w.ids {
			n := w.nodes[id]
			if image {
				n.shoot(true)
			}
			n.crash()
		}
		w.pool = nil
		w.nodes[2].start()
		w.nodes[3].start() // the founder stays away: the two must know that they vote
		w.until("a leader without the founder", func() bool { n := w.leader(); return n != nil && n.rep.leads() })
		l.start()
		w.until("level", w.level(l))
	}
}

// One voter becomes three at once; there is no moment with two, and one of the
// newcomers may die at any time.
func TestPromoteThenDie(t *testing.T) {
	for dies := range 12 {
		t.Run(fmt.Sprint("after=", dies), func(t *testing.T) {
			w := newWorld(t, 6, 1, 3)
			l := w.elect(1)
			w.join(2)
			w.until("level", w.level(w.nodes[2]))
			w.ticks(20)
			if v := len(l.rep.conf.GetVoters()); v != 1 {
				t.Fatalf("%d voters of two members", v)
			}
			w.join(3)
			w.until("the promotion begins", func() bool { return len(l.rep.conf.GetVoters()) == 3 || l.rep.changes.inflight != nil })
			w.stir(dies)
			w.nodes[3].crash()
			w.until("the joint configuration is left", func() bool { return len(l.rep.conf.GetVoters()) == 3 && !l.rep.joint() })
			id := l.proposeBytes([]byte("x"))
			w.until("a write goes on", func() bool { return w.truth.requests[id] > 0 })
			for index, enc := range w.truth.members {
				if n := bytes.Count(enc, []byte(`"role":"voter"`)); n != 1 && n != 3 {
					t.Fatalf("%d voters at index %d", n, index)
				}
			}
		})
	}
}

// The leader dies at every step of a joint change; the others always leave it.
func TestLeaderCrashInJoint(t *testing.T) {
	for dies := range 40 {
		t.Run(fmt.Sprint("after=", dies), func(t *testing.T) {
			w := newWorld(t, uint64(dies), 3, 3)
			l := w.elect(1)
			w.join(4)
			w.join(5)
			w.until("level", w.level(w.nodes[4]))
			w.until("level", w.level(w.nodes[5]))
			c := wire.Change{Request: "swap"}
			for id, op := range []wire.ChangeOp{3: wire.OpDemote, 4: wire.OpPromote, 5: wire.OpPromote} {
				if op != "" {
					c.Steps = append(c.Steps, wire.Step{Op: op, Member: cluster.Member{ID: cluster.NodeID(id)}})
				}
			}
			l.change(c)
			w.stir(dies)
			l.crash()
			w.until("a settled cluster without it", func() bool {
				n := w.leader()
				return n != nil && n.rep.leads() && !n.rep.joint() && n.rep.applied == n.rep.last
			})
			n := w.leader()
			again := n.change(c)
			w.until("the change is settled", func() bool { _, ok := n.seen.answers[again]; return ok })
			n.want(again, wire.ChangeApplied, "")
		})
	}
}

func TestRemoveLeaderSelfLastVoter(t *testing.T) {
	w := newWorld(t, 7, 1, 3)
	l := w.elect(1)
	l.want(l.change(remove(1)), wire.ChangeRefused, "last_voter")
	l.want(l.change(single("demote", wire.OpDemote, 1)), wire.ChangeRefused, "invalid")

	// With a learner that is ready, the learner takes over.
	n := w.join(2)
	w.until("level", w.level(n))
	w.ticks(10)
	w.removeUntilGone(1)
	if l := w.leader(); l != n || len(l.rep.membership.Members) != 1 {
		t.Fatalf("left is\n%s", w)
	}
}

// Of two voters, one is removed; the other may be the last to learn of it, or
// forget it in a crash, and must still be able to go on alone.
func TestRemoveOneOfTwo(t *testing.T) {
	for _, gone := range []cluster.NodeID{1, 2} {
		for dies := range 80 {
			t.Run(fmt.Sprintf("gone=%d,after=%d", gone, dies), func(t *testing.T) {
				w := newWorld(t, uint64(dies), 2, 3)
				w.elect(1).change(remove(gone))
				w.stir(dies)
				w.pool = nil
				for _, n := range w.nodes {
					if n.up() {
						n.crash()
						n.start()
					}
				}
				w.removeUntilGone(gone)
			})
		}
	}
}

// removeUntilGone asks for a removal wherever the leader is, as the body does.
func (w *world) removeUntilGone(id cluster.NodeID) {
	w.t.Helper()
	c := remove(id)
	w.until("it is removed and the others go on", func() bool {
		l := w.leader()
		if l == nil {
			return false
		}
		if _, ok := l.rep.membership.Member(id); ok {
			l.change(c)
			return false
		}
		return l.rep.leads() && l.self.ID != id && l.rep.applied == l.rep.last
	})
}

// Of four, one is removed, and the leader dies for good. The two that are left
// are a quorum of three, but may not know yet that there are only three.
func TestRemovedVoterIsThereWhileItIsNeeded(t *testing.T) {
	for dies := range 120 {
		t.Run(fmt.Sprint("after=", dies), func(t *testing.T) {
			w := newWorld(t, uint64(dies), 4, 3)
			l := w.elect(1)
			l.change(remove(4))
			w.stir(dies)
			l.crash()
			w.pool = nil
			if n := w.nodes[4]; n.up() && n.rep.last > max(w.nodes[2].rep.last, w.nodes[3].rep.last) {
				// The one demoted alone has what came next. With raft v3 nobody
				// can be elected then before the old leader is back.
				l.start()
			}
			w.until("one leads", func() bool { n := w.leader(); return n != nil && n.rep.leads() })
		})
	}
}

// Nobody is told that a configuration is committed before the leader would
// know it after a crash.
func TestCommitOfConfigurationIsDurableFirst(t *testing.T) {
	w := newWorld(t, 14, 2, 2)
	l, f := w.elect(1), w.nodes[2]
	l.change(single("demote", wire.OpDemote, 2))
	for l.rep.confirming == 0 {
		w.stir(1)
	}
	for len(w.pool) > 0 || len(l.applies) > 0 {
		if len(w.pool) > 0 {
			p := w.pool[0]
			w.pool = w.pool[1:]
			w.deliver(p)
		} else {
			l.apply()
		}
	}
	l.rep.Tick()
	l.drain()
	if len(w.pool) > 0 || l.rep.basic.GetCommit() <= f.rep.basic.GetCommit() {
		t.Fatalf("%d packets on their way, commit %d and %d", len(w.pool), l.rep.basic.GetCommit(), f.rep.basic.GetCommit())
	}
	commit := l.rep.basic.GetCommit()
	w.settle()
	if f.rep.basic.GetCommit() < commit || l.log.synced.GetCommit() < commit {
		t.Fatalf("commit %d, the follower's %d, durable %d", commit, f.rep.basic.GetCommit(), l.log.synced.GetCommit())
	}
}

// A new leader finds a change in its log that takes its vote. It ends its log
// there: its successor could not be elected with a shorter one.
func TestInheritedChangeTakesTheVote(t *testing.T) {
	for _, restart := range []bool{false, true} {
		w := newWorld(t, 15, 2, 2)
		old, n := w.elect(2), w.nodes[1]
		w.lose = lost(raftpb.MsgAppResp)
		old.change(single("demote", wire.OpDemote, 1))
		w.settle()
		w.lose = nil
		w.pool = nil
		old.crash()
		if restart {
			n.crash()
			n.start()
		}
		old.start()
		w.until("the other leads", func() bool {
			if n.rep.termStart == 0 {
				_ = n.rep.raft.Campaign()
				n.drain()
				for n.rep.termStart == 0 && (len(w.pool) > 0 || len(n.appends)+len(old.appends) > 0) {
					w.stir(1)
				}
			}
			return n.rep.termStart > 0
		})
		id := n.proposeBytes([]byte("x"))
		if waiting, _ := n.rep.Waiting(); waiting != 1 || n.rep.last != n.rep.termStart {
			t.Fatalf("%d wait, the log goes to %d, its term began at %d", waiting, n.rep.last, n.rep.termStart)
		}
		w.until("its successor carries on", func() bool { return w.leader() == old && w.truth.requests[id] > 0 })
	}
}

// A leader never takes its own vote: it hands leadership over, and whoever
// leads then carries the change out.
func TestLeaderKeepsItsVote(t *testing.T) {
	w := newWorld(t, 12, 3, 3)
	l := w.elect(1)
	c := wire.Change{Request: "demote", Steps: []wire.Step{{Op: wire.OpDemote, Member: cluster.Member{ID: 1}}}}
	token := l.change(c)
	w.settle()
	l.want(token, wire.ChangePending, "not_leader")
	n := w.leader()
	if n == nil || n == l || len(l.rep.membership.Voters()) != 3 {
		t.Fatalf("it did not give way\n%s", w)
	}
	again := n.change(c)
	w.settle()
	n.want(again, wire.ChangeApplied, "")

	// Nobody takes it: refused, not tried for ever.
	w = newWorld(t, 13, 3, 3)
	l = w.elect(1)
	w.lose = lost(raftpb.MsgTimeoutNow)
	token = l.change(c)
	w.ticks(20)
	l.want(token, wire.ChangeRefused, "no_candidate")
	id := l.proposeBytes([]byte("x"))
	w.settle()
	if w.truth.requests[id] == 0 {
		t.Fatal("writes don't go on")
	}
}

// Two removals that wait together are both carried out.
func TestQueuedRemovals(t *testing.T) {
	w := newWorld(t, 8, 5, 5)
	l := w.elect(1)
	a, b := l.change(remove(4)), l.change(remove(5))
	w.ticks(20)
	l.want(a, wire.ChangeApplied, "")
	l.want(b, wire.ChangeApplied, "")
	if v := l.rep.membership.Voters(); len(v) != 3 || l.rep.joint() {
		t.Fatalf("voters %v", v)
	}
	l.want(l.change(single("again", wire.OpRemove, 5)), wire.ChangeRefused, "already_removed")
}

// Raft leaves a joint configuration when it applies an entry, but not while
// leadership is handed over; when that fails, nothing may be left to apply.
func TestJointLeftAfterFailedTransfer(t *testing.T) {
	w := newWorld(t, 9, 3, 3)
	l := w.elect(1)
	c := wire.Change{Request: "two", Steps: []wire.Step{
		{Op: wire.OpDemote, Member: cluster.Member{ID: 2}}, {Op: wire.OpDemote, Member: cluster.Member{ID: 3}}}}
	l.change(c)
	for len(l.applies) == 0 { // committed, not applied
		if len(w.pool) > 0 {
			p := w.pool[0]
			w.pool = w.pool[1:]
			w.deliver(p)
			continue
		}
		for _, n := range w.nodes {
			if len(n.appends) > 0 {
				n.append()
			}
		}
	}
	w.lose = lost(raftpb.MsgTimeoutNow)
	if why := l.rep.Transfer(2); why != nil {
		t.Fatal(why)
	}
	l.drain()
	w.until("the joint configuration is left", func() bool { return len(l.rep.conf.GetVoters()) == 1 && !l.rep.joint() })
}

func TestChangesAreBounded(t *testing.T) {
	w := newWorld(t, 10, 3, 3)
	l := w.elect(1)
	w.isolate(1)
	for i := range maxChanges + 1 { // the first is in flight
		l.rep.Change(uint64(i), as(fmt.Sprint(i), remove(3)))
	}
	l.drain()
	for i := range 2 {
		l.rep.Change(uint64(maxChanges+1+i), as(fmt.Sprint("more", i), remove(3)))
	}
	l.drain()
	l.want(maxChanges+2, wire.ChangePending, "queue_full")
	f := w.nodes[2]
	f.want(f.change(remove(3)), wire.ChangePending, "not_leader")

	w.until("the leader gives up", func() bool { return l.rep.termStart == 0 })
	l.want(6, wire.ChangePending, "not_leader")
}

// A member that came back with another address has its line corrected.
func TestAnnounce(t *testing.T) {
	w := newWorld(t, 11, 3, 3)
	w.elect(1)
	n := w.nodes[3]
	n.crash()
	n.self.PeerAddr = "elsewhere:2380"
	n.start()
	w.until("its new address is known", func() bool {
		m, _ := w.nodes[1].rep.membership.Member(3)
		return m == cluster.Member{ID: 3, Incarnation: n.self.Incarnation, Name: n.self.Name, PeerAddr: "elsewhere:2380", Role: cluster.Voter}
	})
}

// TestReusedID: an identity that was removed is never a member again, as
// whatever it comes back and under whatever name.
func TestReusedID(t *testing.T) {
	w := newWorld(t, 14, 3, 3)
	l := w.elect(1)
	token := l.change(remove(3))
	w.until("n3 is out", func() bool { return l.seen.answers[token].Status == wire.ChangeApplied && w.nodes[3].gone != nil })
	again := w.nodes[3].self
	for i, name := range []string{again.Name, "another"} {
		again.Name = name
		c := join(again)
		c.Request = fmt.Sprint("again ", i)
		token := l.change(c)
		w.settle()
		if a := l.want(token, wire.ChangeRefused, "invalid"); !strings.Contains(a.Reason, "never used again") {
			t.Errorf("refused with %q", a.Reason)
		}
	}
	for _, op := range []wire.ChangeOp{wire.OpPromote, wire.OpUpdate} {
		token := l.change(single("again "+string(op), op, 3))
		w.settle()
		l.want(token, wire.ChangeRefused, "invalid")
	}
	if _, member := l.rep.membership.Member(3); member {
		t.Error("it is a member again")
	}
}
