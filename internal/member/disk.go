package member

import (
	"fmt"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/formation"
	"github.com/musterhq/muster/internal/raftlog"
	"github.com/musterhq/muster/internal/replica"
	"github.com/musterhq/muster/internal/snapshot"
	"github.com/musterhq/muster/internal/wire"
	"github.com/musterhq/muster/statemachine"
)

// Disk is all that a node keeps, opened.
type Disk struct {
	Log       *raftlog.Log
	Snapshots *snapshot.Store
	State     StateStore
	Pin       PinStore // nil: there is none
	Machine   statemachine.Machine
	Opened    uint64 // what Machine.Open returned
}

// StateStore keeps two documents: how the node came to its cluster, and what
// runs of others it has met. They may be saved at the same time.
type StateStore interface {
	LoadState(v any) (bool, error) // false: never saved
	SaveState(v any) error         // durable on return
	LoadPeers(v any) (bool, error)
	SavePeers(v any) error
}

// State is the durable document of a node.
type State struct {
	formation.Durable
	// Begun says that the log holds something that must never be missing again.
	Begun bool `json:"begun,omitempty"`
	// Hint is the membership that the node was admitted with: addresses to
	// expect messages from until the first snapshot has come.
	Hint *cluster.Membership `json:"hint,omitempty"`
	// RolledBack is who has told this node that its disk is an older image or a
	// copy, and how: it can't be used again.
	RolledBack string `json:"rolled_back,omitempty"`
	// Generation is that of the cluster as far as the node knows without its log.
	Generation uint64 `json:"generation,omitempty"`
	// Reform is to be carried out before the node does anything else; nil: it
	// never was told to.
	Reform *Reform `json:"reform,omitempty"`
	// Outdated is who has told this node that its cluster was re-formed without
	// it, and how: it can't be used again.
	Outdated string `json:"outdated,omitempty"`
	// Newer is the generation that it then heard of.
	Newer uint64 `json:"newer,omitempty"`
}

// load reads both documents.
func (m *Member) load() error {
	if _, err := m.disk.State.LoadState(&m.state); err != nil {
		return err
	}
	var peers peersDoc
	if _, err := m.disk.State.LoadPeers(&peers); err != nil {
		return err
	}
	m.met.saved, m.met.known = peers.Met, acquainted(peers.Met)
	return m.loadPin()
}

// save makes the state durable; false ends the member.
func (m *Member) save(next State) bool {
	if err := m.disk.State.SaveState(next); err != nil {
		m.fail(err)
		return false
	}
	m.state = next
	return true
}

// becomeMember starts the replica over what is on disk.
func (m *Member) becomeMember() error {
	if err := m.checkDisk(); err != nil {
		return err
	}
	if !m.state.Begun && m.state.Founded {
		if err := m.writeGenesis(); err != nil {
			return err
		}
	}
	if err := m.startReplica(); err != nil {
		return err
	}
	m.rep.FirstElection()
	return nil
}

// checkDisk refuses to go on where something that was there is gone: a member
// that has forgotten its vote or its entries must not take part.
func (m *Member) checkDisk() error {
	img := m.disk.Snapshots.Newest()
	if m.state.Begun && (img == nil || m.disk.Log.LastIndex() == 0) {
		return fmt.Errorf("%w: this node is a member of cluster %s, but its log or snapshot is gone; restore the directory, or remove the member and start it with an empty one", ErrCorrupt, m.state.ClusterID)
	}
	if img != nil {
		if err := m.adoptImage(img); err != nil {
			return err
		}
	}
	if err := finishReform(m.disk.Log, m.state.Reform); err != nil {
		return err
	}
	if last := m.disk.Log.LastIndex(); m.disk.Opened > last {
		return fmt.Errorf("%w: the machine holds entries up to %d but the log ends at %d; entries are missing from the log: restore the directory, or remove the member and start it with an empty one", ErrCorrupt, m.disk.Opened, last)
	}
	return nil
}

// adoptImage finishes what a crash may have left between the receipt of an
// image and its use: the log begins after it, and the machine holds it.
func (m *Member) adoptImage(img *snapshot.Image) error {
	behind := m.disk.Opened < img.Index && img.Index > GenesisIndex
	if behind {
		// Its checksums were compared when it came, which may be long ago.
		if err := img.Verify(); err != nil {
			return err
		}
	}
	if err := fitLog(m.disk.Log, img); err != nil {
		return err
	}
	if behind {
		if err := m.disk.Machine.Restore(img.Dir(), img.Index); err != nil {
			return fmt.Errorf("state machine: restore the snapshot at index %d: %w", img.Index, err)
		}
		m.disk.Opened = img.Index
	}
	return nil
}

