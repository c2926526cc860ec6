package replica

import (
	"testing"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// memLog is a log in memory. What append was given is there, and durable; only
// a hard state that was not to be synced may be lost in a crash.
type memLog struct {
	base     uint64 // index and term before the first entry
	baseTerm uint64
	entries  []*raftpb.Entry
	hs       *raftpb.HardState
	synced   *raftpb.HardState // what a crash leaves of hs
}

var _ Log = (*memLog)(nil)

func (l *memLog) HardState() *raftpb.HardState { return l.hs }
func (l *memLog) FirstIndex() uint64           { return l.base + 1 }
func (l *memLog) LastIndex() uint64            { return l.base + uint64(len(l.entries)) }

func (l *memLog) Term(i uint64) (uint64, error) {
	switch {
	case i < l.base:
		return 0, raft.ErrCompacted
	case i == l.base:
		return l.baseTerm, nil
	case i > l.LastIndex():
		return 0, raft.ErrUnavailable
	}
	return l.entries[i-l.base-1].GetTerm(), nil
}

func (l *memLog) Entries(lo, hi, maxSize uint64) ([]*raftpb.Entry, error) {
	if lo <= l.base {
		return nil, raft.ErrCompacted
	}
	if hi > l.LastIndex()+1 {
		return nil, raft.ErrUnavailable
	}
	var out []*raftpb.Entry
	size := uint64(0)
	for _, e := range l.entries[lo-l.base-1 : hi-l.base-1] {
		if size += uint64(proto.Size(e)); len(out) > 0 && size > maxSize {
			break
		}
		out = append(out, e)
	}
	return out, nil
}

func (l *memLog) append(t testing.TB, a Append) {
	if len(a.Entries) > 0 {
		first := a.Entries[0].GetIndex()
		if first <= l.base || first > l.LastIndex()+1 {
			t.Fatalf("append of entry %d to a log of %d to %d", first, l.FirstIndex(), l.LastIndex())
		}
		if !a.Sync {
			t.Fatalf("entries that need not be synced")
		}
		l.entries = append(l.entries[:first-l.base-1:first-l.base-1], a.Entries...)
	}
	if a.HardState != nil {
		l.hs = a.HardState
	}
	if a.Sync {
		l.synced = l.hs
	} else if s := l.synced; a.HardState.GetTerm() != s.GetTerm() || a.HardState.GetVote() != s.GetVote() {
		if a.HardState != nil {
			t.Fatal("a term or vote that need not be synced")
		}
	}
}

func (l *memLog) reset(index, term uint64) {
	l.base, l.baseTerm, l.entries = index, term, nil
}

func (l *memLog) compact(through uint64) {
	if through <= l.base {
		return
	}
	term, err := l.Term(through)
	if err != nil {
		panic(err)
	}
	l.entries = append([]*raftpb.Entry(nil), l.entries[through-l.base:]...)
	l.base, l.baseTerm = through, term
}
