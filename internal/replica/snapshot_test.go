package replica

import (
	"slices"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/roster"
	"github.com/musterhq/muster/internal/wire"
)

// fits fails when a snapshot is sent to somebody who isn't in its configuration.
func (w *world) fits() {
	w.lose = func(_, to cluster.NodeID, m *raftpb.Message) bool {
		conf := m.GetSnapshot().GetMetadata().GetConfState()
		if m.GetType() == raftpb.MsgSnap && !slices.Contains(append(conf.GetVoters(), conf.GetLearners()...), uint64(to)) {
			w.t.Fatalf("a snapshot with configuration %v for %s", conf, to)
		}
		return false
	}
}

// The leader is ahead, the joiner has nothing, and there is no image but the
// founders' empty one.
func TestEmptyLogJoiner(t *testing.T) {
	for _, founders := range []int{1, 3} {
		w := newWorld(t, 1, founders, founders)
		l := w.elect(1)
		for range 3 {
			l.proposeBytes([]byte("x"))
			w.settle()
		}
		w.fits()
		n := w.join(9)
		w.until("level", w.level(n))
	}
}

// The newest image is older than the joiner's own addition.
func TestSnapshotWithoutJoinerInConfState(t *testing.T) {
	w := newWorld(t, 2, 3, 3)
	l := w.elect(1)
	l.proposeBytes([]byte("x"))
	w.settle()
	l.shoot(true)
	old := l.image.GetMetadata().GetIndex()
	w.fits()
	n := w.join(9)
	w.until("level", w.level(n))
	if now := l.image.GetMetadata().GetIndex(); now <= old {
		t.Fatalf("the image sent is at %d, the joiner was added above %d", now, old)
	}
	if l.rep.storage.wanted {
		t.Fatal("another image is still wanted")
	}
}

// Nobody proposes anything: a learner catches up all the same.
func TestLearnerIdleUntilNextProposal(t *testing.T) {
	w := newWorld(t, 3, 3, 3)
	l := w.elect(1)
	n := w.join(9)
	last := l.rep.last
	w.until("level", w.level(n))
	n.crash()
	w.until("quiet", func() bool { return len(w.pool) == 0 })
	n.start()
	w.until("level", w.level(n))
	if l.rep.last != last {
		t.Fatalf("the log grew from %d to %d", last, l.rep.last)
	}
}

// A rejection of the follower's is lost, the leader probes again.
func TestRejectLostNoReprobe(t *testing.T) {
	w := newWorld(t, 4, 3, 3)
	l := w.elect(1)
	n := w.nodes[3]
	w.isolate(3)
	for range 5 {
		l.proposeBytes([]byte("x"))
		w.settle()
	}
	rejects := 0
	w.heal()
	w.lose = func(_, _ cluster.NodeID, m *raftpb.Message) bool {
		if m.GetType() == raftpb.MsgAppResp && m.GetReject() {
			rejects++
		}
		return m.GetReject() && rejects == 1
	}
	l = w.elect(2) // whose first message to the lagging one is too far ahead
	w.ticks(2)
	if !w.level(n)() || w.leader() != l || rejects < 2 {
		t.Fatalf("after %d rejections\n%s", rejects, w)
	}
}

// The commit index on disk may be older than the newest image.
func TestCommitBehindSnapshotAtRestart(t *testing.T) {
	w := newWorld(t, 5, 1, 1)
	l := w.elect(1)
	for range 5 {
		l.proposeBytes([]byte("x"))
		w.settle()
	}
	l.shoot(true)
	l.log.synced = hardState(l.log.hs.GetTerm(), l.log.hs.GetVote(), genesis)
	l.crash()
	l.start()
	w.elect(1)
	if a, c := l.rep.Indexes(); a < l.image.GetMetadata().GetIndex() || c < a {
		t.Fatalf("applied %d, committed %d, image %d", a, c, l.image.GetMetadata().GetIndex())
	}
}

// A learner that has moved says so before its first snapshot has come: it may
// be that the leader doesn't find it to send one.
func TestAnnounceBeforeFirstSnapshot(t *testing.T) {
	w := newWorld(t, 13, 1, 1)
	for _, c := range []struct {
		admitted string
		want     int
	}{{"n9:2380", 0}, {"elsewhere:2380", 1}} {
		n := &node{w: w, log: &memLog{}, self: cluster.Member{ID: 9, Name: "n9", PeerAddr: "n9:2380"}}
		was := n.self
		was.PeerAddr = c.admitted
		w.tune = func(cfg *Config) { cfg.Admitted = was }
		n.start()
		n.rep.Tick()
		n.rep.Tick()
		if ask := n.rep.Effects().Ask; len(ask) != c.want {
			t.Errorf("admitted at %s, it asks for %+v", c.admitted, ask)
		}
	}
}

