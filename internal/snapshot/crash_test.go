package snapshot

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// stepper counts the operations that change the disk, and does something
// before one of them.
type stepper struct {
	mu   sync.Mutex
	n    int
	at   int
	then func(op errorfs.Op) error
}

func (s *stepper) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
		return nil
	}
	s.mu.Lock()
	s.n++
	hit := s.n == s.at && s.then != nil
	s.mu.Unlock()
	if hit {
		return s.then(op)
	}
	return nil
}

func (s *stepper) String() string { return "stepper" }

// stepwise deletes trees one name at a time, as a real disk does: a crash can
// come between any two.
type stepwise struct{ vfs.FS }

func (f stepwise) RemoveAll(name string) error {
	info, err := f.Stat(name)
	if err != nil {
		return nil // not there
	}
	if info.IsDir() {
		children, err := f.List(name)
		if err != nil {
			return err
		}
		slices.Sort(children)
		for _, c := range children {
			if err := f.RemoveAll(f.PathJoin(name, c)); err != nil {
				return err
			}
		}
	}
	return f.Remove(name)
}

// stories are what is done to a store that holds oldFiles at index 10, and
// leaves it with newFiles at index 20.
var (
	oldFiles = contents{"a": noise(1, 100), "s/b": noise(2, 200)}
	newFiles = contents{"a": noise(3, 150), "s/b": noise(2, 200), "s/t/c": noise(4, 300), "e": {}}
)

func stories(t *testing.T) map[string]func(s *Store) error {
	src := mustCommit(t, openStore(t, vfs.NewMem(), "/from"), 20, newFiles)
	receive := func(s *Store, markBytes int64) error {
		s.markBytes = markBytes
		o := transfer(src, s, nil, SendOptions{}, ReceiveOptions{})
		if (o.got == nil) != (o.sent == nil) {
			return fmt.Errorf("%w: the ends differ: sender %w, receiver %w", errDiffer, o.sent, o.got)
		}
		if o.got != nil {
			return o.got
		}
		return s.Prune(1)
	}
	return map[string]func(s *Store) error{
		"draft": func(s *Store) error {
			if _, err := commit(s, testMeta(20), newFiles); err != nil {
				return err
			}
			return s.Prune(1)
		},
		"receive":               func(s *Store) error { return receive(s, 64) },
		"receive without marks": func(s *Store) error { return receive(s, 1<<20) },
	}
}

var errDiffer = errors.New("ends differ")

// oldOrNew says that the store holds one of the two, whole.
func oldOrNew(t *testing.T, s *Store) {
	t.Helper()
	switch i := s.Newest(); i.Index {
	case 10:
		sameContents(t, i, oldFiles)
	case 20:
		sameContents(t, i, newFiles)
	default:
		t.Fatalf("newest is %d", i.Index)
	}
	for _, i := range s.images {
		if err := i.Verify(); err != nil {
			t.Fatal(err)
		}
	}
}

// The power fails before every single operation, and of what was not synced
// nothing, all or a random part is on the disk.
func TestCrashAtEveryStep(t *testing.T) {
	for name, story := range stories(t) {
		t.Run(name, func(t *testing.T) {
			steps, sawOld, sawNew := 1, false, false
			for at := 1; at <= steps+1; at++ {
				for _, percent := range []int{0, 50, 100} {
					mem := vfs.NewCrashableMem()
					st := &stepper{}
					s := openStore(t, stepwise{errorfs.Wrap(mem, st)}, "/s")
					mustCommit(t, s, 10, oldFiles)
					var crashed *vfs.MemFS
					clone := func() {
						crashed = mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(uint64(at), 7))})
					}
					st.n, st.at = 0, at
					st.then = func(errorfs.Op) error { clone(); return nil }
					if err := story(s); err != nil {
						t.Fatal(err)
					}
					if crashed == nil {
						clone()
					}
					steps = st.n
					after := openStore(t, crashed, "/s")
					oldOrNew(t, after)
					sawOld = sawOld || after.Newest().Index == 10
					sawNew = sawNew || after.Newest().Index == 20
					if at > steps && after.Newest().Index != 20 {
						t.Fatal("lost although it was durable")
					}
					if err := story(after); err != nil {
						t.Fatalf("step %d: it can't be done again: %v", at, err)
					}
					sameContents(t, after.Newest(), newFiles)
				}
			}
			if !sawOld || !sawNew || steps < 10 {
				t.Fatalf("nothing was tested: %d steps, old %v, new %v", steps, sawOld, sawNew)
			}
			t.Logf("%d steps", steps)
		})
	}
}

