package replica

import (
	"slices"
	"testing"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/wire"
)

// What is committed is not applied before the applier says so, and nobody is
// told otherwise.
func TestCommittedNeverHandedToApplier(t *testing.T) {
	w := newWorld(t, 1, 3, 3)
	l := w.elect(1)
	applied, _ := l.rep.Indexes()
	l.proposeBytes([]byte("x"))
	token := l.change(join(w.newNode(4).self))
	w.settleBut(l) // all but the leader's applier
	read := l.read()
	w.ticksBut(l, 2)
	if a, c := l.rep.Indexes(); a != applied || c < applied+2 {
		t.Fatalf("applied %d, committed %d; the applier has done %d", a, c, applied)
	}
	if len(l.seen.answers)+len(l.seen.reads) > 0 || len(l.rep.membership.Members) != 3 {
		t.Fatalf("answers %v, reads %v before anything was applied", l.seen.answers, l.seen.reads)
	}
	w.settle()
	if a, c := l.rep.Indexes(); a != c || l.seen.reads[read] == 0 {
		t.Fatalf("applied %d, committed %d, reads %v", a, c, l.seen.reads)
	}
	l.want(token, wire.ChangeApplied, "")
}

// settleBut is settle with n's applier stopped.
func (w *world) settleBut(n *node) {
	for {
		switch {
		case len(w.pool) > 0:
			p := w.pool[0]
			w.pool = w.pool[1:]
			w.deliver(p)
		case len(n.appends) > 0:
			n.append()
		default:
			held := n.applies
			n.applies = nil
			more := w.finishOne()
			n.applies = append(held, n.applies...)
			if !more {
				return
			}
		}
	}
}

func (w *world) ticksBut(n *node, count int) {
	for range count {
		for _, id := range w.ids {
			if m := w.nodes[id]; m.up() {
				m.rep.Tick()
				m.drain()
			}
		}
		w.settleBut(n)
	}
}

// commandsIn counts the commands of an entry.
func commandsIn(t *testing.T, e *raftpb.Entry) (n int) {
	if err := wire.ReadCommands(e.GetData(), func(wire.RequestID, []byte) { n++ }); err != nil {
		t.Fatal(err)
	}
	return n
}

// All that waits while the log is busy goes into one entry.
func TestGroupCommit(t *testing.T) {
	w := newWorld(t, 2, 1, 1)
	l := w.elect(1)
	for range 100 {
		l.proposeBytes(make([]byte, 10))
	}
	if n, size := l.rep.Waiting(); len(l.appends) != 2 || n != 98 || size != 980 {
		t.Fatalf("%d appends in flight, %d commands of %d bytes wait", len(l.appends), n, size)
	}
	first := l.rep.last
	l.append()
	if l.rep.last != first+1 || len(l.rep.proposals.waiting) != 0 {
		t.Fatalf("what waited went into entries %d to %d", first+1, l.rep.last)
	}
	w.settle()
	if n := commandsIn(t, w.truth.log[first+1]); n != 98 {
		t.Fatalf("%d commands in the entry", n)
	}
}

