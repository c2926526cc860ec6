package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"golang.org/x/time/rate"
	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/snapshot"
	"github.com/musterhq/muster/internal/wire"
	"github.com/musterhq/muster/statemachine"
)

// shots are the images in use. Owned by the loop.
type shots struct {
	current  *snapshot.Image // the newest in use by raft; nil: none yet
	release  func()
	coming   *snapshot.Image // received, and given to raft
	drop     func()
	busy     bool // the coming one is being installed
	taking   bool
	failed   error     // of the last attempt to take one
	notYet   time.Time // no attempt before: after a failure
	gathered int64     // bytes of entries logged since the last image
}

func (s *shots) use(img *snapshot.Image, release func()) {
	if s.release != nil {
		s.release()
	}
	s.current, s.release = img, release
}

func (s *shots) received(index uint64) *snapshot.Image {
	if s.coming != nil && s.coming.Index == index {
		return s.coming
	}
	return nil
}

func (s *shots) releaseAll() {
	s.use(nil, nil)
	if s.drop != nil {
		s.drop()
	}
	s.coming, s.drop = nil, nil
}

// housekeep runs each tick: it takes an image when enough log has gathered.
func (h *Host) housekeep() {
	if h.rep == nil || h.shots.current == nil {
		return
	}
	if h.shots.gathered >= h.cfg.SnapshotLogBytes {
		h.takeSnapshot()
	}
}

// snapshotRetry is how long a failed attempt keeps the next one back.
const snapshotRetry = time.Second

// takeSnapshot begins to take an image, unless one is being taken. Run by the loop.
func (h *Host) takeSnapshot() {
	if h.shots.taking || time.Now().Before(h.shots.notYet) {
		return
	}
	h.shots.taking = true
	h.spawn(func() {
		if p, ok := h.cfg.Machine.(statemachine.Preparer); ok {
			if err := p.Prepare(); err != nil {
				h.fail(fmt.Errorf("state machine: prepare a checkpoint: %w", err))
				return
			}
		}
		h.applies.put(applyJob{checkpoint: true})
	})
}

// complete takes back a finished job of the applier. Run by the loop.
func (h *Host) complete(c completion) error {
	if c.apply != nil {
		return h.rep.Applied(*c.apply)
	}
	if c.err != nil {
		h.snapshotDone(c.err)
		return nil
	}
	meta, err := h.rep.SnapshotMeta(c.index)
	if err != nil {
		c.draft.Abort()
		h.snapshotDone(err)
		return nil
	}
	m := h.rep.Membership()
	h.spawn(func() {
		md := meta.GetMetadata()
		img, err := c.draft.Commit(snapshot.Meta{Index: md.GetIndex(), Term: md.GetTerm(), ConfState: md.GetConfState(), Membership: m})
		if err != nil {
			h.call(func() { h.snapshotDone(err) })
			return
		}
		release := h.cfg.Snapshots.Acquire(img)
		if !h.call(func() { h.snapshotTaken(img, release, meta) }) {
			release()
		}
	})
	return nil
}

func (h *Host) snapshotDone(err error) {
	h.shots.taking, h.shots.failed = false, err
	if errors.Is(err, snapshot.ErrStorage) {
		h.fail(err) // a failed disk is not tried again; a full one may be
		return
	}
	if err != nil {
		h.shots.notYet = time.Now().Add(snapshotRetry)
		h.log.Warn("no snapshot could be taken; trying again", "err", err)
	}
}

// snapshotTaken puts a new image to use. The log keeps what lies above the
// image before it, for followers that are a little behind.
func (h *Host) snapshotTaken(img *snapshot.Image, release func(), meta *raftpb.Snapshot) {
	h.snapshotDone(nil)
	if h.shots.current != nil && h.shots.current.Index >= img.Index {
		release() // a received one has overtaken it
		return
	}
	through := uint64(0)
	if h.shots.current != nil {
		through = h.shots.current.Index
	}
	h.rep.SnapshotTaken(meta)
	h.shots.use(img, release)
	h.shots.gathered = 0
	h.prune()
	if through >= h.cfg.Log.FirstIndex() {
		h.appends.put(appendJob{compact: through})
		h.emit(event.Compacted{Index: through})
	}
}

// installed puts a received image to use, once raft, log and machine have it.
func (h *Host) installed(index uint64) {
	if err := h.begun(); err != nil {
		h.fail(err)
		return
	}
	h.shots.busy = false
	if img := h.shots.received(index); img != nil {
		h.shots.use(img, h.shots.drop)
		h.shots.coming, h.shots.drop = nil, nil
		h.shots.gathered = 0
		h.prune()
	}
}

// prune deletes older images, off the loop.
func (h *Host) prune() {
	h.spawn(func() {
		if err := h.cfg.Snapshots.Prune(1); err != nil {
			h.log.Warn("an old snapshot could not be deleted", "err", err)
		}
	})
}

// streams are the snapshots on their way between nodes.
type streams struct {
	limit *rate.Limiter

	mu        sync.Mutex
	sending   map[cluster.NodeID]progress
	receiving *progress
	from      cluster.NodeID
}

type progress struct {
	index     uint64
	at, total int64
}