// stepsOf counts the operations of a story that goes well.
func stepsOf(t *testing.T, story func(*Store) error) int {
	t.Helper()
	st := &stepper{}
	s := openStore(t, stepwise{errorfs.Wrap(vfs.NewMem(), st)}, "/s")
	mustCommit(t, s, 10, oldFiles)
	st.n = 0
	if err := story(s); err != nil {
		t.Fatal(err)
	}
	return st.n
}

// The disk fails, or is full, at every single operation.
func TestFailingDiskAtEveryStep(t *testing.T) {
	for name, story := range stories(t) {
		for _, failure := range []struct {
			name       string
			err, sorts error
		}{{"error", errors.New("input/output error"), ErrStorage}, {"full", errNoSpace, ErrNoSpace}} {
			t.Run(name+"/"+failure.name, func(t *testing.T) {
				steps := stepsOf(t, story)
				for at := 1; at <= steps; at++ {
					mem := vfs.NewMem()
					st := &stepper{}
					s := openStore(t, stepwise{errorfs.Wrap(mem, st)}, "/s")
					mustCommit(t, s, 10, oldFiles)
					st.n, st.at = 0, at
					var failed errorfs.Op
					st.then = func(op errorfs.Op) error { failed = op; return failure.err }
					err := story(s)
					st.then = nil
					switch {
					case errors.Is(err, errDiffer):
						t.Fatal(err)
					case err == nil && failed.Kind != errorfs.OpRemove:
						t.Fatalf("nobody noticed the failure of %v %s", failed.Kind, failed.Path)
					case err != nil && !errors.Is(err, failure.sorts) && !errors.Is(err, failure.err):
						t.Fatalf("step %d: %v", at, err)
					}
					oldOrNew(t, s)
					if s.receipt != nil || s.disk.exists(s.receiptDir()) {
						t.Fatalf("step %d: what a failing disk took in is kept", at)
					}
					after := openStore(t, mem, "/s")
					oldOrNew(t, after)
					if err := story(after); err != nil {
						t.Fatalf("step %d: it can't be done again: %v", at, err)
					}
					sameContents(t, after.Newest(), newFiles)
				}
				if steps < 10 {
					t.Fatalf("nothing was tested: %d steps", steps)
				}
			})
		}
	}
}

// The crashable disk never loses a name whose removal was not synced, so that
// half-deleted images have to be ruled out by the order of things.
func TestImageIsOutOfSightBeforeItsFilesAreDeleted(t *testing.T) {
	var ops []string
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpRename, errorfs.OpRemove, errorfs.OpFileSync:
			ops = append(ops, fmt.Sprint(op.Kind, " ", op.Path))
		}
		return nil
	}))
	s := openStore(t, stepwise{fs}, "/s")
	old := mustCommit(t, s, 10, oldFiles)
	mustCommit(t, s, 20, newFiles)
	ops = nil
	if err := s.Prune(1); err != nil {
		t.Fatal(err)
	}
	if len(ops) < 5 || ops[0] != fmt.Sprint(errorfs.OpRename, " ", old.dir) || ops[1] != fmt.Sprint(errorfs.OpFileSync, " /s") {
		t.Errorf("order: %q", ops)
	}
}
