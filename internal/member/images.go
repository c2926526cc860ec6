package member

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/snapshot"
	"github.com/musterhq/muster/internal/wire"
	"github.com/musterhq/muster/statemachine"
)

// images are the images in use.
type images struct {
	current  *snapshot.Image // the newest in use by raft; nil: none yet
	release  func()
	coming   *snapshot.Image // received, and given to raft
	drop     func()
	busy     bool // the coming one is being installed
	taking   bool
	failed   error  // of the last attempt to take one
	notYet   uint64 // tick before which none is attempted: after a failure
	gathered int64  // bytes of entries logged since the last image
	shrunk   shrunk
}

func (s *images) use(img *snapshot.Image, release func()) {
	if s.release != nil {
		s.release()
	}
	s.current, s.release = img, release
}

func (s *images) received(index uint64) *snapshot.Image {
	if s.coming != nil && s.coming.Index == index {
		return s.coming
	}
	return nil
}

func (s *images) releaseAll() {
	s.use(nil, nil)
	s.forgetComing()
}

func (s *images) forgetComing() {
	if s.drop != nil {
		s.drop()
	}
	s.coming, s.drop = nil, nil
}

// housekeep lets go of an image that is not wanted any more, and takes one when
// enough log has gathered.
func (m *Member) housekeep() {
	if m.rep == nil {
		return
	}
	if m.images.coming != nil && !m.images.busy && !m.rep.HoldsSnapshot() {
		// Raft had no use for it: the log had come further by other ways. While
		// it is held, all that it shares with the machine stays on disk.
		m.images.forgetComing()
		m.prune()
	}
	if m.images.current == nil {
		return
	}
	if m.images.gathered >= m.cfg.SnapshotLogBytes {
		m.takeImage()
		return
	}
	m.lookForShrunk()
}

// retryAfter is how long a failed attempt keeps the next one back.
const retryAfter = time.Second

// takeImage begins to take an image, unless one is being taken.
func (m *Member) takeImage() {
	if m.images.taking || m.ticks < m.images.notYet {
		return
	}
	m.images.taking = true
	var err error
	m.body.Later(func() {
		if p, ok := m.disk.Machine.(statemachine.Preparer); ok {
			err = p.Prepare()
		}
	}, func() {
		if err != nil {
			m.fail(fmt.Errorf("state machine: prepare a checkpoint: %w", err))
			return
		}
		m.body.Apply(ApplyJob{Checkpoint: true})
	})
}

// Completed takes back a finished job of the applier, in order.
func (m *Member) Completed(c Completion) {
	if m.failed {
		return
	}
	if c.Apply != nil {
		if err := m.rep.Applied(*c.Apply); err != nil {
			m.fail(err)
		}
		return
	}
	if c.err != nil {
		m.imageDone(c.err)
		return
	}
	raftMeta, err := m.rep.SnapshotMeta(c.index)
	if err != nil {
		c.draft.Abort()
		m.imageDone(err)
		return
	}
	md := raftMeta.GetMetadata()
	meta := snapshot.Meta{Index: md.GetIndex(), Term: md.GetTerm(), ConfState: md.GetConfState(), Membership: m.rep.Membership()}
	var img *snapshot.Image
	var release func()
	m.body.Later(func() {
		if img, err = c.draft.Commit(meta); err == nil {
			release = m.disk.Snapshots.Acquire(img)
		}
	}, func() {
		if err != nil {
			m.imageDone(err)
			return
		}
		m.imageTaken(img, release, raftMeta)
	})
}

func (m *Member) imageDone(err error) {
	m.images.taking, m.images.failed = false, err
	if errors.Is(err, snapshot.ErrStorage) {
		m.fail(err) // a failed disk is not tried again; a full one may be
		return
	}
	if err != nil {
		m.images.notYet = m.ticks + uint64(retryAfter/m.cfg.Heartbeat)
		m.body.Warn("no snapshot could be taken; trying again", err)
	}
}

