package member

import (
	"fmt"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/crashfs"
	"github.com/musterhq/muster/internal/snapshot"
	"github.com/musterhq/muster/internal/wire"
)

// leader5 is a peer that leads from now on, and offers images.
const leader5 = cluster.NodeID(5)

// offered is the message that comes from leader5 with an image of that meta.
func (s *still) offered(meta snapshot.Meta) (wire.Hello, []byte) {
	s.t.Helper()
	_, term := s.m.Leader()
	b, err := proto.Marshal(&raftpb.Message{
		Type: raftpb.MsgSnap.Enum(), From: new(uint64(leader5)), To: new(uint64(s.m.cfg.Self.NodeID)), Term: new(term + 1),
		Snapshot: raftSnapshot(&snapshot.Image{Meta: meta}),
	})
	must(s.t, err)
	return wire.Hello{Self: wire.Identity{NodeID: leader5}}, b
}

// meta is that of an image of this cluster at an index.
func (s *still) meta(index uint64) snapshot.Meta {
	conf := &raftpb.ConfState{Voters: []uint64{uint64(leader5), uint64(s.m.cfg.Self.NodeID)}}
	return snapshot.Meta{Index: index, Term: 2, ConfState: conf, Membership: s.m.membership()}
}

// An image is refused as older than what this member has. Its leader believes
// this member to be further behind than it is, and would offer the same for ever.
func TestOvertakenImageIsAnswered(t *testing.T) {
	s := newStill(t, 1<<20)
	s.propose(10)
	_, committed := s.m.Indexes()
	s.m.Overtaken(s.offered(s.meta(committed - 3)))
	s.rest()
	for _, o := range s.sent {
		for _, x := range o.Batch.Raft {
			if o.To == leader5 && x.GetType() == raftpb.MsgAppResp && !x.GetReject() && x.GetIndex() == committed {
				return
			}
		}
	}
	t.Errorf("the leader isn't told that this member has %d: %v", committed, s.sent)
}

// The newer image came from a leader that was deposed before its message was
// heeded: raft has less than the store. It takes the newer one.
func TestOvertakingImageIsUsed(t *testing.T) {
	s := newStill(t, 1<<20)
	s.propose(10)
	_, committed := s.m.Indexes()
	draft, err := s.m.disk.Snapshots.Draft()
	must(t, err)
	came, err := draft.Commit(s.meta(committed + 50))
	must(t, err)
	s.m.Overtaken(s.offered(s.meta(committed + 20)))
	s.rest()
	if applied, _ := s.m.Indexes(); applied != came.Index || s.restored != came.Index || s.writer.Log.FirstIndex() != came.Index+1 {
		t.Errorf("applied %d, machine restored to %d, log from %d; the image in the store is at %d", applied, s.restored, s.writer.Log.FirstIndex(), came.Index)
	}
}

// The log is compacted up to the image before the newest one and no further,
// whatever is applied meanwhile, and a crash at any write leaves a log and an
// image that fit together.
func TestCompactionStaysBelowTheImages(t *testing.T) {
	s := newStill(t, 3000)
	crashes := 0
	var refused error
	s.fs.SetHook(func(op crashfs.Op) error {
		if op.Kind == crashfs.Write && refused == nil {
			crashes++
			if _, err := bootStill(t, s.fs.Crash(crashfs.None, 1), 3000); err != nil {
				refused = fmt.Errorf("before %s, a crash: %w", op, err)
			}
		}
		return nil
	})
	for range 60 {
		s.propose(2)
		s.m.Propose(make([]byte, 200)) // applied while the image is taken
		s.ticks(1)
		for _, through := range s.compacts {
			if newest := s.m.disk.Snapshots.Newest(); through >= newest.Index {
				t.Fatalf("compacted through %d, the newest image is at %d", through, newest.Index)
			}
		}
	}
	must(t, refused)
	if first := s.writer.Log.FirstIndex(); len(s.compacts) < 3 || first < 100 || crashes < 150 {
		t.Errorf("%d compactions up to %d, %d crashes: nothing was tested", len(s.compacts), first, crashes)
	}
}

// The first image can be taken as soon as the node is a member.
func TestFirstImage(t *testing.T) {
	s, err := bootStill(t, crashfs.New(), 1<<20)
	must(t, err)
	s.m.Drive() // founded; nothing is applied yet
	s.m.takeImage()
	s.rest()
	if len(s.warned) > 0 || s.shots != 1 {
		t.Errorf("%d images were taken; %q", s.shots, s.warned)
	}
}
