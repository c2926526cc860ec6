package raftlog

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster/internal/crashfs"
)

func TestFresh(t *testing.T) {
	fs := crashfs.New()
	l := open(t, Options{FS: fs})
	if l.FirstIndex() != 1 || l.LastIndex() != 0 || l.HardState() != nil {
		t.Errorf("fresh log: [%d, %d], %v", l.FirstIndex(), l.LastIndex(), l.HardState())
	}
	if term, err := l.Term(0); term != 0 || err != nil {
		t.Errorf("term of 0: %d, %v", term, err)
	}
	if _, err := l.Term(1); err != raft.ErrUnavailable {
		t.Errorf("term of 1: %v", err)
	}
	genesis := Batch{Reset: &Mark{1, 1}, HardState: hard(1, 0, 1), Sync: true}
	must(t, l.Append([]Batch{genesis}))
	want := model{}.after(genesis)
	want.check(t, l)
	l = open(t, Options{FS: fs.Crash(crashfs.None, 1)})
	want.check(t, l)
	if l.FirstIndex() != 2 || l.LastIndex() != 1 {
		t.Errorf("after genesis: [%d, %d]", l.FirstIndex(), l.LastIndex())
	}
}

func TestPathIsMadeDurable(t *testing.T) {
	fs := crashfs.New()
	must(t, fs.MkdirAll(dir, 0o700)) // by an Open that died, say
	l := open(t, small(fs))
	want := model{}.after(Batch{Entries: run(1, 1, 3, 10)})
	must(t, l.Append([]Batch{{Entries: want.entries, Sync: true}}))
	want.check(t, open(t, small(fs.Crash(crashfs.None, 1))))
}

// reopen closes the log and opens it again, after a crash that keeps only what
// was synced; then it does so after a mere close.
func reopen(t *testing.T, fs *crashfs.FS, l *Log, want model) *Log {
	t.Helper()
	want.check(t, l)
	img := fs.Crash(crashfs.None, 1)
	must(t, l.Close())
	crashed := open(t, small(img))
	want.check(t, crashed)
	must(t, crashed.Close())
	l = open(t, small(fs))
	want.check(t, l)
	return l
}

func TestRecovery(t *testing.T) {
	fs := crashfs.New()
	l := open(t, small(fs))
	var want model
	step := func(bs ...Batch) {
		t.Helper()
		must(t, l.Append(bs))
		want = want.after(bs...)
		l = reopen(t, fs, l, want)
	}
	step(Batch{Entries: run(1, 1, 5, 100), HardState: hard(1, 2, 3), Sync: true})
	step(Batch{Entries: run(6, 1, 1, 0), Sync: true})
	step(Batch{Entries: run(3, 2, 1, 10), HardState: hard(2, 1, 2), Sync: true}) // conflict
	step(Batch{Entries: run(4, 2, 3, 900)}, Batch{Entries: run(5, 3, 1, 9)}, Batch{HardState: hard(3, 3, 3), Sync: true})
	step(Batch{Entries: run(6, 3, 20, 700), Sync: true}) // larger than a segment
	conf := ent(26, 3, 4)
	typ := raftpb.EntryConfChangeV2
	conf.Type = &typ
	step(Batch{Entries: []*raftpb.Entry{conf}, Sync: true})
	step(Batch{Reset: &Mark{100, 4}, Sync: true})
	step(Batch{Entries: run(101, 4, 3, 10), Sync: true})
	step(Batch{Reset: &Mark{50, 3}, Entries: run(51, 3, 2, 10), HardState: hard(4, 0, 50), Sync: true}) // backwards
	must(t, l.Close())
	if names, err := fs.List(dir); err != nil || len(names) > 3 {
		t.Errorf("restarts pile up files: %v %v", names, err)
	}
}

func TestRestartsLeaveFewFiles(t *testing.T) {
	fs := crashfs.New()
	l := open(t, small(fs))
	want := model{}.after(Batch{Entries: run(1, 1, 3, 10), HardState: hard(1, 1, 1), Sync: true})
	must(t, l.Append([]Batch{{Entries: want.entries, HardState: want.hard, Sync: true}}))
	for i := range 20 {
		if i%2 == 0 {
			must(t, l.Close())
		}
		fs = fs.Crash(crashfs.All, 1)
		l = open(t, small(fs))
		want.check(t, l)
	}
	names, err := fs.List(dir)
	must(t, err)
	if len(names) > 2 {
		t.Errorf("after 20 restarts: %v", names)
	}
}

func TestUnsyncedAppendIsReadAndSyncedLater(t *testing.T) {
	fs := crashfs.New()
	l := open(t, small(fs))
	syncs := 0
	fs.SetHook(func(op crashfs.Op) error {
		if op.Kind == crashfs.SyncData {
			syncs++
		}
		return nil
	})
	want := model{}.after(Batch{Entries: run(1, 1, 3, 10)})
	must(t, l.Append([]Batch{{Entries: want.entries}}))
	want.check(t, l)
	if syncs != 0 {
		t.Errorf("synced %d times unasked", syncs)
	}
	must(t, l.Append([]Batch{{Sync: true}})) // nothing new, but to be durable
	must(t, l.Append([]Batch{{Sync: true}}))
	if syncs != 1 {
		t.Errorf("%d syncs, want 1", syncs)
	}
	want.check(t, open(t, small(fs.Crash(crashfs.None, 1))))
}

