package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/formation"
	"github.com/musterhq/muster/internal/raftlog"
	"github.com/musterhq/muster/internal/snapshot"
	"github.com/musterhq/muster/internal/wire"
)

// driveForming carries out the former's effects. What it saves is durable
// before anything leaves.
func (h *Host) driveForming() {
	eff := h.former.Effects()
	if eff.Save != nil {
		next := h.state
		next.Durable = *eff.Save
		if eff.Outcome != nil && eff.Outcome.Joined != nil {
			next.Hint = eff.Outcome.Joined.Membership
		}
		if !h.save(next) {
			return
		}
		h.publish()
	}
	for _, c := range eff.Calls {
		h.ask(c)
	}
	for _, r := range eff.Replies {
		if f := h.replies[r.ID]; f != nil {
			delete(h.replies, r.ID)
			f(r.Response)
		}
	}
	for _, e := range eff.Events {
		h.emit(e)
	}
	if eff.Outcome != nil {
		h.leaveFormation(eff.Outcome)
	}
}

// save makes the state durable; false ends the host.
func (h *Host) save(next State) bool {
	if err := h.cfg.State.SaveState(next); err != nil {
		h.fail(err)
		return false
	}
	h.state = next
	return true
}

// callTimeout bounds one question to another node.
const callTimeout = 3 * time.Second

// ask puts a question of the former to whoever is at an address.
func (h *Host) ask(c formation.Call) {
	h.spawn(func() {
		ctx, cancel := context.WithTimeout(h.ctx, callTimeout)
		defer cancel()
		resp, hello, err := h.tr.Call(ctx, c.Addr, 0, c.Request)
		h.call(func() {
			if h.former == nil {
				return
			}
			var refusal *wire.Refusal
			switch {
			case errors.As(err, &refusal):
				h.former.Failed(c.Addr, refusal, err.Error())
			case err != nil:
				h.former.Failed(c.Addr, nil, err.Error())
			default:
				h.former.Answered(c.Addr, hello, resp)
			}
		})
	})
}

func (h *Host) leaveFormation(o *formation.Outcome) {
	h.former = nil
	for id, f := range h.replies {
		delete(h.replies, id)
		f(wire.Response{Nack: &wire.Nack{Code: "busy", Reason: "the node has just become a member: ask again"}})
	}
	if err := h.becomeMember(); err != nil {
		h.fail(err)
		return
	}
	h.publish()
}

// becomeMember starts the replica over what is on disk.
func (h *Host) becomeMember() error {
	if err := h.checkDisk(); err != nil {
		return err
	}
	if !h.state.Begun && h.state.Founded {
		if err := h.writeGenesis(); err != nil {
			return err
		}
	}
	if err := h.startReplica(); err != nil {
		return err
	}
	h.rep.FirstElection()
	return nil
}

// checkDisk refuses to go on where something that was there is gone: a member
// that has forgotten its vote or its entries must not take part.
func (h *Host) checkDisk() error {
	img := h.cfg.Snapshots.Newest()
	if h.state.Begun && (img == nil || h.cfg.Log.LastIndex() == 0) {
		return fmt.Errorf("%w: this node is a member of cluster %s, but its log or snapshot is gone; restore the directory, or remove the member and start it with an empty one", ErrCorrupt, h.state.ClusterID)
	}
	if img != nil {
		if err := h.adoptImage(img); err != nil {
			return err
		}
	}
	if last := h.cfg.Log.LastIndex(); h.cfg.Opened > last {
		return fmt.Errorf("%w: the machine holds entries up to %d but the log ends at %d; entries are missing from the log: restore the directory, or remove the member and start it with an empty one", ErrCorrupt, h.cfg.Opened, last)
	}
	return nil
}

// adoptImage finishes what a crash may have left between the receipt of an
// image and its use: the log begins after it, and the machine holds it.
func (h *Host) adoptImage(img *snapshot.Image) error {
	term, err := h.cfg.Log.Term(img.Index)
	if first := h.cfg.Log.FirstIndex(); (err != nil || term != img.Term) && img.Index+1 >= first {
		hs := h.cfg.Log.HardState()
		if hs.GetTerm() < img.Term {
			hs = hardState(img.Term, img.Index)
		} else {
			hs = &raftpb.HardState{Term: hs.Term, Vote: hs.Vote, Commit: new(max(hs.GetCommit(), img.Index))}
		}
		b := raftlog.Batch{Reset: &raftlog.Mark{Index: img.Index, Term: img.Term}, HardState: hs, Sync: true}
		if err := h.cfg.Log.Append([]raftlog.Batch{b}); err != nil {
			return fmt.Errorf("begin the log after the snapshot at index %d: %w", img.Index, err)
		}
	}
	if h.cfg.Opened < img.Index && img.Index > genesisIndex {
		if err := h.cfg.Machine.Restore(img.Dir(), img.Index); err != nil {
			return fmt.Errorf("state machine: restore the snapshot at index %d: %w", img.Index, err)
		}
		h.cfg.Opened = img.Index
	}
	return nil
}

// The log of a cluster begins after an empty image at this index and term,
// whose configuration is the founders: what raft's bootstrap.go recommends.
const (
	genesisIndex = 1
	genesisTerm  = 1
)

// writeGenesis makes the first image and begins the log. Doing it again after
// a crash is harmless, for nothing was sent before Begun was saved.
func (h *Host) writeGenesis() error {
	g, err := wire.DecodeGenesis(h.state.Genesis)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	conf := &raftpb.ConfState{}
	for _, f := range g.Founders {
		conf.Voters = append(conf.Voters, uint64(f.NodeID))
	}
	if h.cfg.Snapshots.Newest() == nil {
		draft, err := h.cfg.Snapshots.Draft()
		if err != nil {
			return err
		}
		if _, err := draft.Commit(snapshot.Meta{Index: genesisIndex, Term: genesisTerm, ConfState: conf, Membership: g.Membership(h.state.ClusterID)}); err != nil {
			return err
		}
	}
	if h.cfg.Log.LastIndex() == 0 {
		b := raftlog.Batch{Reset: &raftlog.Mark{Index: genesisIndex, Term: genesisTerm}, HardState: hardState(genesisTerm, genesisIndex), Sync: true}
		if err := h.cfg.Log.Append([]raftlog.Batch{b}); err != nil {
			return fmt.Errorf("begin the log: %w", err)
		}
	}
	return h.begun()
}

// begun notes that the log must never be missing again.
func (h *Host) begun() error {
	if h.state.Begun {
		return nil
	}
	next := h.state
	next.Begun = true
	if err := h.cfg.State.SaveState(next); err != nil {
		return err
	}
	h.state = next
	return nil
}

// removed ends a member that is out for good. Run by the loop.
func (h *Host) removed(index uint64) {
	if h.state.Stage == wire.Removed {
		return
	}
	next := h.state
	next.Stage, next.Tombstone = wire.Removed, index
	if h.save(next) {
		h.fail(fmt.Errorf("%w at index %d", ErrRemoved, index))
	}
}

func peerAddrs(m cluster.Membership, self cluster.NodeID) map[cluster.NodeID]string {
	out := map[cluster.NodeID]string{}
	for _, list := range [][]cluster.Member{m.Leaving, m.Members} {
		for _, mem := range list {
			if mem.ID != self {
				out[mem.ID] = mem.PeerAddr
			}
		}
	}
	return out
}
