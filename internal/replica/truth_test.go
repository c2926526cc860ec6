package replica

import (
	"bytes"
	"slices"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/wire"
)

// truth is what all replicas together have shown, and must never contradict.
type truth struct {
	leaders  map[uint64]cluster.NodeID // by term
	log      map[uint64]*raftpb.Entry  // committed entries, by index
	last     uint64                    // highest of them
	requests map[wire.RequestID]uint64 // commands in log: the index
	didnt    map[wire.RequestID]string // commands that somebody was told did not happen
	members  map[uint64][]byte         // encoded membership by applied index
	outcomes map[string]cluster.Outcome
	floor    map[[2]uint64]uint64 // reads that are asked: what was committed then
}

func newTruth() truth {
	return truth{
		leaders: map[uint64]cluster.NodeID{}, log: map[uint64]*raftpb.Entry{}, requests: map[wire.RequestID]uint64{},
		didnt: map[wire.RequestID]string{}, members: map[uint64][]byte{}, outcomes: map[string]cluster.Outcome{},
		floor: map[[2]uint64]uint64{},
	}
}

// state checks a node after each of its steps.
func (x *truth) state(n *node) {
	r := n.rep
	if r.termStart > 0 {
		term := r.basic.GetTerm()
		if l, ok := x.leaders[term]; ok && l != n.self.ID {
			n.w.t.Fatalf("two leaders in term %d: %s and %s", term, l, n.self.ID)
		}
		x.leaders[term] = n.self.ID
	}
	if applied, committed := r.Indexes(); applied > committed && r.basic.HardState != nil {
		n.w.t.Fatalf("%s applied %d of %d committed entries", n.self.Name, applied, committed)
	}
	if r.applied > n.machine {
		n.w.t.Fatalf("%s calls %d applied but its applier has only done %d", n.self.Name, r.applied, n.machine)
	}
	if p := &r.proposals; p.bytes < 0 || len(p.waiting) == 0 && p.bytes != 0 {
		n.w.t.Fatalf("%s counts %d bytes in %d waiting commands", n.self.Name, p.bytes, len(p.waiting))
	}
}

// applying checks entries that a node's applier carries out.
func (x *truth) applying(n *node, a Apply) {
	for _, e := range a.Entries {
		if e.GetIndex() != n.machine+1 {
			n.w.t.Fatalf("%s applies entry %d after %d", n.self.Name, e.GetIndex(), n.machine)
		}
		n.machine++
		if was, ok := x.log[e.GetIndex()]; ok {
			if was.GetTerm() != e.GetTerm() || !bytes.Equal(was.GetData(), e.GetData()) {
				n.w.t.Fatalf("%s applies another entry %d than was committed: term %d instead of %d", n.self.Name, e.GetIndex(), e.GetTerm(), was.GetTerm())
			}
			continue
		}
		x.committed(n, e)
	}
}

// committed notes an entry that is seen committed for the first time.
func (x *truth) committed(n *node, e *raftpb.Entry) {
	t := n.w.t
	x.log[e.GetIndex()] = e
	x.last = max(x.last, e.GetIndex())
	data := e.GetData()
	if e.GetType() != raftpb.EntryNormal || len(data) == 0 || wire.EntryKind(data[0]) != wire.EntryCommands {
		return
	}
	err := wire.ReadCommands(data, func(id wire.RequestID, _ []byte) {
		if at, ok := x.requests[id]; ok {
			t.Fatalf("command %v is in the log twice: at %d and %d", id, at, e.GetIndex())
		}
		if why, ok := x.didnt[id]; ok {
			t.Fatalf("command %v is in the log at %d, though it was %s", id, e.GetIndex(), why)
		}
		x.requests[id] = e.GetIndex()
	})
	if err != nil {
		t.Fatal(err)
	}
}

// applied checks the membership after entries were applied.
func (x *truth) applied(n *node) {
	m := &n.rep.membership
	enc := EncodeMembership(*m)
	if was, ok := x.members[n.rep.applied]; ok && !bytes.Equal(was, enc) {
		n.w.t.Fatalf("the membership at index %d differs: %s has\n%s\nbefore it was\n%s", n.rep.applied, n.self.Name, enc, was)
	}
	x.members[n.rep.applied] = enc
	for _, o := range m.Outcomes {
		if was, ok := x.outcomes[o.Request]; ok && was != o {
			n.w.t.Fatalf("request %s has two outcomes: %v and %v", o.Request, was, o)
		}
		x.outcomes[o.Request] = o
	}
	x.roles(n)
}

// roles checks that raft's configuration is what the membership says.
func (x *truth) roles(n *node) {
	conf := n.rep.conf
	for _, mem := range n.rep.membership.Members {
		voter, id := mem.Role == cluster.Voter, uint64(mem.ID)
		learner := slices.Contains(conf.GetLearners(), id) || slices.Contains(conf.GetLearnersNext(), id)
		if voter != slices.Contains(conf.GetVoters(), id) || voter == learner {
			n.w.t.Fatalf("%s holds %s for a %s, raft's configuration is %v", n.self.Name, mem.Name, mem.Role, conf)
		}
	}
	if len(conf.GetVoters()) != len(n.rep.membership.Voters()) {
		n.w.t.Fatalf("%s holds %v for voters, raft's configuration is %v", n.self.Name, n.rep.membership.Voters(), conf)
	}
	if n.restoring {
		return // raft has taken over a snapshot's already
	}
	in := n.rep.raft.Status().Config
	for i, want := range [][]uint64{conf.GetVoters(), conf.GetVotersOutgoing()} {
		if have := in.Voters[i].Slice(); !slices.Equal(slices.Sorted(slices.Values(want)), have) {
			n.w.t.Fatalf("%s was told that %v vote, for raft it is %v", n.self.Name, want, have)
		}
	}
}