// A log that lacks what the member has acknowledged, because its disk was put
// back to an older image: the leader knows, and the member ends.
func TestLogWentBackwards(t *testing.T) {
	w := newWorld(t, 12, 3, 3)
	l := w.elect(1)
	n := w.nodes[3]
	n.crash()
	image, hs := slices.Clone(n.log.entries), n.log.hs
	n.start()
	for range 5 {
		l.proposeBytes([]byte("x"))
		w.settle()
	}
	w.ticks(1)
	acked := n.rep.last
	n.crash()
	n.log.entries, n.log.hs, n.log.synced = image, hs, hs
	n.start()
	w.ticks(2)
	if x := n.seen.forgot; x == nil || *x != (Forgot{Leader: l.self.ID, Acked: acked, Last: uint64(genesis + len(image))}) || n.up() {
		t.Fatalf("it says %+v\n%s", x, w)
	}
	l.proposeBytes([]byte("y"))
	w.settle()
	if l.rep.basic.GetCommit() != acked+1 {
		t.Errorf("committed %d, want %d", l.rep.basic.GetCommit(), acked+1)
	}
}

// A snapshot that doesn't arrive is sent again.
func TestLostSnapshotIsSentAgain(t *testing.T) {
	w := newWorld(t, 6, 3, 3)
	w.elect(1)
	lost := 0
	w.lose = func(_, _ cluster.NodeID, m *raftpb.Message) bool {
		if m.GetType() == raftpb.MsgSnap {
			lost++
		}
		return m.GetType() == raftpb.MsgSnap && lost <= 2
	}
	n := w.join(9)
	w.until("level", w.level(n))
	if lost < 3 {
		t.Fatalf("%d snapshots were sent", lost)
	}
}

// A snapshot comes while older changes of the configuration are at the applier:
// raft must not apply those to the newer configuration.
func TestSnapshotOvertakesApply(t *testing.T) {
	w := newWorld(t, 7, 5, 5)
	l := w.elect(1)
	n := w.nodes[5]
	l.change(single("a", wire.OpDemote, 4))
	w.settleBut(n)
	w.ticksBut(n, 2)
	if len(n.applies) == 0 {
		t.Fatal("nothing is at the applier")
	}
	l.change(single("b", wire.OpPromote, 4))
	w.isolate(5)
	w.ticksBut(n, 3)
	l.shoot(true)
	last := l.rep.last
	w.heal()
	w.ticksBut(n, 3) // the snapshot arrives
	if n.rep.held == nil && n.rep.applied < last && len(n.appends) == 0 {
		t.Fatal("no snapshot came")
	}
	w.until("level", w.level(n)) // truth compares membership and configuration
	if n.rep.last != l.rep.last {
		t.Fatalf("the last index is %d, the leader's %d", n.rep.last, l.rep.last)
	}
}

// Once an image was received none is wanted any more: there may be no newer
// one to take.
func TestReceivedImageIsEnough(t *testing.T) {
	w := newWorld(t, 8, 3, 3)
	w.elect(1)
	n := w.nodes[3]
	n.shoot(false)
	n.rep.storage.wanted = true // since it led
	if err := n.rep.adopt(n.image); err != nil {
		t.Fatal(err)
	}
	if e := n.rep.Effects(); e.TakeSnapshot {
		t.Fatalf("applied %d, image %d, another wanted", n.rep.applied, n.image.GetMetadata().GetIndex())
	}
}

// Rounds of catching up (Raft thesis §4.2.1).
func TestRounds(t *testing.T) {
	h := &heard{}
	for i, s := range []struct {
		tick, match, last uint64
		caughtUp          bool
	}{
		{1, 0, 100, false},   // the first round begins: to 100
		{3, 60, 150, false},  // under way
		{9, 100, 200, false}, // it took 8 ticks: too long; the next goes to 200
		{12, 200, 210, true}, // 3 ticks; the next goes to 210
		{16, 209, 300, true},
		{17, 209, 310, false}, // this one takes 5 ticks already
		{18, 210, 320, false},
		{19, 320, 320, true},
	} {
		if h.round(s.tick, 5, s.match, s.last); h.caughtUp != s.caughtUp {
			t.Fatalf("step %d: caught up %v", i, h.caughtUp)
		}
	}
}

// What the roster is told of a learner: never seen, then active, then silent.
func TestSeen(t *testing.T) {
	w := newWorld(t, 9, 1, 1)
	l := w.elect(1)
	n := w.newNode(2)
	l.change(join(n.self))
	w.ticks(7)
	seen := func() roster.MemberSeen { return l.rep.seen().Members[1] }
	if s := seen(); !s.Unseen || s.Active || s.SilentTicks < 6 {
		t.Fatalf("before it came: %+v", s)
	}
	n.start()
	w.until("level", w.level(n))
	w.ticks(3)
	if s := seen(); s.Unseen || !s.Active || !s.CaughtUp || s.ActiveTicks < 3 || s.SilentTicks != 0 {
		t.Fatalf("while it is there: %+v", s)
	}
	n.crash()
	w.ticks(9)
	if s := seen(); s.Unseen || s.Active || s.SilentTicks < 6 {
		t.Fatalf("after it went: %+v", s)
	}
	n.start()
	w.ticks(3)
	if s := seen(); !s.Active || s.ActiveTicks > 4 {
		t.Fatalf("back again: %+v", s)
	}
	l.rep.Unreachable(2)
	if seen().Active {
		t.Fatal("active although what is sent to it is lost")
	}
	token := l.change(remove(2))
	w.settle()
	l.want(token, wire.ChangeApplied, "")
	if r := l.rep.seen().Removed; len(r) != 1 || r[0] != 2 {
		t.Fatalf("removed: %v", r)
	}
}
