package replica

import (
	"strings"
	"testing"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/wire"
)

const alias cluster.NodeID = 0xa11a5

func announce(request string, id cluster.NodeID, learner bool, urls ...string) wire.Change {
	return wire.Change{Request: request, Steps: []wire.Step{{Op: wire.OpAnnounce, Member: cluster.Member{ID: id},
		Announced: &cluster.Announced{ID: id, PeerURLs: urls, Learner: learner}}}}
}

func readdress(request string, id cluster.NodeID, urls ...string) wire.Change {
	return wire.Change{Request: request, Steps: []wire.Step{{Op: wire.OpReaddress, Member: cluster.Member{ID: id},
		Announced: &cluster.Announced{PeerURLs: urls}}}}
}

// done asks the leader for a change, and returns when it is applied there.
func (w *world) done(c wire.Change) *node {
	w.t.Helper()
	l := w.leader()
	token := l.change(c)
	w.settle()
	l.want(token, wire.ChangeApplied, "")
	return l
}

// refusedAs asks for a change that is refused, and changes nothing.
func (w *world) refusedAs(code string, c wire.Change) {
	w.t.Helper()
	l := w.leader()
	before := EncodeMembership(l.rep.Membership())
	token := l.change(c)
	w.settle()
	l.want(token, wire.ChangeRefused, code)
	if after := EncodeMembership(l.rep.Membership()); string(before) != string(after) {
		w.t.Errorf("a refused change made\n%s of\n%s", after, before)
	}
}

func (w *world) memberAt(via *node, id cluster.NodeID) cluster.Member {
	all := via.rep.Membership()
	m, _ := all.Known(id)
	return m
}

// TestAnnouncedIsTakenUp: who joins from an announced address is the one that was
// announced, on every member, through images and restarts; it stays a learner
// until somebody asks for its promotion, by either ID.
func TestAnnouncedIsTakenUp(t *testing.T) {
	w := newWorld(t, 1, 3, 5)
	w.elect(1)
	w.done(announce("a1", alias, true, "http://elsewhere:1", "https://N9:2380"))
	for _, id := range w.ids {
		w.until("it is announced everywhere", func() bool { m := w.nodes[id].rep.Membership(); return len(m.Announced) == 1 })
	}
	l := w.leader()
	if !hasReason(l.rep.Why(), "announced", "N9:2380") || l.rep.Status().Announced[0].Index == 0 {
		t.Errorf("it doesn't say whom it waits for: %v", l.rep.Why())
	}

	// An image holds it: one that was down meanwhile, and the leader after its restart, know.
	n2 := w.nodes[2]
	n2.crash()
	l.proposeBytes([]byte("x"))
	w.settle()
	l.shoot(true)
	n2.start()
	w.until("it has caught up", w.level(n2))
	l.crash()
	l.start()
	w.until("somebody leads", func() bool { return w.leader() != nil && w.level(l)() })
	for _, n := range []*node{l, n2} {
		if m := n.rep.Membership(); len(m.Announced) != 1 || !m.Announced[0].Learner || m.Announced[0].ID != alias {
			t.Fatalf("%s knows of %+v", n.self.Name, m.Announced)
		}
	}

	n9, n8 := w.join(9), w.join(8)
	w.until("both have caught up", func() bool { return w.level(n9)() && w.level(n8)() })
	w.ticks(60)
	for _, id := range []cluster.NodeID{1, 2, 3, 9} {
		at := w.nodes[id]
		m := w.memberAt(at, alias)
		if all := at.rep.Membership(); m.ID != n9.self.ID || m.Alias != alias || m.Wanted != cluster.Learner || m.Role != cluster.Learner || len(all.Announced) != 0 {
			t.Errorf("at %s it is %+v of %+v", at.self.Name, m, all)
		}
	}
	if m := w.memberAt(w.leader(), n8.self.ID); m.Alias != 0 || m.Wanted != 0 {
		t.Errorf("another that joined is %+v", m)
	}
	if !hasReason(w.leader().rep.Why(), "announced_learner", "9 stays a learner") {
		t.Errorf("it doesn't say why it stays a learner: %v", w.leader().rep.Why())
	}
	if s := n9.rep.Status().Self; s.Alias != alias || !s.Awaits() {
		t.Errorf("it knows itself as %+v", s)
	}

	w.done(single("promote", wire.OpVote, alias))
	w.until("five vote", func() bool { return w.leader() != nil && w.voters() == 5 })
	if m := w.memberAt(w.leader(), alias); m.Role != cluster.Voter || m.Wanted != cluster.Voter {
		t.Errorf("after its promotion it is %+v", m)
	}
	w.refusedAs("not_learner", single("again", wire.OpVote, n9.self.ID))
}

