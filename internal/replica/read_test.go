package replica

import (
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/cluster"
)

// A sole voter answers reads by itself. Started again it doesn't know its
// commit index until it has committed in its term (Raft thesis §6.4).
func TestSoleVoterReadsNothingStale(t *testing.T) {
	w := newWorld(t, 1, 1, 1)
	l := w.elect(1)
	for range 5 {
		l.proposeBytes([]byte("x"))
		w.settle()
	}
	l.crash()
	l.log.hs = hardState(l.log.hs.GetTerm(), l.log.hs.GetVote(), genesis) // the commit index need not be durable
	l.log.synced = l.log.hs
	l.start()
	l.rep.FirstElection()
	l.drain()
	read := l.read()
	for l.rep.termStart == 0 {
		l.append()
	}
	early := l.read()
	l.rep.Step(&raftpb.Message{ // a learner's question
		Type: raftpb.MsgReadIndex.Enum(), From: new(uint64(2)), To: new(uint64(1)), Entries: []*raftpb.Entry{{Data: make([]byte, 8)}},
	})
	l.drain()
	if len(w.pool) > 0 {
		t.Fatal("a learner was answered before anything was committed in the term")
	}
	if len(l.seen.reads) > 0 {
		t.Fatalf("released %v before anything was committed in the term", l.seen.reads)
	}
	w.ticks(3) // truth checks the index of each
	if l.seen.reads[read] == 0 || l.seen.reads[early] == 0 {
		t.Fatalf("released %v", l.seen.reads)
	}
}

// A new leader may have a commit index that is behind what was acknowledged.
func TestNewLeaderReadsNothingStale(t *testing.T) {
	for _, reader := range []cluster.NodeID{2, 3} { // the new leader; a follower of it
		w := newWorld(t, 2, 3, 3)
		l := w.elect(1)
		w.settle()
		acked := l.proposeBytes([]byte("x"))
		for w.truth.requests[acked] == 0 { // committed and applied by the leader alone
			w.holdCommit(l)
		}
		l.crash()
		w.pool = nil
		n := w.nodes[2]
		w.lose = func(_, _ cluster.NodeID, m *raftpb.Message) bool {
			return m.GetType() == raftpb.MsgAppResp // it can't commit in its term
		}
		w.until("the other leads", func() bool {
			if n.rep.termStart == 0 && n.rep.basic.Lead != 2 {
				_ = n.rep.raft.Campaign()
				n.drain()
			}
			return n.rep.termStart > 0
		})
		token := w.nodes[reader].read()
		w.ticks(2)
		if len(w.nodes[reader].seen.reads) > 0 {
			t.Fatalf("%d: released %v before the leader has committed in its term", reader, w.nodes[reader].seen.reads)
		}
		w.lose = nil
		w.until("released", func() bool { return w.nodes[reader].seen.reads[token] > 0 })
	}
}

// holdCommit takes a step in which nobody but the leader learns a commit index.
func (w *world) holdCommit(l *node) {
	w.lose = func(from, to cluster.NodeID, m *raftpb.Message) bool {
		return from == l.self.ID && m.GetCommit() > w.nodes[to].rep.basic.GetCommit()
	}
	if len(w.pool) > 0 {
		p := w.pool[0]
		w.pool = w.pool[1:]
		w.deliver(p)
	} else {
		w.finishOne()
	}
	w.lose = nil
}

// A leader that is cut off releases nothing: another may lead and write.
func TestCutOffLeaderReleasesNoRead(t *testing.T) {
	w := newWorld(t, 3, 3, 3)
	l := w.elect(1)
	w.isolate(1)
	token := l.read()
	w.until("another leads", func() bool { n := w.leader(); return n != l && n != nil && n.rep.leads() })
	w.leader().proposeBytes([]byte("x"))
	w.settle()
	if len(l.seen.reads) > 0 {
		t.Fatal("a read was released")
	}
	late := l.read()
	w.heal()
	w.until("released", func() bool { return l.seen.reads[token] > 0 && l.seen.reads[late] > 0 })
}

// Questions and answers may be lost; the reader asks again.
func TestLostReadIndexIsAskedAgain(t *testing.T) {
	for _, typ := range []raftpb.MessageType{raftpb.MsgReadIndex, raftpb.MsgReadIndexResp, raftpb.MsgHeartbeatResp} {
		w := newWorld(t, 4, 3, 3)
		w.elect(1)
		n := w.nodes[2]
		count := 0
		w.lose = func(_, _ cluster.NodeID, m *raftpb.Message) bool {
			if m.GetType() == typ {
				count++
			}
			return m.GetType() == typ && count <= 2
		}
		token := n.read()
		w.settle()
		for range 8 {
			w.ticks(1)
		}
		if count == 0 || n.seen.reads[token] == 0 {
			t.Fatalf("%v lost: %d seen, the read was not released", typ, count)
		}
	}
}

// Reads asked while a batch is out go with the next one: its index is newer.
func TestReadsGoInBatches(t *testing.T) {
	w := newWorld(t, 5, 3, 3)
	w.elect(1)
	n := w.nodes[2]
	first := n.read()
	w.nodes[1].proposeBytes([]byte("x"))
	second, gone := n.read(), n.read()
	n.rep.WithdrawRead(gone)
	if len(n.rep.reads.batch) != 1 || len(n.rep.reads.waiting) != 1 {
		t.Fatalf("out %v, waiting %v", n.rep.reads.batch, n.rep.reads.waiting)
	}
	w.ticks(2)
	if n.seen.reads[first] == 0 || n.seen.reads[second] == 0 || n.seen.reads[gone] != 0 {
		t.Fatalf("released %v", n.seen.reads)
	}
}
