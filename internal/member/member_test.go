package member

import (
	"io"
	"log"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster/internal/replica"
	"github.com/musterhq/muster/internal/snapshot"
	"github.com/musterhq/muster/internal/wire"
)

var quietLog = log.New(io.Discard, "", 0)

func (s *still) propose(n int) {
	s.t.Helper()
	for range n {
		s.m.Propose(make([]byte, 200))
		s.rest()
	}
}

// A node that founds alone leads at once, applies what is proposed, and takes
// images of where it is.
func TestSingle(t *testing.T) {
	s := newStill(t, 1000)
	if v := s.m.view; !v.InCluster() || v.Status.State != "leader" {
		t.Fatalf("it is %s, %s", v.Stage, v.Status.State)
	}
	s.propose(20)
	s.ticks(2)
	if s.machine.n != 20 || s.shots == 0 || len(s.warned) > 0 {
		t.Fatalf("applied %d commands, took %d images, warned %q", s.machine.n, s.shots, s.warned)
	}
	applied, _ := s.m.Indexes()
	if img := s.m.images.current; img == nil || img.Index != applied {
		t.Fatalf("the image is %+v, applied %d", img, applied)
	}
}

// An image is taken when enough was logged since the last, and not because the
// log is large: with nothing to apply it would be the same again.
func TestNoImageWhereNothingWasApplied(t *testing.T) {
	s := newStill(t, 1)
	s.propose(1)
	s.ticks(1)
	taken := s.shots
	if taken == 0 {
		t.Fatal("no image was taken")
	}
	s.m.images.gathered = 1 << 20 // as after a restart over a large log
	s.ticks(20)
	if s.shots > taken+1 {
		t.Fatalf("%d images of the same state", s.shots-taken)
	}
}

// A commit index alone is no reason to write: it goes with the next write, or
// is there at the end.
func TestCommitWaitsForTheNextWrite(t *testing.T) {
	s := newStill(t, 1<<20)
	s.propose(1)
	hs := s.m.Unsaved()
	if hs == nil || hs.GetCommit() <= s.writer.Log.HardState().GetCommit() {
		t.Fatalf("unsaved %v, on disk %v", hs, s.writer.Log.HardState())
	}
	before := s.fs.Ops()
	s.m.appendLater(replica.Append{HardState: &raftpb.HardState{Term: hs.Term, Vote: hs.Vote, Commit: new(hs.GetCommit() + 1)}})
	if len(s.appends) > 0 || s.fs.Ops() != before || s.m.Unsaved().GetCommit() != hs.GetCommit()+1 {
		t.Fatal("a commit index alone was written")
	}
	s.propose(1)
	if got := s.writer.Log.HardState().GetCommit(); got < hs.GetCommit() {
		t.Fatalf("the next write has commit %d, not %d", got, hs.GetCommit())
	}
}

// After a failure nothing is done any more.
func TestNothingAfterAFailure(t *testing.T) {
	s := newStill(t, 1<<20)
	s.m.Left(7)
	if s.failed == nil {
		t.Fatal("a member that has left goes on")
	}
	ops := s.fs.Ops()
	s.m.Propose([]byte("x"))
	s.m.Tick()
	s.m.Drive()
	if len(s.appends)+len(s.applies)+len(s.later) > 0 || s.fs.Ops() != ops {
		t.Fatal("it does something")
	}
}

// A received image that raft has no use for, since the log has come further
// by other ways, is not held for ever.
func TestUselessImageIsLetGo(t *testing.T) {
	s := newStill(t, 1<<20)
	s.propose(3)
	meta, err := s.m.rep.SnapshotMeta(s.m.rep.Status().Applied)
	must(t, err)
	draft, err := s.m.disk.Snapshots.Draft()
	must(t, err)
	md := meta.GetMetadata()
	img, err := draft.Commit(snapshot.Meta{Index: md.GetIndex(), Term: md.GetTerm(), ConfState: md.GetConfState(), Membership: s.m.rep.Membership()})
	must(t, err)
	peer := wire.Hello{Self: wire.Identity{NodeID: 7}}
	message, err := proto.Marshal(&raftpb.Message{
		Type: raftpb.MsgSnap.Enum(), From: new(uint64(7)), To: new(uint64(s.m.cfg.Self.NodeID)), Term: md.Term, Snapshot: meta,
	})
	must(t, err)
	released := 0
	s.m.Offer(peer, img, func() { released++ }, message)
	if s.m.images.coming != img {
		t.Fatalf("it was not given to raft: %q", s.warned)
	}
	s.ticks(1)
	if released != 1 || s.m.images.coming != nil {
		t.Fatalf("released %d times, coming %v", released, s.m.images.coming)
	}
}
