package raftlog

import (
	"errors"
	"math/rand/v2"
	"testing"

	"go.etcd.io/raft/v3"

	"github.com/musterhq/muster/internal/crashfs"
)

var errDisk = errors.New("input/output error")

// TestEveryOperationFailsOnce lets each write, sync, rename, remove and mkdir
// of some lives fail. Nothing durable may get lost, whatever comes after it:
// a restart, a crash, or a restart and then a crash.
func TestEveryOperationFailsOnce(t *testing.T) {
	poisoned := 0
	for seed := range uint64(2) {
		for n := 1; ; n++ {
			for _, fault := range []error{errDisk, &crashfs.ShortWrite{N: 100, Err: errDisk}} {
				v := &life{rng: rand.New(rand.NewPCG(seed, 3)), fs: crashfs.New(), states: []model{{}}}
				failed := ""
				v.fs.SetHook(func(op crashfs.Op) error {
					if op.N == n {
						failed = op.String()
						return fault
					}
					return nil
				})
				err := v.open()
				for i := 0; i < 20 && err == nil; i++ {
					err = v.step()
				}
				if failed == "" {
					break
				}
				if err != nil && !errors.Is(err, errDisk) {
					t.Fatalf("seed %d, %s failed: %v", seed, failed, err)
				}
				if errors.Is(err, ErrFailed) {
					poisoned++
					checkPoisoned(t, v, err)
				}
				checkAfterFault(t, v, failed)
			}
			if n > 120 {
				break
			}
		}
	}
	if poisoned < 50 {
		t.Errorf("only %d logs were poisoned", poisoned)
	}
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

func checkAfterFault(t *testing.T, v *life, failed string) {
	t.Helper()
	for mode := range crashfs.Modes {
		if err := v.verify(v.fs.Crash(crashfs.Mode(mode), 7), 7); err != nil {
			t.Fatalf("%s failed, then a crash: %v", failed, err)
		}
	}
	// verify ends with a crash after the restart: what a failed sync lost
	// must not be believed because it can still be read.
	if err := v.verify(v.fs.Kill(), 7); err != nil {
		t.Fatalf("%s failed, then a restart: %v", failed, err)
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
