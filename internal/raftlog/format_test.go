package raftlog

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/internal/crashfs"
)

var rewrite = flag.Bool("rewrite", false, "write the golden file anew")

// TestGolden holds the format: a later build must read these bytes, and write
// the same.
func TestGolden(t *testing.T) {
	fs := crashfs.New()
	l := open(t, Options{FS: fs, SegmentBytes: 900})
	conf := ent(4, 2, 6)
	typ := raftpb.EntryConfChangeV2
	conf.Type = &typ
	want := model{}
	for _, bs := range [][]Batch{
		{{Reset: &Mark{1, 1}, HardState: hard(1, 0, 1), Sync: true}},
		{{Entries: run(2, 2, 2, 9), HardState: hard(2, 7, 1), Sync: true}, {Entries: []*raftpb.Entry{conf}}},
	} {
		must(t, l.Append(bs))
		want = want.after(bs...)
	}
	name := dir + "/00000001.log"
	b, err := fs.ReadFile(name)
	must(t, err)
	const golden = "testdata/segment.hex"
	got := strings.TrimRight(hex.Dump(b[:l.w.off]), "\n") + "\n"
	if *rewrite {
		must(t, os.WriteFile(golden, []byte(got), 0o644))
	}
	file, err := os.ReadFile(golden)
	must(t, err)
	if got != string(file) {
		t.Errorf("the format changed; if on purpose, raise the version and run with -rewrite:\n%s", got)
	}
	old := crashfs.New()
	must(t, old.MkdirAll(dir, 0o700))
	must(t, old.WriteFile(name, undump(t, string(file))))
	want.check(t, open(t, Options{FS: old}))
}

// undump reads what hex.Dump wrote.
func undump(t testing.TB, s string) []byte {
	var digits strings.Builder
	for line := range strings.Lines(s) {
		digits.WriteString(strings.ReplaceAll(line[8:60], " ", ""))
	}
	b, err := hex.DecodeString(strings.TrimSpace(digits.String()))
	must(t, err)
	return b
}

func FuzzItems(f *testing.F) {
	b := appendBegin(nil, begin{prev: 1, prevLen: 2, mark: Mark{3, 4}, last: 5})
	b = appendMark(b, itemReset, Mark{6, 7})
	b = appendEntry(b, ent(7, 7, 5))
	b = appendHard(b, hardState{8, 9, 10})
	f.Add(b)
	f.Add(append(b, 0, 0, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		var again []byte
		err := eachItem(b, func(it item) error {
			switch it.kind {
			case itemEntry:
				again = appendEntry(again, it.entry.message())
			case itemHard:
				again = appendHard(again, it.hard)
			case itemBegin:
				again = appendBegin(again, it.begin)
			default:
				again = appendMark(again, it.kind, it.mark)
			}
			return nil
		})
		if err == nil && (len(again) > len(b) || len(b)-len(again) > 7) {
			t.Errorf("%d bytes decoded, %d encoded", len(b), len(again))
		}
	})
}

// FuzzRecover opens a directory with one segment whose first record holds any
// items, under sums that are right.
func FuzzRecover(f *testing.F) {
	f.Add(appendEntry(appendBegin(nil, begin{}), ent(1, 1, 5)), []byte{1, 2, 3})
	f.Add(appendMark(appendBegin(nil, begin{prev: 0, mark: Mark{3, 4}, last: 1 << 50}), itemCompact, Mark{5, 5}), []byte{})
	f.Add(appendEntry(appendBegin(nil, begin{mark: Mark{3, 4}, last: 9}), ent(5, 1, 5)), []byte{})
	f.Fuzz(func(t *testing.T, items, tail []byte) {
		fs := crashfs.New()
		must(t, fs.MkdirAll(dir, 0o700))
		b := append(beginRecord(appendFileHeader(nil)), items...)
		b = sealRecord(b, fileHeader, header{segment: 7, seq: 1, offset: fileHeader, synced: fileHeader})
		must(t, fs.WriteFile(dir+"/"+segmentName(7), append(b, tail...)))
		l, err := Open(dir, small(fs))
		if err != nil {
			return
		}
		if l.FirstIndex() > l.LastIndex() {
			return
		}
		if _, err := l.Entries(l.FirstIndex(), l.LastIndex()+1, 1<<20); err != nil {
			t.Error(err)
		}
	})
}

// FuzzSegment opens a directory with any bytes as its only segment: refused
// with the file's name, or a log that can be read and opened again.
func FuzzSegment(f *testing.F) {
	file, err := os.ReadFile("testdata/segment.hex")
	must(f, err)
	golden := undump(f, string(file))
	f.Add(golden)
	f.Add(golden[:len(golden)-9])
	f.Add(append(bytes.Clone(golden), golden[fileHeader:]...))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		fs := crashfs.New()
		must(t, fs.MkdirAll(dir, 0o700))
		must(t, fs.WriteFile(dir+"/"+segmentName(1), b))
		l, err := Open(dir, small(fs))
		if err != nil {
			if corrupt, ok := errors.AsType[*CorruptError](err); !ok || corrupt.Offset > int64(len(b)) {
				t.Fatalf("unsorted error: %v", err)
			}
			return
		}
		first, last := l.FirstIndex(), l.LastIndex()
		must(t, l.Close())
		l = open(t, small(fs))
		if l.FirstIndex() != first || l.LastIndex() != last {
			t.Fatalf("entries %d to %d, and %d to %d when opened again", first, last, l.FirstIndex(), l.LastIndex())
		}
		if first <= last {
			_, err := l.Entries(first, last+1, 1<<20)
			must(t, err)
		}
	})
}