// Entries are made in memory that is used again: raft has copied each, also while
// several are on their way to the log.
func TestGroupsAreCopied(t *testing.T) {
	w := newWorld(t, 5, 1, 1)
	l := w.elect(1)
	first := l.rep.last + 1
	for _, cmd := range []string{"one", "two"} {
		l.proposeBytes([]byte(cmd))
	}
	if len(l.appends) != 2 {
		t.Fatalf("%d appends in flight, want 2", len(l.appends))
	}
	w.settle()
	for i, want := range []string{"one", "two"} {
		err := wire.ReadCommands(w.truth.log[first+uint64(i)].GetData(), func(_ wire.RequestID, cmd []byte) {
			if string(cmd) != want {
				t.Errorf("entry %d has command %q, want %q", first+uint64(i), cmd, want)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// An entry is bounded; a command larger than the bound gets one for itself.
func TestGroupIsBounded(t *testing.T) {
	w := newWorld(t, 3, 1, 1)
	l := w.elect(1)
	for _, size := range []int{1, 1, 1000, 1000, 1000, 1000, 5000, 10} {
		l.proposeBytes(make([]byte, size))
	}
	first := l.rep.last - 1 // the first two went their own way
	w.settle()
	for i, want := range []int{1, 1, 3, 1, 1, 1} {
		e := w.truth.log[first+uint64(i)]
		if n := commandsIn(t, e); n != want {
			t.Fatalf("entry %d of %d bytes has %d commands, want %d", i, len(e.GetData()), n, want)
		}
		if len(e.GetData()) > 4<<10+1 && want > 1 {
			t.Fatalf("entry %d has %d bytes", i, len(e.GetData()))
		}
	}
}

func TestWithdraw(t *testing.T) {
	w := newWorld(t, 4, 3, 3)
	f := w.nodes[2]
	a, b := f.proposeBytes([]byte("a")), f.proposeBytes([]byte("b")) // nobody leads yet
	if !f.withdraw(a) || f.withdraw(a) {
		t.Fatal("a command that waits can be withdrawn, once")
	}
	w.elect(1)
	w.ticks(5)
	if w.truth.requests[b] == 0 || w.truth.requests[a] != 0 {
		t.Fatalf("in the log: %v", w.truth.requests)
	}
	if c := f.proposeBytes([]byte("c")); f.withdraw(c) {
		t.Fatal("a command that was forwarded can't be withdrawn")
	}
	w.settle()
}

// forwards takes the packets with forwarded commands out of the pool.
func (w *world) forwards() (out []packet) {
	var rest []packet
	for _, p := range w.pool {
		if b, err := wire.DecodeBatch(p.batch); err == nil && len(b.Forwards) > 0 {
			out = append(out, p)
		} else {
			rest = append(rest, p)
		}
	}
	w.pool = rest
	return out
}

// Copies of a forwarded command arrive at all times, also when its leader has
// lost the lead, or has been started again: it is in the log once, and nobody
// says that it did not happen.
func TestDuplicatedForwardedProposal(t *testing.T) {
	w := newWorld(t, 5, 3, 3)
	l := w.elect(1)
	f := w.nodes[2]
	id := f.proposeBytes([]byte("x"))
	copies := w.forwards()
	if len(copies) != 1 {
		t.Fatalf("%d forwards", len(copies))
	}
	again := func() {
		w.deliver(copies[0])
		w.deliver(copies[0])
		w.settle()
	}
	again()
	if w.truth.requests[id] == 0 {
		t.Fatal("not in the log")
	}
	w.elect(3)
	again() // to one that no longer leads
	w.elect(1)
	again() // to one that leads another term
	l.crash()
	l.start()
	again() // to one that has forgotten
	w.elect(1)
	again()
	if len(f.seen.dropped) > 0 {
		t.Fatalf("called dropped: %v", f.seen.dropped)
	}
}

// A former leader says of what it did not take that it didn't.
func TestFormerLeaderRejects(t *testing.T) {
	w := newWorld(t, 6, 3, 3)
	w.elect(1)
	f := w.nodes[2]
	id := f.proposeBytes([]byte("x"))
	copies := w.forwards()
	w.cut[[2]cluster.NodeID{3, 2}] = true // or it would learn it from the next leader's log
	w.elect(3)
	if len(f.seen.dropped) > 0 {
		t.Fatalf("dropped %v", f.seen.dropped)
	}
	w.deliver(copies[0])
	w.settle()
	if d := f.seen.dropped; len(d) != 1 || d[0] != (Dropped{First: id.Seq, Count: 1}) {
		t.Fatalf("dropped %v", d)
	}
	w.heal()
	w.elect(1)
	w.deliver(copies[0])
	w.settle() // truth fails if it is in the log now
	if len(f.seen.dropped) != 1 {
		t.Fatalf("said again: %v", f.seen.dropped)
	}
}

// What went to a leader that died with it is known not to have happened as
// soon as its successor's first entry is applied, and not before.
func TestCommandsDieWithTheirLeader(t *testing.T) {
	w := newWorld(t, 11, 3, 3)
	l := w.elect(1)
	f := w.nodes[2]
	taken := f.proposeBytes([]byte("a"))
	w.settle()
	lost := []wire.RequestID{f.proposeBytes([]byte("b")), f.proposeBytes([]byte("c"))}
	w.forwards()
	l.crash()
	w.ticks(3)
	if len(f.seen.dropped) > 0 {
		t.Fatalf("dropped %v while nobody leads", f.seen.dropped)
	}
	w.elect(3)
	w.settle()
	if d := f.seen.dropped; len(d) != 1 || d[0] != (Dropped{First: lost[0].Seq, Count: 2}) || w.truth.requests[taken] == 0 {
		t.Fatalf("dropped %v, in the log %v", d, w.truth.requests)
	}
}

// A leader that lost the lead learns the same of what it had in its own log.
func TestLeaderLosesWhatIsNotCommitted(t *testing.T) {
	w := newWorld(t, 12, 3, 3)
	l := w.elect(1)
	w.isolate(1)
	id := l.proposeBytes([]byte("x"))
	w.ticks(1)
	w.elect(3)
	if w.heal(); len(l.seen.dropped) > 0 {
		t.Fatalf("dropped %v", l.seen.dropped)
	}
	w.until("the log is the new leader's", func() bool { return l.rep.applied == w.truth.last })
	if d := l.seen.dropped; len(d) != 1 || d[0] != (Dropped{First: id.Seq, Count: 1}) {
		t.Fatalf("dropped %v", d)
	}
}

// What a new leader finds in its log and commits is not dropped, though its
// author had it from an older term.
func TestSuccessorCommitsWhatItFinds(t *testing.T) {
	w := newWorld(t, 13, 3, 3)
	l := w.elect(1)
	w.lose = func(from, _ cluster.NodeID, m *raftpb.Message) bool { return m.GetType() == raftpb.MsgAppResp }
	id := w.nodes[2].proposeBytes([]byte("x"))
	w.settle()
	l.crash()
	w.heal()
	w.elect(3)
	w.settle()
	if d := w.nodes[2].seen.dropped; len(d) > 0 || w.truth.requests[id] == 0 {
		t.Fatalf("dropped %v, in the log %v", d, w.truth.requests)
	}
}

// A learner never campaigns, and yet it doesn't go on following a leader that
// is gone: what it is asked for waits, and can be taken back.
func TestLearnerForgetsASilentLeader(t *testing.T) {
	w := newWorld(t, 14, 1, 1)
	l := w.elect(1)
	n := w.join(2)
	w.until("level", w.level(n))
	n.seen.events = nil
	if w.ticks(30); len(n.seen.events) > 0 {
		t.Fatalf("while the leader is there: %v", n.seen.events)
	}
	l.crash()
	w.ticks(11)
	if n.rep.basic.Lead != raft.None {
		t.Fatalf("it follows %d, which is down", n.rep.basic.Lead)
	}
	if id := n.proposeBytes([]byte("x")); !n.withdraw(id) {
		t.Fatal("its command was sent to nobody")
	}
	id := n.proposeBytes([]byte("y"))
	l.start()
	w.elect(1)
	w.ticks(2)
	if n.rep.basic.Lead != 1 || w.truth.requests[id] == 0 {
		t.Fatalf("it follows %d; in the log: %v", n.rep.basic.Lead, w.truth.requests)
	}
}

func TestHanded(t *testing.T) {
	var h handed
	for seq := uint64(1); seq <= 9; seq++ {
		h.add(1+seq/6, seq) // 1 to 5 in term 1, the rest in term 2
	}
	if in := h.among(2, 4); !slices.Equal(in, []span{{1, 2, 4}}) || !slices.Equal(h.spans, []span{{1, 1, 2}, {1, 4, 6}, {2, 6, 10}}) {
		t.Fatalf("taken out %v, left %v", in, h.spans)
	}
	if in := h.among(5, 8); !slices.Equal(in, []span{{1, 5, 6}, {2, 6, 8}}) || !slices.Equal(h.spans, []span{{1, 1, 2}, {1, 4, 5}, {2, 8, 10}}) {
		t.Fatalf("taken out %v, left %v", in, h.spans)
	}
	if below := h.applied(1); len(below) > 0 {
		t.Fatalf("below 1: %v", below)
	}
	if below := h.applied(8); !slices.Equal(below, []span{{1, 4, 5}}) || !slices.Equal(h.spans, []span{{2, 9, 10}}) {
		t.Fatalf("below 8: %v, left %v", below, h.spans)
	}
	if below := h.before(2); len(below) > 0 {
		t.Fatalf("before term 2: %v", below)
	}
	if below := h.before(3); !slices.Equal(below, []span{{2, 9, 10}}) || len(h.spans) > 0 {
		t.Fatalf("before term 3: %v, left %v", below, h.spans)
	}
}

// What followers sent and a leader has not proposed goes back to them when it
// loses the lead; its own commands go on to the next leader.
func TestLeaderReturnsWhatWaits(t *testing.T) {
	w := newWorld(t, 7, 3, 3)
	l := w.elect(1)
	f := w.nodes[2]
	l.rep.appends = 2 // the log is busy
	own := l.proposeBytes([]byte("own"))
	foreign := f.proposeBytes([]byte("foreign"))
	w.settle()
	if n, _ := l.rep.Waiting(); n != 2 {
		t.Fatalf("%d wait", n)
	}
	l.rep.appends = 0
	l.rep.raft.TransferLeader(3) // no drain before: nothing is proposed meanwhile
	w.elect(3)
	w.settle()
	if d := f.seen.dropped; len(d) != 1 || d[0].First != foreign.Seq || w.truth.requests[own] == 0 {
		t.Fatalf("dropped %v, in the log %v", d, w.truth.requests)
	}
}

func TestForwardsAreTakenInOrder(t *testing.T) {
	w := newWorld(t, 8, 3, 3)
	w.elect(1)
	f := w.nodes[2]
	a := f.proposeBytes([]byte("a"))
	b := f.proposeBytes([]byte("b"))
	copies := w.forwards()
	w.deliver(copies[1])
	w.deliver(copies[0]) // overtaken: taking it now could be taking it twice
	w.settle()
	d := f.seen.dropped // it knows that when it sees the second in the log
	if w.truth.requests[b] == 0 || w.truth.requests[a] != 0 || len(d) != 1 || d[0] != (Dropped{First: a.Seq, Count: 1}) {
		t.Fatalf("in the log %v, dropped %v", w.truth.requests, f.seen.dropped)
	}
}

func TestLeaderTurnsForwardsAway(t *testing.T) {
	w := newWorld(t, 9, 3, 3)
	l := w.elect(1)
	l.rep.cfg.MaxPendingBytes = 10
	l.rep.appends = 2 // the log is busy
	l.proposeBytes(make([]byte, 11))
	f := w.nodes[2]
	id := f.proposeBytes([]byte("x"))
	w.settle()
	if d := f.seen.dropped; len(d) != 1 || d[0] != (Dropped{First: id.Seq, Count: 1, Overloaded: true}) {
		t.Fatalf("dropped %v", d)
	}
	// What doesn't come from whom it names is none of ours.
	l.rep.Forwarded(3, wire.Forward{Term: l.rep.basic.GetTerm(), First: wire.RequestID{Origin: 2, Seq: 1 << 40}, Cmds: [][]byte{{1}}})
	if n, _ := l.rep.Waiting(); n != 1 {
		t.Fatalf("%d wait", n)
	}
}

// A follower that hears of a new leader and gets a command in one go forwards
// to the new one.
func TestForwardToTheNewLeader(t *testing.T) {
	w := newWorld(t, 10, 3, 3)
	w.elect(1)
	f := w.nodes[2]
	f.rep.Step(&raftpb.Message{
		Type: raftpb.MsgHeartbeat.Enum(), From: new(uint64(3)), To: new(uint64(2)), Term: new(f.rep.basic.GetTerm() + 1),
	})
	f.proposeBytes([]byte("x"))
	if out := w.forwards(); len(out) != 1 || out[0].to != 3 {
		t.Fatalf("forwarded: %v", out)
	}
}