// fitLog has the log begin after an image that it does not reach.
func fitLog(log *raftlog.Log, img *snapshot.Image) error {
	term, err := log.Term(img.Index)
	if first := log.FirstIndex(); (err != nil || term != img.Term) && img.Index+1 >= first {
		hs := log.HardState()
		if hs.GetTerm() < img.Term {
			hs = hardState(img.Term, img.Index)
		} else {
			hs = &raftpb.HardState{Term: hs.Term, Vote: hs.Vote, Commit: new(max(hs.GetCommit(), img.Index))}
		}
		b := raftlog.Batch{Reset: &raftlog.Mark{Index: img.Index, Term: img.Term}, HardState: hs, Sync: true}
		if err := log.Append([]raftlog.Batch{b}); err != nil {
			return fmt.Errorf("begin the log after the snapshot at index %d: %w", img.Index, err)
		}
	}
	return nil
}

// The log of a cluster begins after an empty image at this index and term,
// whose configuration is the founders: what raft's bootstrap.go recommends.
const (
	GenesisIndex = 1
	GenesisTerm  = 1
)

// writeGenesis makes the first image and begins the log. Doing it again after
// a crash is harmless, for nothing was sent before Begun was saved.
func (m *Member) writeGenesis() error {
	g, err := wire.DecodeGenesis(m.state.Genesis)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	conf := &raftpb.ConfState{}
	for _, f := range g.Founders {
		conf.Voters = append(conf.Voters, uint64(f.NodeID))
	}
	if m.disk.Snapshots.Newest() == nil {
		draft, err := m.disk.Snapshots.Draft()
		if err != nil {
			return err
		}
		if _, err := draft.Commit(snapshot.Meta{Index: GenesisIndex, Term: GenesisTerm, ConfState: conf, Membership: g.Membership(m.state.ClusterID)}); err != nil {
			return err
		}
	}
	if m.disk.Log.LastIndex() == 0 {
		b := raftlog.Batch{Reset: &raftlog.Mark{Index: GenesisIndex, Term: GenesisTerm}, HardState: hardState(GenesisTerm, GenesisIndex), Sync: true}
		if err := m.disk.Log.Append([]raftlog.Batch{b}); err != nil {
			return fmt.Errorf("begin the log: %w", err)
		}
	}
	return m.begun()
}

func hardState(term, commit uint64) *raftpb.HardState {
	return &raftpb.HardState{Term: new(term), Commit: new(commit)}
}

// begun notes that the log must never be missing again.
func (m *Member) begun() error {
	if m.state.Begun {
		return nil
	}
	next := m.state
	next.Begun = true
	if err := m.disk.State.SaveState(next); err != nil {
		return err
	}
	m.state = next
	return nil
}

// bootBits is how many request numbers one boot may draw before it would reach
// into the next boot's.
const bootBits = 40

// startReplica makes the replica from what is on disk.
func (m *Member) startReplica() error {
	img, release := m.disk.Snapshots.AcquireNewest()
	var admitted cluster.Member
	if m.state.Hint != nil {
		admitted, _ = m.state.Hint.Member(m.cfg.Self.NodeID)
	}
	rep, err := replica.New(replica.Config{
		Self:            m.cfg.Self.Member(cluster.Learner),
		Admitted:        admitted,
		HeartbeatTicks:  1,
		ElectionTicks:   m.cfg.ElectionTicks,
		FirstSeq:        m.cfg.Epoch<<bootBits | 1,
		Policy:          m.cfg.Policy,
		Tick:            cluster.Duration(m.cfg.Heartbeat),
		MaxPendingBytes: m.cfg.MaxPendingBytes,
		Logger:          m.cfg.Logger,
	}, m.disk.Log, raftSnapshot(img))
	if err != nil {
		release()
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	m.rep = rep
	m.images.use(img, release)
	m.images.gathered = m.disk.Log.Size()
	applied, committed := rep.Indexes()
	m.body.Progress(applied, committed)
	m.body.Apply(ApplyJob{Begin: &Start{Opened: m.disk.Opened, Through: applied}})
	m.setPeers()
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