// attempts is how often a cut stream is taken up again before raft is told.
const attempts = 10

// sendSnapshot streams the image that raft wants a peer to have, and tells
// raft in every case what became of it. Run by the loop.
func (h *Host) sendSnapshot(m *raftpb.Message) {
	to, img := cluster.NodeID(m.GetTo()), h.shots.current
	if img == nil || img.Index != m.GetSnapshot().GetMetadata().GetIndex() {
		h.rep.SnapshotSent(to, false)
		return
	}
	release := h.cfg.Snapshots.Acquire(img)
	h.spawn(func() {
		defer release()
		err := h.stream(to, img, m)
		h.emit(event.SnapshotSending{To: to, Index: img.Index, Sent: h.streams.sent(to), Total: img.Size(), Done: err == nil, Err: text(err)})
		h.streams.ended(to)
		h.call(func() { h.rep.SnapshotSent(to, err == nil) })
	})
}

func (h *Host) stream(to cluster.NodeID, img *snapshot.Image, m *raftpb.Message) error {
	message, err := proto.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode snapshot message: %w", err)
	}
	h.emit(event.SnapshotSending{To: to, Index: img.Index, Total: img.Size()})
	told := int64(0)
	opt := snapshot.SendOptions{Limit: h.streams.limit, Message: message, Progress: func(sent, total int64) {
		h.streams.send(to, progress{img.Index, sent, total})
		if total > 0 && sent*10/total > told && sent < total {
			told = sent * 10 / total
			h.emit(event.SnapshotSending{To: to, Index: img.Index, Sent: sent, Total: total})
		}
	}}
	for try := range attempts {
		if try > 0 {
			select {
			case <-time.After(time.Duration(try) * h.cfg.Heartbeat):
			case <-h.ctx.Done():
				return h.ctx.Err()
			}
		}
		if err = h.streamOnce(to, img, opt); err == nil || h.ctx.Err() != nil {
			return err
		}
	}
	return err
}

func (h *Host) streamOnce(to cluster.NodeID, img *snapshot.Image, opt snapshot.SendOptions) error {
	conn, err := h.tr.OpenSnapshot(h.ctx, to)
	if err != nil {
		return err
	}
	defer conn.Close()
	return snapshot.Send(h.ctx, conn, img, opt)
}

// Snapshot receives an image and gives it to raft.
func (x *handler) Snapshot(ctx context.Context, peer wire.Hello, conn net.Conn) {
	h := (*Host)(x)
	from := peer.Self.NodeID
	told, index := int64(-1), uint64(0)
	opt := snapshot.ReceiveOptions{Progress: func(meta snapshot.Meta, have, total int64) {
		h.streams.receive(from, &progress{meta.Index, have, total})
		index = meta.Index
		if tenth := have * 10 / max(total, 1); tenth > told {
			told = tenth
			h.emit(event.SnapshotReceiving{From: from, Index: meta.Index, Have: have, Total: total})
		}
	}}
	img, message, err := h.cfg.Snapshots.Receive(ctx, conn, opt)
	p := h.streams.received()
	if err != nil {
		h.emit(event.SnapshotReceiving{From: from, Index: index, Have: p.at, Total: p.total, Err: err.Error()})
		if errors.Is(err, snapshot.ErrStorage) {
			h.fail(err)
		}
		return
	}
	release := h.cfg.Snapshots.Acquire(img)
	if !h.call(func() { h.offer(peer, img, release, message) }) {
		release()
	}
}

// offer steps the message that came with an image. Run by the loop.
func (h *Host) offer(peer wire.Hello, img *snapshot.Image, release func(), message []byte) {
	m := &raftpb.Message{}
	err := proto.Unmarshal(message, m)
	meta := m.GetSnapshot().GetMetadata()
	switch {
	case err != nil || m.GetType() != raftpb.MsgSnap || meta.GetIndex() != img.Index || meta.GetTerm() != img.Term ||
		m.GetFrom() != uint64(peer.Self.NodeID) || m.GetTo() != uint64(h.cfg.Self.NodeID) ||
		!bytes.Equal(m.GetSnapshot().GetData(), raftSnapshot(img).GetData()):
		h.log.Warn("a snapshot came with a message that doesn't fit it", "peer", peer.Self.NodeID, "index", img.Index)
		release()
		return
	case h.rep == nil || h.shots.busy || h.shots.coming != nil && img.Index < h.shots.coming.Index:
		release() // overtaken; the leader sends again what it still finds missing
		return
	}
	if h.shots.coming != nil && h.shots.coming.Index == img.Index {
		release()
	} else {
		if h.shots.drop != nil {
			h.shots.drop()
		}
		h.shots.coming, h.shots.drop = img, release
	}
	h.rep.Step(m)
}

func (s *streams) send(to cluster.NodeID, p progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sending[to] = p
}

func (s *streams) sent(to cluster.NodeID) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sending[to].at
}

func (s *streams) ended(to cluster.NodeID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sending, to)
}

func (s *streams) receive(from cluster.NodeID, p *progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.receiving, s.from = p, from
}

func (s *streams) received() progress {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.receiving == nil {
		return progress{}
	}
	p := *s.receiving
	s.receiving = nil
	return p
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
