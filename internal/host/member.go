package host

import (
	"fmt"
	"log/slog"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/replica"
	"github.com/musterhq/muster/internal/snapshot"
)

// bootBits is how many request numbers one boot may draw before it would reach
// into the next boot's.
const bootBits = 40

// startReplica makes the replica from what is on disk.
func (h *Host) startReplica() error {
	img, release := h.cfg.Snapshots.AcquireNewest()
	rep, err := replica.New(replica.Config{
		Self:            h.cfg.Self.Member(cluster.Learner),
		HeartbeatTicks:  1,
		ElectionTicks:   h.cfg.ElectionTicks,
		FirstSeq:        h.cfg.Epoch<<bootBits | 1,
		Policy:          h.cfg.Policy,
		MaxPendingBytes: h.cfg.MaxPendingBytes,
		Logger:          raftLogger{h.log},
	}, h.cfg.Log, raftSnapshot(img))
	if err != nil {
		if release != nil {
			release()
		}
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	h.rep = rep
	h.shots.use(img, release)
	h.shots.gathered = h.cfg.Log.Size()
	applied, committed := rep.Indexes()
	h.live.applied.Store(applied)
	h.live.committed.Store(committed)
	h.setPeers()
	return nil
}

// raftSnapshot is an image's metadata as raft knows it.
func raftSnapshot(img *snapshot.Image) *raftpb.Snapshot {
	if img == nil {
		return nil
	}
	return &raftpb.Snapshot{
		Data:     replica.EncodeMembership(img.Membership),
		Metadata: &raftpb.SnapshotMetadata{Index: new(img.Index), Term: new(img.Term), ConfState: img.ConfState},
	}
}

// membership is the replica's, or what the node was admitted with until its
// first snapshot has come. Run by the loop.
func (h *Host) membership() cluster.Membership {
	if h.rep != nil {
		if m := h.rep.Membership(); len(m.Members) > 0 {
			return m
		}
	}
	if h.state.Hint != nil {
		return h.state.Hint.Clone()
	}
	return cluster.Membership{}
}

// setPeers tells the transport whom to reach where. Run by the loop.
func (h *Host) setPeers() {
	m := h.membership()
	peers := peerAddrs(m, h.cfg.Self.NodeID)
	for id, addr := range h.hints {
		mem, ok := m.Member(id)
		if !ok || mem.PeerAddr == addr {
			delete(h.hints, id)
			continue
		}
		peers[id] = addr
	}
	h.tr.SetPeers(peers)
}

// raftLogger passes raft's own words on as debug lines: what matters to an
// operator is told by events.
type raftLogger struct{ log *slog.Logger }

func (l raftLogger) say(v ...any)                { l.log.Debug("raft: " + fmt.Sprint(v...)) }
func (l raftLogger) sayf(f string, v ...any)     { l.log.Debug("raft: " + fmt.Sprintf(f, v...)) }
func (l raftLogger) Debug(v ...any)              {}
func (l raftLogger) Debugf(f string, v ...any)   {}
func (l raftLogger) Info(v ...any)               { l.say(v...) }
func (l raftLogger) Infof(f string, v ...any)    { l.sayf(f, v...) }
func (l raftLogger) Warning(v ...any)            { l.say(v...) }
func (l raftLogger) Warningf(f string, v ...any) { l.sayf(f, v...) }
func (l raftLogger) Error(v ...any)              { l.say(v...) }
func (l raftLogger) Errorf(f string, v ...any)   { l.sayf(f, v...) }
func (l raftLogger) Fatal(v ...any)              { panic(fmt.Sprint(v...)) }
func (l raftLogger) Fatalf(f string, v ...any)   { panic(fmt.Sprintf(f, v...)) }
func (l raftLogger) Panic(v ...any)              { panic(fmt.Sprint(v...)) }
func (l raftLogger) Panicf(f string, v ...any)   { panic(fmt.Sprintf(f, v...)) }