// TestPromotedToStandby: where there are voters enough, who is promoted by name
// is on standby, and votes when one is missing.
func TestPromotedToStandby(t *testing.T) {
	w := newWorld(t, 2, 3, 3)
	w.elect(1)
	w.done(setPolicy("policy", "dead-after", "2s"))
	w.done(announce("a1", alias, true, "http://n9:2380"))
	w.refusedAs("not_there", single("p0", wire.OpVote, alias))
	n9 := w.join(9)
	w.refusedAs("not_active", single("p1", wire.OpVote, alias))
	w.until("it has caught up", w.level(n9))
	w.ticks(20)
	w.nodes[3].crash()
	w.ticks(100)
	if n := w.memberAt(w.leader(), n9.self.ID); n.Role != cluster.Learner {
		t.Fatalf("announced as a learner, it became %+v", n)
	}
	w.nodes[3].start()
	w.until("all are up", w.level(w.nodes[3]))
	w.ticks(20)
	w.done(single("p2", wire.OpVote, n9.self.ID))
	w.refusedAs("not_learner", single("p3", wire.OpVote, alias)) // a script that asks again
	if n := w.memberAt(w.leader(), n9.self.ID); n.Role != cluster.Learner || n.Wanted != cluster.Voter || n.Awaits() {
		t.Fatalf("it is %+v", n)
	}
	w.nodes[3].crash()
	w.until("it votes in place of the dead one", func() bool {
		return w.leader() != nil && w.memberAt(w.leader(), n9.self.ID).Role == cluster.Voter
	})
}

// TestAnnouncedVoter: nobody needs to promote it; the roster does.
func TestAnnouncedVoter(t *testing.T) {
	w := newWorld(t, 3, 1, 3)
	w.elect(1)
	w.done(announce("a1", alias, false, "http://n9:2380"))
	w.refusedAs("not_there", single("p0", wire.OpVote, alias))
	n9 := w.join(9)
	w.refusedAs("not_learner", single("p1", wire.OpVote, alias))
	if m := w.memberAt(w.leader(), alias); m.ID != n9.self.ID || m.Wanted != cluster.Voter || m.Awaits() {
		t.Errorf("it came as %+v", m)
	}
	w.join(8)
	w.until("three vote", func() bool { return w.leader() != nil && w.voters() == 3 })
}

// TestAnnounceRefused: an address is one member's, and so is an ID.
func TestAnnounceRefused(t *testing.T) {
	w := newWorld(t, 4, 3, 3)
	w.elect(1)
	w.done(announce("a1", alias, false, "http://n9:2380", "http://n10:2380"))
	w.refusedAs("peer_addr_taken", announce("a2", 77, false, "https://N10:2380"))
	w.refusedAs("peer_addr_taken", announce("a3", 77, false, "http://x:1", "http://n2:2380"))
	w.refusedAs("peer_addr_taken", readdress("u1", alias, "http://n2:2380"))
	w.refusedAs("peer_addr_taken", readdress("u2", w.nodes[3].self.ID, "http://n9:2380"))
	w.refusedAs("id_taken", announce("a4", alias, false, "http://x:1"))
	w.refusedAs("id_taken", announce("a5", w.nodes[2].self.ID, false, "http://x:1"))
	w.refusedAs("invalid", announce("a6", 77, false))
	w.refusedAs("invalid", announce("a7", 77, false, "n77"))
	w.refusedAs("invalid", readdress("u3", w.nodes[3].self.ID, "http://x:1", "http://x:2"))
	w.refusedAs("unknown_member", readdress("u4", 77, "http://x:1"))
	w.refusedAs("unknown_member", single("w1", wire.OpWithdraw, 77))
	n9 := w.join(9)
	w.refusedAs("id_taken", announce("a8", alias, false, "http://x:1")) // it is the alias now
	w.done(remove(alias))
	m := w.leader().rep.Membership()
	if _, gone := m.Tombstone(n9.self.ID); !gone {
		t.Errorf("removed by its alias, it is still there: %+v", m)
	}
	w.done(announce("a9", alias+1, false, "http://n9:2380")) // its place is free
}

