package raftlog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"go.etcd.io/raft/v3"

	"github.com/musterhq/muster/internal/crashfs"
)

var errDisk = errors.New("input/output error")

// living lives for a while, or until the first error.
func living(seed uint64, fs *crashfs.FS) (*life, error) {
	v := &life{rng: rand.New(rand.NewPCG(seed, 3)), fs: fs, states: []model{{}}}
	err := v.open()
	for i := 0; i < 20 && err == nil; i++ {
		err = v.step()
	}
	return v, err
}

// TestEveryOperationFailsOnce lets each write, sync, rename, remove and mkdir
// of some lives fail, in every way. Nothing durable may get lost, whatever
// comes after it: a restart, a crash, or a restart and then a crash.
func TestEveryOperationFailsOnce(t *testing.T) {
	faults, poisoned := 0, 0
	for seed := range uint64(4) {
		whole, err := living(seed, crashfs.New())
		must(t, err)
		for n := 1; n <= whole.fs.Ops(); n++ {
			for _, fault := range crashfs.Faults(n) {
				fs := crashfs.New()
				failed := fs.FailAt(n, fault)
				v, err := living(seed, fs)
				faults++
				what := fmt.Sprintf("seed %d, %s failed: %s", seed, failed(), fault)
				if err != nil && !errors.Is(err, fault.Err) {
					t.Fatalf("%s: %v", what, err)
				}
				if err == nil && failed().Kind != crashfs.Remove {
					t.Fatalf("%s: nobody noticed", what)
				}
				if errors.Is(err, ErrFailed) {
					poisoned++
					checkPoisoned(t, v, err)
				}
				checkAfterFault(t, v, what)
			}
		}
	}
	t.Logf("%d logs were poisoned", poisoned)
	if poisoned < faults/3 {
		t.Errorf("only %d logs were poisoned", poisoned)
	}
	crashfs.Report(t, faults, "faults", 1000)
}

// checkPoisoned: the same error for ever, no operation on the disk, and
// readers that go on.
func checkPoisoned(t *testing.T, v *life, first error) {
	t.Helper()
	ops := v.fs.Ops()
	for range 2 {
		if err := v.l.Append([]Batch{{HardState: hard(99, 1, 1), Sync: true}}); err != first {
			t.Fatalf("append after %v: %v", first, err)
		}
		if err := v.l.Compact(v.l.LastIndex()); err != first {
			t.Fatalf("compact after %v: %v", first, err)
		}
	}
	if _, err := v.l.Term(v.l.LastIndex()); err != nil {
		t.Fatalf("term after %v: %v", first, err)
	}
	if lo := v.l.FirstIndex(); lo <= v.l.LastIndex() && !v.l.closed {
		if _, err := v.l.Entries(lo, v.l.LastIndex()+1, 1<<20); err != nil && err != raft.ErrUnavailable {
			t.Fatalf("entries after %v: %v", first, err)
		}
	}
	if err := v.l.Close(); err != first {
		t.Fatalf("close after %v: %v", first, err)
	}
	if err := v.l.Close(); err != first {
		t.Fatalf("second close after %v: %v", first, err)
	}
	if v.fs.Ops() != ops {
		t.Fatalf("the disk was touched after %v", first)
	}
}

func checkAfterFault(t *testing.T, v *life, what string) {
	t.Helper()
	// verify ends with a crash after the restart: what a failed sync lost
	// must not be believed because it can still be read.
	for _, img := range v.fs.Images(7, 1) {
		if err := v.verify(img.FS, 7); err != nil {
			t.Fatalf("%s; then image %s: %v", what, img.Name, err)
		}
	}
}

// The plainest form of the same: an fsync that failed isn't healed by the
// next process, which reads the pages and finds them clean.
func TestFailedSyncIsNotBelieved(t *testing.T) {
	fs := crashfs.New()
	l := open(t, small(fs))
	must(t, l.Append([]Batch{{Entries: run(1, 1, 2, 10), Sync: true}}))
	fs.SetHook(func(op crashfs.Op) error {
		if op.Kind == crashfs.SyncData {
			return errDisk
		}
		return nil
	})
	if err := l.Append([]Batch{{Entries: run(3, 1, 2, 10), Sync: true}}); !errors.Is(err, ErrFailed) || !errors.Is(err, errDisk) {
		t.Fatalf("append: %v", err)
	}
	if l.LastIndex() != 2 {
		t.Errorf("readers see %d", l.LastIndex())
	}
	next := fs.Kill()
	want := model{}.after(Batch{Entries: run(1, 1, 4, 10)})
	want.check(t, open(t, small(next)))
	want.check(t, open(t, small(next.Crash(crashfs.None, 1))))
}

func TestFailedOpenLeavesTheLog(t *testing.T) {
	fs := crashfs.New()
	l := open(t, small(fs))
	want := model{}.after(Batch{Entries: run(1, 1, 3, 10)})
	must(t, l.Append([]Batch{{Entries: want.entries, Sync: true}}))
	must(t, l.Close())
	before := fs.String()
	fs.SetHook(func(op crashfs.Op) error {
		if op.Kind == crashfs.Write {
			return errDisk // a full disk
		}
		return nil
	})
	if _, err := Open(dir, small(fs)); !errors.Is(err, errDisk) {
		t.Fatalf("open: %v", err)
	}
	if fs.String() != before {
		t.Errorf("a failed open left\n%swas\n%s", fs, before)
	}
	fs.SetHook(nil)
	want.check(t, open(t, small(fs)))
}