// effects checks what a node says to its clients.
func (x *truth) effects(n *node, e Effects) {
	for _, d := range e.Dropped {
		for i := range d.Count {
			x.didNot(n.w.t, wire.RequestID{Origin: n.self.ID, Seq: d.First + i}, "dropped")
		}
	}
	for _, r := range e.Reads {
		if floor := x.floor[[2]uint64{uint64(n.self.ID), r.Token}]; r.Index < floor || r.Index > n.machine {
			n.w.t.Fatalf("%s released a read at %d: %d was committed when it was asked, %d is applied", n.self.Name, r.Index, floor, n.machine)
		}
	}
	for _, a := range e.Answers {
		x.answered(n, a.Change)
	}
	if e.Removed != nil {
		if t, ok := n.rep.membership.Tombstone(n.self.ID); !ok || t != *e.Removed {
			n.w.t.Fatalf("%s says it was removed (%v), its membership has %v", n.self.Name, *e.Removed, t)
		}
	}
}

// answered checks that an answer comes from the applied state.
func (x *truth) answered(n *node, a wire.ChangeReply) {
	if a.Status == wire.ChangeApplied && (a.Index > n.machine || a.Index == 0) {
		n.w.t.Fatalf("%s answers that a change was applied at %d, its machine is at %d", n.self.Name, a.Index, n.machine)
	}
}

func (x *truth) didNot(t testing.TB, id wire.RequestID, how string) {
	if at, ok := x.requests[id]; ok {
		t.Fatalf("command %v is %s, though it is in the log at %d", id, how, at)
	}
	x.didnt[id] = how
}

func (x *truth) asked(n *node, token uint64) {
	x.floor[[2]uint64{uint64(n.self.ID), token}] = x.last
}

// A candidate asks for votes only once its own is durable. Else the votes of
// others elect it, it forgets its term in a crash, and the same voters elect it
// for the same term again.
func TestCandidateForgetsItsOwnVote(t *testing.T) {
	w := newWorld(t, 12, 3, 3)
	w.elect(1)
	n := w.nodes[2]
	w.isolate(1)
	asked := func(out []Outgoing) (votes int) {
		for _, o := range out {
			for _, m := range o.Batch.Raft {
				if m.GetType() == raftpb.MsgVote {
					votes++
				}
			}
		}
		return votes
	}
	// Transferring leadership skips the pre-vote.
	n.rep.Step(&raftpb.Message{Type: raftpb.MsgTimeoutNow.Enum(), From: new(uint64(1)), To: new(uint64(2)), Term: new(n.rep.basic.GetTerm())})
	e := n.rep.Effects()
	if asked(e.Send) > 0 {
		t.Fatal("asked for votes before its own was durable")
	}
	votes := 0
	for _, a := range e.Append {
		votes += asked(a.Durable)
		if asked(a.Durable) > 0 && (!a.Sync || a.HardState.GetVote() != 2) {
			t.Fatalf("asks for votes after %+v is written", a)
		}
	}
	if votes != 2 {
		t.Fatalf("asked %d others for their votes, want 2", votes)
	}
}

// A vote is sent only once it is durable, and a crash doesn't let the voter
// vote again in that term (Raft thesis §3.8).
func TestVoteSurvivesCrash(t *testing.T) {
	w := newWorld(t, 13, 3, 3)
	w.elect(1)
	n := w.nodes[2]
	term := n.rep.basic.GetTerm() + 1
	// ask has a candidate ask for the node's vote, and returns whether it gave it.
	ask := func(from uint64) bool {
		w.pool = nil
		n.rep.Step(&raftpb.Message{
			Type: raftpb.MsgVote.Enum(), From: &from, To: new(uint64(2)), Term: &term, Index: new(n.rep.last), LogTerm: new(term),
			Context: []byte("CampaignTransfer"), // raft's word for: though you hear a leader
		})
		n.drain()
		if len(w.pool) > 0 {
			t.Fatal("answered before its vote was durable")
		}
		for len(n.appends) > 0 {
			n.append()
		}
		for _, p := range w.pool {
			b, err := wire.DecodeBatch(p.batch)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range b.Raft {
				if m.GetType() == raftpb.MsgVoteResp && m.GetTo() == from {
					return !m.GetReject()
				}
			}
		}
		t.Fatal("no answer")
		return false
	}
	if !ask(1) {
		t.Fatal("it gave no vote")
	}
	n.crash()
	n.start()
	if ask(3) {
		t.Error("it voted twice in one term")
	}
	if !ask(1) {
		t.Error("it has forgotten whom it voted for")
	}
}
