package host

import (
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
)

// streams are the snapshots on their way between nodes.
type streams struct {
	limit *rate.Limiter

	mu        sync.Mutex
	sending   map[cluster.NodeID]progress
	receiving *progress
	from      cluster.NodeID
	failed    map[cluster.NodeID]failure // the last attempt to send; none: it worked
	refused   *failure                   // the last attempt to receive; nil: it worked
}

// attempts is how often a cut stream is taken up again before raft is told.
const attempts = 10

// Stream implements member.Network.
func (b *body) Stream(to cluster.NodeID, img *snapshot.Image, m *raftpb.Message, done func(error)) {
	h := (*Host)(b)
	h.spawn(func() {
		err := h.stream(to, img, m)
		h.emit(event.SnapshotSending{To: to, Name: h.named(to), Index: img.Index, Sent: h.streams.sent(to), Total: img.Size(), Done: err == nil, Err: text(err)})
		h.streams.ended(to, img.Index, err)
		h.call(func() { done(err) })
	})
}

func (h *Host) stream(to cluster.NodeID, img *snapshot.Image, m *raftpb.Message) error {
	message, err := proto.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode snapshot message: %w", err)
	}
	h.emit(event.SnapshotSending{To: to, Name: h.named(to), Index: img.Index, Total: img.Size()})
	steps := tenths{at: time.Now()}
	opt := snapshot.SendOptions{Limit: h.streams.limit, Message: message, Progress: func(sent, total int64) {
		h.streams.send(to, progress{index: img.Index, at: sent, total: total})
		if sent < total && steps.due(sent, total, time.Now()) {
			h.emit(event.SnapshotSending{To: to, Name: h.named(to), Index: img.Index, Sent: sent, Total: total})
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

// named is the name of a member, or "" of one that this one doesn't know.
func (h *Host) named(id cluster.NodeID) string {
	m, _ := h.live.view.Load().Membership.Member(id)
	return m.Name
}

// tenths are the steps at which a stream tells how far it is: no two of them
// within a second, but for the first and the last.
type tenths struct {
	told int64 // the last one; -1: none
	at   time.Time
}

func (t *tenths) due(have, total int64, now time.Time) bool {
	tenth := have * 10 / max(total, 1)
	if tenth <= t.told || (t.told >= 0 && tenth < 10 && now.Sub(t.at) < time.Second) {
		return false
	}
	t.told, t.at = tenth, now
	return true
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
	steps, index := tenths{told: -1}, uint64(0)
	opt := snapshot.ReceiveOptions{Progress: func(meta snapshot.Meta, have, total int64) {
		h.streams.receive(from, progress{index: meta.Index, at: have, total: total})
		index = meta.Index
		if steps.due(have, total, time.Now()) {
			h.emit(event.SnapshotReceiving{From: from, Name: peer.Self.Name, Index: meta.Index, Have: have, Total: total})
		}
	}}
	img, message, err := h.cfg.Disk.Snapshots.Receive(ctx, conn, opt)
	p := h.streams.received(from, err)
	if err != nil {
		h.emit(event.SnapshotReceiving{From: from, Name: peer.Self.Name, Index: index, Have: p.at, Total: p.total, Err: err.Error()})
		switch {
		case errors.Is(err, snapshot.ErrStorage):
			h.fail(err)
		case errors.Is(err, snapshot.ErrStale):
			h.call(func() { h.m.Overtaken(peer, message) })
		}
		return
	}
	release := h.cfg.Disk.Snapshots.Acquire(img)
	if !h.call(func() { h.m.Offer(peer, img, release, message) }) {
		release()
	}
}

func (s *streams) send(to cluster.NodeID, p progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sending[to] = p.moved(s.sending[to], time.Now())
}

func (s *streams) sent(to cluster.NodeID) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sending[to].at
}

func (s *streams) to(id cluster.NodeID) (progress, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.sending[id]
	return p, ok
}

// ended notes what became of an attempt to send.
func (s *streams) ended(to cluster.NodeID, index uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sending, to)
	delete(s.failed, to)
	var refusal *snapshot.Refusal
	if err != nil && !(errors.As(err, &refusal) && (refusal.Code == snapshot.RefusedBusy || refusal.Code == snapshot.RefusedStale)) {
		s.failed[to] = failure{index: index, err: err, when: time.Now()}
	}
}

func (s *streams) receive(from cluster.NodeID, p progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := progress{}
	if s.receiving != nil && s.from == from {
		was = *s.receiving
	}
	p = p.moved(was, time.Now())
	s.receiving, s.from = &p, from
}

// received notes what became of an attempt to receive.
func (s *streams) received(from cluster.NodeID, err error) progress {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		s.refused = nil
	case !errors.Is(err, snapshot.ErrStale) && !errors.Is(err, snapshot.ErrBusy):
		s.refused = &failure{err: err, when: time.Now(), from: from}
	}
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