// TestWithdrawn: an announcement is taken back by removing its ID, and is no
// member's then; who comes from there is anybody.
func TestWithdrawn(t *testing.T) {
	w := newWorld(t, 5, 3, 5)
	w.elect(1)
	w.done(announce("a1", alias, true, "http://n9:2380"))
	l := w.done(remove(alias))
	m := l.rep.Membership()
	if _, buried := m.Tombstone(alias); len(m.Announced) != 0 || buried {
		t.Fatalf("left: %+v", m)
	}
	w.refusedAs("unknown_member", as("again", remove(alias)))
	n9 := w.join(9)
	if m := w.memberAt(l, n9.self.ID); m.Alias != 0 || m.Wanted != 0 {
		t.Errorf("it came as %+v", m)
	}
	var told []string
	for _, e := range w.nodes[2].seen.events {
		switch e.(type) {
		case event.MemberAnnounced, event.AnnouncementWithdrawn:
			told = append(told, e.Text())
		}
	}
	if text := strings.Join(told, "; "); len(told) != 2 || !strings.Contains(told[0], "n9:2380") || !strings.Contains(told[1], "not to come") {
		t.Errorf("told: %s", text)
	}
}

// TestReaddressed: of one that is to come the address changes; where a member is
// about to move is noted until it is there.
func TestReaddressed(t *testing.T) {
	w := newWorld(t, 6, 3, 3)
	w.elect(1)
	w.done(announce("a1", alias, true, "http://n8:2380"))
	w.done(readdress("u1", alias, "http://n9:2380"))
	n9 := w.join(9)
	if m := w.memberAt(w.leader(), alias); m.ID != n9.self.ID {
		t.Errorf("it came as %+v", m)
	}
	w.done(readdress("u2", alias, "http://n7:2380"))
	w.until("it has caught up", w.level(n9))
	w.ticks(10)
	if m := w.memberAt(w.leader(), alias); m.PeerAddr != "n9:2380" || m.MovesTo != "n7:2380" || m.Alias != alias {
		t.Errorf("before it moves it is %+v", m)
	}
	n9.crash()
	n9.self.PeerAddr = "n7:2380"
	n9.start()
	w.until("it tells where it is", func() bool {
		for _, c := range n9.rep.Effects().Ask {
			w.leader().change(c)
		}
		return w.memberAt(w.leader(), alias).PeerAddr == "n7:2380"
	})
	if m := w.memberAt(w.leader(), alias); m.MovesTo != "" || m.Alias != alias || m.Wanted != cluster.Learner {
		t.Errorf("after its move it is %+v", m)
	}
	w.done(readdress("u3", alias, "http://n6:2380"))
	w.done(readdress("u4", alias, "http://n7:2380"))
	if m := w.memberAt(w.leader(), alias); m.MovesTo != "" {
		t.Errorf("it stays where it is, and is %+v", m)
	}
}

// TestWipedBeforePromotion: a learner that lost its disk before anybody promoted
// it is still the one that was announced, and stays a learner.
func TestWipedBeforePromotion(t *testing.T) {
	w := newWorld(t, 7, 1, 3)
	w.elect(1)
	w.done(announce("a1", alias, true, "http://n9:2380"))
	n9 := w.join(9)
	w.until("it has caught up", w.level(n9))
	n9.crash()
	w.ticks(12)
	again := w.newNode(10)
	again.self.Name, again.self.PeerAddr = n9.self.Name, n9.self.PeerAddr
	w.done(join(again.self))
	if m := w.memberAt(w.leader(), alias); m.ID != again.self.ID || m.Wanted != cluster.Learner {
		t.Errorf("its new disk came as %+v", m)
	}
}

// TestPromoteOutlivesItsLeader: when the leader dies between question and answer,
// asking again settles it.
func TestPromoteOutlivesItsLeader(t *testing.T) {
	w := newWorld(t, 8, 3, 5)
	l := w.elect(1)
	w.done(announce("a1", alias, true, "http://n9:2380"))
	n9, n8 := w.join(9), w.join(8)
	w.until("both have caught up", func() bool { return w.level(n9)() && w.level(n8)() })
	w.ticks(20)
	c := single("promote", wire.OpVote, alias)
	w.isolate(l.self.ID)
	token := l.change(c)
	l.crash()
	w.until("another leads", func() bool { return w.leader() != nil })
	w.heal()
	l.start()
	if _, ok := l.seen.answers[token]; ok {
		t.Fatal("it was answered")
	}
	w.until("asking again promotes it", func() bool {
		x := w.leader()
		if x == nil {
			return false
		}
		token := x.change(c)
		w.settle()
		return x.seen.answers[token].Status == wire.ChangeApplied
	})
	w.until("five vote", func() bool { return w.leader() != nil && w.voters() == 5 })
}