// imageTaken puts a new image to use. The log keeps what lies above the image
// before it, for followers that are a little behind.
func (m *Member) imageTaken(img *snapshot.Image, release func(), meta *raftpb.Snapshot) {
	m.imageDone(nil)
	m.images.gathered = 0
	if m.images.current != nil && m.images.current.Index >= img.Index {
		release() // a received one has overtaken it, or nothing was applied since the last
		return
	}
	through := uint64(0)
	if m.images.current != nil {
		through = m.images.current.Index
	}
	m.rep.SnapshotTaken(meta)
	m.images.use(img, release)
	m.prune()
	if through >= m.disk.Log.FirstIndex() {
		m.body.Append(AppendJob{Compact: through})
		m.body.Emit(event.Compacted{Index: through})
	}
}

// installed puts a received image to use, once raft, log and machine have it.
func (m *Member) installed(index uint64) {
	if err := m.begun(); err != nil {
		m.fail(err)
		return
	}
	m.images.busy = false
	if img := m.images.received(index); img != nil {
		m.images.use(img, m.images.drop)
		m.images.coming, m.images.drop = nil, nil
		m.images.gathered = 0
		m.prune()
	}
}

// prune deletes older images.
func (m *Member) prune() {
	var err error
	m.body.Later(func() { err = m.disk.Snapshots.Prune(1) }, func() {
		if err != nil {
			m.body.Warn("an old snapshot could not be deleted", err)
		}
	})
}

// sendImage streams the image that raft wants a peer to have, and tells raft
// in every case what became of it.
func (m *Member) sendImage(x *raftpb.Message) {
	to, img := cluster.NodeID(x.GetTo()), m.images.current
	if img == nil || img.Index != x.GetSnapshot().GetMetadata().GetIndex() {
		m.rep.SnapshotSent(to, false)
		return
	}
	release := m.disk.Snapshots.Acquire(img)
	m.body.Stream(to, img, x, func(err error) {
		release()
		m.rep.SnapshotSent(to, err == nil)
	})
}

// snapMessage reads the message that came with an image from a peer; nil when
// it isn't one of that peer's for this member.
func (m *Member) snapMessage(peer wire.Hello, message []byte) *raftpb.Message {
	x := &raftpb.Message{}
	if err := proto.Unmarshal(message, x); err != nil || x.GetType() != raftpb.MsgSnap ||
		x.GetFrom() != uint64(peer.Self.NodeID) || x.GetTo() != uint64(m.cfg.Self.NodeID) {
		return nil
	}
	return x
}

// Overtaken steps the message of an image that was refused as older than what
// this member has; a leader that believes this member to be further behind
// would else offer the same image for ever. Where raft has as much, it takes
// nothing over and answers how far it is. Where only the store has (the newer
// image came from a leader that was deposed meanwhile, and raft didn't heed its
// message any more), the newer image takes the place of the one that was refused.
func (m *Member) Overtaken(peer wire.Hello, message []byte) {
	x := m.snapMessage(peer, message)
	if x == nil || m.rep == nil {
		return
	}
	index := x.GetSnapshot().GetMetadata().GetIndex()
	if _, committed := m.rep.Indexes(); index <= committed {
		m.rep.Step(x)
		return
	}
	newest, release := m.disk.Snapshots.AcquireNewest()
	if newest == nil || newest.Index < index {
		release()
		return
	}
	x.Snapshot = raftSnapshot(newest)
	m.install(x, newest, release)
}

// Offer steps the message that came with an image from a peer. The image is
// held until release.
func (m *Member) Offer(peer wire.Hello, img *snapshot.Image, release func(), message []byte) {
	x := m.snapMessage(peer, message)
	meta := x.GetSnapshot().GetMetadata()
	switch {
	case x == nil || meta.GetIndex() != img.Index || meta.GetTerm() != img.Term ||
		!bytes.Equal(x.GetSnapshot().GetData(), raftSnapshot(img).GetData()):
		m.body.Warn("a snapshot came with a message that doesn't fit it", fmt.Errorf("index %d from %s", img.Index, peer.Self.NodeID))
		release()
	case m.rep == nil:
		release()
	default:
		m.install(x, img, release)
	}
}

// install gives raft an image that is there, with the message to be stepped.
func (m *Member) install(x *raftpb.Message, img *snapshot.Image, release func()) {
	if m.images.busy || m.images.coming != nil && img.Index < m.images.coming.Index {
		release() // overtaken; the leader sends again what it still finds missing
		return
	}
	if m.images.coming != nil && m.images.coming.Index == img.Index {
		release()
	} else {
		m.images.forgetComing()
		m.images.coming, m.images.drop = img, release
	}
	m.rep.Step(x)
}
