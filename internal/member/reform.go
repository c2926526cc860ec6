package member

import (
	"errors"
	"fmt"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/raftlog"
	"github.com/musterhq/muster/internal/replica"
	"github.com/musterhq/muster/internal/snapshot"
	"github.com/musterhq/muster/internal/wire"
)

// Reform says that the cluster is to go on with this member alone. It is
// decided while the node is stopped, by one replacement of the state document;
// from then on the entry that carries it out belongs to the log, and whoever
// opens the directory next writes it if it is not there.
type Reform struct {
	Only  cluster.Member `json:"only"`
	Index uint64         `json:"index"` // of the entry
	Term  uint64         `json:"term"`

	Generation uint64 `json:"generation"` // that begins with it
	Unknown    uint64 `json:"unknown"`    // entries before it that were not known to be committed
}

// Held is what a stopped member's directory holds.
type Held struct {
	State    State
	Image    uint64 // index of the newest image; 0: none
	Term     uint64 // the highest that the member has heard of
	First    uint64 // index of the first entry in the log
	Last     uint64 // of the last one
	LastTerm uint64 // its term
	Commit   uint64 // known here to be committed; what lies above may have been, too
	Replayed replica.Replayed
}

// Done says that a Reform was carried out, and nothing was written since.
func (h *Held) Done() bool {
	return h.State.Reform != nil && h.Last == h.State.Reform.Index && h.LastTerm == h.State.Reform.Term
}

// Look reads all of it, from a directory that nobody else has open. It does what
// a start would do first: it lets the log begin after the newest image, and
// finishes a Reform.
func Look(self wire.Identity, log *raftlog.Log, images *snapshot.Store, docs StateStore) (Held, error) {
	var h Held
	if _, err := docs.LoadState(&h.State); err != nil {
		return h, err
	}
	img := images.Newest()
	if img != nil {
		h.Image = img.Index
		if err := fitLog(log, img); err != nil {
			return h, err
		}
		if err := finishReform(log, h.State.Reform); err != nil {
			return h, err
		}
	}
	hs := log.HardState()
	h.First, h.Last, h.Term, h.Commit = log.FirstIndex(), log.LastIndex(), hs.GetTerm(), hs.GetCommit()
	if img == nil {
		return h, nil
	}
	var err error
	if h.LastTerm, err = log.Term(h.Last); err != nil {
		return h, fmt.Errorf("term of index %d: %w", h.Last, err)
	}
	h.Term, h.Commit = max(h.Term, h.LastTerm), max(h.Commit, h.Image)
	if h.Replayed, err = replica.Replay(self.Member(0), log, raftSnapshot(img)); err != nil {
		return h, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return h, nil
}

// Begin decides a Reform of what Look has read, durably, and carries it out.
func (h *Held) Begin(self cluster.NodeID, log *raftlog.Log, docs StateStore) error {
	m := h.Replayed.Membership
	only, ok := m.Member(self)
	if !ok {
		return errors.New("the member's log does not know the member")
	}
	next := h.State
	next.Generation = max(m.Generation, h.State.Generation, h.State.Newer) + 1
	next.Outdated, next.Newer = "", 0 // now that one is
	next.Reform = &Reform{Only: only, Index: h.Last + 1, Term: h.Term + 1, Generation: next.Generation, Unknown: h.Last - h.Commit}
	if err := docs.SaveState(next); err != nil {
		return err
	}
	h.State = next
	return finishReform(log, next.Reform)
}

// finishReform writes the entry if the log ends before it. All of it is one
// record of the log: after a crash it is there as a whole or not at all.
func finishReform(log *raftlog.Log, r *Reform) error {
	if r == nil || log.LastIndex() >= r.Index {
		return nil
	}
	if last := log.LastIndex(); last+1 != r.Index {
		return fmt.Errorf("%w: the cluster was re-formed at index %d, but the log ends at %d; restore the directory, or re-form the cluster around another member", ErrCorrupt, r.Index, last)
	}
	err := log.Append([]raftlog.Batch{{
		Entries:   []*raftpb.Entry{replica.ReformEntry(r.Only, r.Generation, r.Index, r.Term)},
		HardState: &raftpb.HardState{Term: new(r.Term), Vote: new(uint64(r.Only.ID)), Commit: new(r.Index)},
		Sync:      true,
	}})
	if err != nil {
		return fmt.Errorf("re-form the cluster: write the log: %w", err)
	}
	return nil
}

// generation is the cluster's, as far as this node knows, and the member around
// which it began. The log says so only once it is applied.
func (m *Member) generation(all *cluster.Membership) (uint64, cluster.NodeID) {
	if r := m.state.Reform; r != nil && r.Generation > all.Generation {
		return r.Generation, r.Only.ID
	}
	return max(m.state.Generation, all.Generation), all.ReformedBy
}

// outdated ends a member of a cluster that was re-formed without it. It is noted
// on its disk: with others of its kind it might make up a majority of the old
// one. Nothing else on the disk changes.
func (m *Member) outdated(newer uint64, reason string) {
	if m.failed {
		return
	}
	next := m.state
	next.Newer = newer
	next.Outdated = reason + "; " + wire.RefusedOldGeneration.WayOut(m.cfg.Self.Name)
	if m.save(next) {
		m.fail(fmt.Errorf("%w: %s", ErrOldGeneration, next.Outdated))
	}
}
