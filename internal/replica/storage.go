package replica

import (
	"errors"
	"fmt"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// Log is the stable log, with raft.Storage's semantics for Entries and Term.
// The replica reads it; the body's log writer writes it.
type Log interface {
	HardState() *raftpb.HardState // nil: none
	Entries(lo, hi, maxSize uint64) ([]*raftpb.Entry, error)
	Term(i uint64) (uint64, error)
	FirstIndex() uint64
	LastIndex() uint64
}

// storage is the log and the newest image's metadata as raft wants to see them.
type storage struct {
	log    Log
	newest *raftpb.Snapshot // of the newest image; never nil, index 0 when there is none
	conf   uint64           // index of the last applied configuration change
	wanted bool             // raft asked for an image that we don't have yet
	broken error            // reading the log failed: see Replica.Broken
}

var _ raft.Storage = (*storage)(nil)

// InitialState implements raft.Storage. The commit index is raised to the
// image's: it may be older on disk, because it is never synced for its own
// sake, and raft panics on a commit index below its snapshot.
func (s *storage) InitialState() (*raftpb.HardState, *raftpb.ConfState, error) {
	meta := s.newest.GetMetadata()
	hs := &raftpb.HardState{}
	if old := s.log.HardState(); old != nil {
		hs.Term, hs.Vote, hs.Commit = new(old.GetTerm()), new(old.GetVote()), new(old.GetCommit())
	}
	if hs.GetCommit() < meta.GetIndex() {
		hs.Commit = new(meta.GetIndex())
	}
	if hs.GetTerm() < meta.GetTerm() {
		hs.Term, hs.Vote = new(meta.GetTerm()), nil
	}
	return hs, raftpb.EnsureConfState(meta.GetConfState()), nil
}

func (s *storage) Entries(lo, hi, maxSize uint64) ([]*raftpb.Entry, error) {
	entries, err := s.log.Entries(lo, hi, maxSize)
	return entries, s.note(err)
}

// note keeps what raft does not expect: it panics on it.
func (s *storage) note(err error) error {
	if err != nil && !errors.Is(err, raft.ErrCompacted) && !errors.Is(err, raft.ErrUnavailable) {
		s.broken = err
	}
	return err
}

func (s *storage) Term(i uint64) (uint64, error) {
	if meta := s.newest.GetMetadata(); i == meta.GetIndex() {
		return meta.GetTerm(), nil
	}
	term, err := s.log.Term(i)
	return term, s.note(err)
}

func (s *storage) FirstIndex() (uint64, error) { return s.log.FirstIndex(), nil }
func (s *storage) LastIndex() (uint64, error)  { return s.log.LastIndex(), nil }

// Snapshot implements raft.Storage. An image older than the last configuration
// change is never given out: a joiner that isn't in its ConfState would drop
// it and wait for ever. Nor is one that ends before the log begins.
func (s *storage) Snapshot() (*raftpb.Snapshot, error) {
	index := s.newest.GetMetadata().GetIndex()
	if index == 0 || index < s.conf || index+1 < s.log.FirstIndex() {
		s.wanted = true
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	return s.newest, nil
}

// check refuses a log and an image that don't fit together.
func (s *storage) check() error {
	index, first, last := s.newest.GetMetadata().GetIndex(), s.log.FirstIndex(), s.log.LastIndex()
	if index+1 < first || index > last {
		return fmt.Errorf("the log holds entries %d to %d, the newest snapshot is at index %d: they don't fit together, one of them is missing or damaged", first, last, index)
	}
	return nil
}

// Broken is why the log could not be read, or nil. Raft panics when it can't
// read what it has committed; the body tells that panic from a bug by this.
func (r *Replica) Broken() error { return r.storage.broken }
