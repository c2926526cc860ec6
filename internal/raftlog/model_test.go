package raftlog

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/internal/crashfs"
)

const dir = "/data/log"

// small makes every path of the log short: many segments, nothing cached.
func small(fs *crashfs.FS) Options { return Options{FS: fs, SegmentBytes: 1500, CacheBytes: 1} }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, opt Options) *Log {
	t.Helper()
	l, err := Open(dir, opt)
	must(t, err)
	return l
}

func ent(index, term uint64, size int) *raftpb.Entry {
	e := &raftpb.Entry{Index: new(index), Term: new(term)}
	if size > 0 {
		e.Data = bytes.Repeat(fmt.Appendf(nil, "%d/%d ", index, term), size/3+1)[:size]
	}
	return e
}

// run is n entries from index on.
func run(index, term uint64, n, size int) []*raftpb.Entry {
	var es []*raftpb.Entry
	for i := range uint64(n) {
		es = append(es, ent(index+i, term, size))
	}
	return es
}

func hard(term, vote, commit uint64) *raftpb.HardState {
	return &raftpb.HardState{Term: new(term), Vote: new(vote), Commit: new(commit)}
}

// model is what a log should hold. Nothing is forgotten but by a reset, since a
// restart may come up with more than was kept.
type model struct {
	base      Mark
	entries   []*raftpb.Entry // from base.Index+1 on
	hard      *raftpb.HardState
	compacted uint64 // base.Index <= compacted <= last
}

func (m *model) last() uint64 { return m.base.Index + uint64(len(m.entries)) }

func (m *model) term(i uint64) uint64 {
	if i == m.base.Index {
		return m.base.Term
	}
	return m.entries[i-m.base.Index-1].GetTerm()
}

// after returns what m is after the batches; m stays as it is.
func (m model) after(bs ...Batch) model {
	for _, b := range bs {
		if b.Reset != nil {
			m.base, m.entries, m.compacted = *b.Reset, nil, b.Reset.Index
		}
		for _, e := range b.Entries {
			m.entries = append(slices.Clip(m.entries[:e.GetIndex()-m.base.Index-1]), e)
		}
		if b.HardState != nil {
			m.hard = b.HardState
		}
	}
	return m
}

// diff says how the log differs from the model, "" if it doesn't. The log may
// begin anywhere between the model's base and its compaction.
func (m *model) diff(l *Log) string {
	got := l.HardState()
	if (got == nil) != (m.hard == nil) || got.GetTerm() != m.hard.GetTerm() || got.GetVote() != m.hard.GetVote() || got.GetCommit() != m.hard.GetCommit() {
		return fmt.Sprintf("hard state %v, want %v", got, m.hard)
	}
	mark := l.FirstIndex() - 1
	if l.LastIndex() != m.last() || mark < m.base.Index || mark > m.compacted {
		return fmt.Sprintf("log of (%d, %d], want (%d to %d, %d]", mark, l.LastIndex(), m.base.Index, m.compacted, m.last())
	}
	for i := mark; i <= m.last(); i++ {
		if term, err := l.Term(i); err != nil || term != m.term(i) {
			return fmt.Sprintf("term of %d is %d (%v), want %d", i, term, err, m.term(i))
		}
	}
	if mark == m.last() {
		return ""
	}
	es, err := l.Entries(mark+1, m.last()+1, 1<<60)
	if err != nil || len(es) != int(m.last()-mark) {
		return fmt.Sprintf("%d entries above %d, want %d: %v", len(es), mark, m.last()-mark, err)
	}
	for k, e := range es {
		want := m.entries[mark-m.base.Index+uint64(k)]
		if e.GetIndex() != want.GetIndex() || e.GetTerm() != want.GetTerm() || e.GetType() != want.GetType() || !bytes.Equal(e.GetData(), want.GetData()) {
			return fmt.Sprintf("entry %d is %v, want %v", want.GetIndex(), e, want)
		}
	}
	return ""
}

func (m *model) check(t testing.TB, l *Log) {
	t.Helper()
	if d := m.diff(l); d != "" {
		t.Fatal(d)
	}
}