func TestOneWriteOneSync(t *testing.T) {
	fs := crashfs.New()
	l := open(t, Options{FS: fs})
	var ops []string
	fs.SetHook(func(op crashfs.Op) error {
		ops = append(ops, op.Kind.String())
		return nil
	})
	for i := range uint64(50) {
		ops = nil
		must(t, l.Append([]Batch{
			{Entries: run(3*i+1, 1, 3, 30_000), Sync: true}, {HardState: hard(1, 1, i)}, {Sync: true},
		}))
		if got := strings.Join(ops, ", "); got != "write, sync data" {
			t.Fatalf("append %d: %s", i, got)
		}
	}
}

func TestAppendRefusesWhatDoesNotFit(t *testing.T) {
	fs := crashfs.New()
	l := open(t, small(fs))
	want := model{}.after(Batch{Reset: &Mark{4, 1}, Entries: run(5, 1, 3, 5), Sync: true})
	must(t, l.Append([]Batch{{Reset: &Mark{4, 1}, Entries: want.entries, Sync: true}}))
	for name, bs := range map[string][]Batch{
		"gap":             {{Entries: run(9, 1, 1, 5)}},
		"at the mark":     {{Entries: run(4, 1, 1, 5)}},
		"not consecutive": {{Entries: []*raftpb.Entry{ent(8, 1, 1), ent(8, 1, 1)}}},
		"second batch":    {{Entries: run(8, 1, 1, 5)}, {Entries: run(10, 1, 1, 5)}},
		"after a reset":   {{Reset: &Mark{10, 1}, Entries: run(8, 1, 1, 5)}},
	} {
		if err := l.Append(bs); err == nil || errors.Is(err, ErrFailed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	huge := ent(8, 1, 1)
	huge.Data = make([]byte, MaxAppendBytes)
	if err := l.Append([]Batch{{Entries: []*raftpb.Entry{huge}}}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	if err := l.Compact(8); err == nil || errors.Is(err, ErrFailed) {
		t.Errorf("compaction beyond the end: %v", err)
	}
	want.check(t, l)
	must(t, l.Append([]Batch{{Entries: run(8, 1, 1, 5)}}))
}

func TestEntriesSemantics(t *testing.T) {
	for _, cacheBytes := range []int64{1, 5 * (100 + entryOverhead), 1 << 20} {
		t.Run(fmt.Sprint(cacheBytes), func(t *testing.T) {
			l := open(t, Options{FS: crashfs.New(), SegmentBytes: 400, CacheBytes: cacheBytes})
			must(t, l.Append([]Batch{{Reset: &Mark{4, 1}}}))
			for i := uint64(5); i <= 14; i++ {
				must(t, l.Append([]Batch{{Entries: run(i, i/3, 1, 100)}}))
			}
			if _, err := l.Entries(4, 6, 1000); err != raft.ErrCompacted {
				t.Errorf("below the first: %v", err)
			}
			if _, err := l.Entries(5, 16, 1000); err != raft.ErrUnavailable {
				t.Errorf("above the last: %v", err)
			}
			if _, err := l.Term(3); err != raft.ErrCompacted {
				t.Errorf("term below the mark: %v", err)
			}
			for lo := uint64(5); lo <= 14; lo++ {
				for hi := lo; hi <= 15; hi++ {
					for _, most := range []int{0, 1, 3, 100} {
						es, err := l.Entries(lo, hi, uint64(most)*113)
						if want := min(int(hi-lo), max(most, 1)); err != nil || len(es) != want {
							t.Fatalf("[%d, %d) of at most %d: %d entries, want %d; %v", lo, hi, most, len(es), want, err)
						}
						for k, e := range es {
							if i := lo + uint64(k); !proto.Equal(strip(e), ent(i, i/3, 100)) {
								t.Fatalf("entry %d is %v", i, e)
							}
						}
					}
				}
			}
		})
	}
}

// strip leaves out a Type that is the default: what was read from disk has it
// set, what raft makes has not.
func strip(e *raftpb.Entry) *raftpb.Entry {
	if e.GetType() == raftpb.EntryNormal {
		e = proto.Clone(e).(*raftpb.Entry)
		e.Type = nil
	}
	return e
}

func TestEntrySizeIsProtobufs(t *testing.T) {
	for _, n := range []int{0, 1, 127, 128, 20_000} {
		for _, v := range []uint64{0, 1, 127, 128, 1 << 40, 1<<64 - 1} {
			e := entry{term: v, index: v / 2, data: make([]byte, n)}.message()
			if got, want := entrySize(v, v/2, n), uint64(proto.Size(e)); got != want {
				t.Errorf("size of %d bytes at %d: %d, want %d", n, v, got, want)
			}
		}
	}
}

func TestReadEntriesMayBeKept(t *testing.T) {
	for _, cacheBytes := range []int64{1, 1 << 20} {
		l := open(t, Options{FS: crashfs.New(), CacheBytes: cacheBytes})
		must(t, l.Append([]Batch{{Entries: run(1, 1, 5, 20)}}))
		es, err := l.Entries(1, 6, 1<<20)
		must(t, err)
		must(t, l.Append([]Batch{{Entries: run(2, 2, 9, 20)}}))
		must(t, l.Compact(4))
		for i, e := range es {
			if !proto.Equal(strip(e), ent(uint64(i)+1, 1, 20)) {
				t.Errorf("cache of %d: entry changed under its reader: %v", cacheBytes, e)
			}
		}
	}
}

func TestCompaction(t *testing.T) {
	fs := crashfs.New()
	l := open(t, small(fs))
	var want model
	for i := uint64(1); i <= 40; i++ {
		b := Batch{Entries: run(i, 1+i/7, 1, 200), HardState: hard(1+i/7, 1, i), Sync: true}
		must(t, l.Append([]Batch{b}))
		want = want.after(b)
	}
	full := l.Size()
	for _, through := range []uint64{1, 3, 17, 16, 30, 40} {
		must(t, l.Compact(through))
		want.compacted = max(want.compacted, through)
		if l.FirstIndex() != want.compacted+1 {
			t.Fatalf("first index %d after compaction to %d", l.FirstIndex(), through)
		}
		want.check(t, l)
		if through == 17 {
			if _, err := l.Term(16); err != raft.ErrCompacted {
				t.Errorf("term below the mark: %v", err)
			}
			if got := l.Size(); got > full*3/4 {
				t.Errorf("compaction frees too little: %d of %d bytes", full-got, full)
			}
		}
		l = reopen(t, fs, l, want)
		if got := l.FirstIndex(); got+8 <= want.compacted {
			t.Errorf("after restart the log begins at %d, compacted to %d: whole segments came back", got, want.compacted)
		}
	}
	must(t, l.Compact(40))
	must(t, l.Append([]Batch{{Entries: run(41, 9, 1, 5), Sync: true}}))
	if names, _ := fs.List(dir); len(names) > 2 {
		t.Errorf("an empty log of %d files", len(names))
	}
	sum := int64(0)
	names, err := fs.List(dir)
	must(t, err)
	for _, n := range names {
		info, err := fs.Stat(dir + "/" + n)
		must(t, err)
		sum += info.Size()
	}
	if l.Size() != sum {
		t.Errorf("size %d, on disk %d", l.Size(), sum)
	}
}

// A reader keeps the segment that it reads from.
func TestCompactionUnderAReader(t *testing.T) {
	l := open(t, small(crashfs.New()))
	must(t, l.Append([]Batch{{Entries: run(1, 1, 10, 200)}}))
	must(t, l.Append([]Batch{{Entries: run(11, 1, 10, 200)}}))
	p, out, err := l.planRead(1, 11, 1<<20)
	must(t, err)
	must(t, l.Compact(20))
	must(t, l.Close())
	for at := 0; at < len(p.locs); at += p.run(at) {
		must(t, p.read(at, p.run(at), 1, out))
	}
	p.release()
	for _, s := range p.segments {
		if n := s.refs.Load(); n != 0 {
			t.Errorf("segment %d has %d references left", s.number, n)
		}
	}
}

func TestClose(t *testing.T) {
	fs := crashfs.New()
	l := open(t, small(fs))
	want := model{}.after(Batch{Entries: run(1, 1, 3, 10)})
	must(t, l.Append([]Batch{{Entries: want.entries}}))
	must(t, l.Close())
	must(t, l.Close())
	if err := l.Append([]Batch{{Entries: run(4, 1, 1, 1)}}); !errors.Is(err, ErrClosed) {
		t.Errorf("append: %v", err)
	}
	if _, err := l.Entries(1, 2, 100); !errors.Is(err, ErrClosed) {
		t.Errorf("entries: %v", err)
	}
	want.check(t, open(t, small(fs.Crash(crashfs.None, 1))))
}

// The real file system.
func TestOnDisk(t *testing.T) {
	d := t.TempDir() + "/a/b"
	var want model
	for i := range uint64(3) {
		l, err := Open(d, Options{SegmentBytes: 1 << 16, CacheBytes: 1 << 12})
		must(t, err)
		want.check(t, l)
		for k := range uint64(30) {
			b := Batch{Entries: run(i*30+k+1, i+1, 1, 5000), HardState: hard(i+1, 1, k), Sync: k%10 == 0}
			must(t, l.Append([]Batch{b}))
			want = want.after(b)
		}
		want.check(t, l)
		want.compacted = i * 20
		must(t, l.Compact(want.compacted))
		must(t, l.Close())
	}
}
