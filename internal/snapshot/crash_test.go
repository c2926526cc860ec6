package snapshot

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"syscall"
	"testing"

	"github.com/musterhq/muster/internal/crashfs"
	"github.com/musterhq/muster/internal/race"
)

// member is what one member does to its store, and what it may rely on.
type member struct {
	fs    *crashfs.FS
	s     *Store
	acked uint64 // index of the newest image that was said to be durable
}

// atIndex are the images that there can be. They share a file, and are of less
// and more than a sector.
var atIndex = map[uint64]contents{
	10: {"a": noise(1, 100), "s/b": noise(2, 700)},
	20: {"a": noise(3, 1300), "s/b": noise(2, 700), "s/t/c": noise(4, 300), "e": {}},
}

func (m *member) open() (err error) {
	m.s, err = Open("/m/snapshot", m.fs)
	return err
}

func (m *member) commit(index uint64) error {
	i, err := commit(m.s, testMeta(index), atIndex[index])
	if err == nil {
		m.acked = i.Index
	}
	return err
}

// receive takes in an image; the connection is cut after so many bytes, or not
// at all when that is negative.
func (m *member) receive(src *Image, markBytes int64, cut int) error {
	m.s.markBytes = markBytes
	var wrap func(net.Conn) net.Conn
	if cut >= 0 {
		wrap = func(c net.Conn) net.Conn { return &cutConn{c, cut} }
	}
	o := transfer(src, m.s, wrap, SendOptions{}, ReceiveOptions{})
	failed := errors.Is(o.got, ErrStorage) || errors.Is(o.got, ErrNoSpace)
	switch {
	case (o.got == nil) != (o.sent == nil):
		return fmt.Errorf("%w: the ends differ: sender %w, receiver %w", errWrong, o.sent, o.got)
	case failed && (m.s.receipt != nil || m.s.disk.exists(m.s.receiptDir())):
		return fmt.Errorf("%w: what a failing disk took in is kept: %w", errWrong, o.got)
	case o.got == nil:
		m.acked = o.img.Index
	case cut >= 0 && !failed && errors.Is(o.sent, net.ErrClosed):
		return nil
	}
	return o.got
}

var errWrong = errors.New("wrong")

// story leads a store to the image at index 20 alone, from whatever an earlier
// attempt has left.
type story struct {
	name  string
	fresh bool // begins without a store; else with the image at index 10
	tell  func(m *member, src *Image) error
}

var stories = []story{
	{"first", true, func(m *member, _ *Image) error { return m.commit(20) }},
	{"draft", false, func(m *member, _ *Image) error { return m.commit(20) }},
	{"receive", false, func(m *member, src *Image) error { return m.receive(src, 300, -1) }},
	{"receive without marks", false, func(m *member, src *Image) error { return m.receive(src, 1<<20, -1) }},
	{"receive, cut, resume", false, func(m *member, src *Image) error {
		if err := m.receive(src, 300, 1800); err != nil {
			return err
		}
		return m.receive(src, 300, -1)
	}},
	{"receive, cut, restart, resume", false, func(m *member, src *Image) error {
		if err := m.receive(src, 300, 2600); err != nil {
			return err
		}
		if err := m.open(); err != nil {
			return err
		}
		return m.receive(src, 300, -1)
	}},
	{"receive, cut, draft", false, func(m *member, src *Image) error {
		if err := m.receive(src, 300, 1800); err != nil {
			return err
		}
		return m.commit(20)
	}},
}

// run opens the store and tells the story to its end.
func (st story) run(m *member, src *Image) error {
	if err := m.open(); err != nil {
		return err
	}
	if err := st.tell(m, src); err != nil {
		return err
	}
	return m.s.Prune(1)
}

// begin is the disk on which the story begins, all of it durable.
func (st story) begin(t *testing.T) *member {
	m := &member{fs: crashfs.New()}
	err := m.fs.MkdirAll("/m", 0o700)
	if err == nil && !st.fresh {
		if err = m.open(); err == nil {
			err = m.commit(10)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	m.fs = m.fs.Crash(crashfs.All, 0)
	return m
}

// judge opens what there is on a disk: the image that was relied on, or the
// one that was coming, and nothing that is only half there.
func (m *member) judge(fs *crashfs.FS) (newest uint64, err error) {
	after := member{fs: fs}
	if err := after.open(); err != nil {
		return 0, err
	}
	for _, i := range after.s.images {
		if err := holds(i, atIndex[i.Index]); err != nil {
			return 0, err
		}
		newest = i.Index
	}
	if newest != 20 && newest != m.acked {
		return newest, fmt.Errorf("newest is %d, was %d", newest, m.acked)
	}
	return newest, nil
}

// recover judges a disk, and tells the story on it once more: to its end, after
// which a crash changes nothing, and up to another crash in its midst.
func (st story) recover(m *member, fs *crashfs.FS, src *Image, rng *rand.Rand) (newest uint64, err error) {
	seed, at := rng.Uint64(), 1+rng.IntN(60)
	var inner *crashfs.FS
	fs.SetHook(func(op crashfs.Op) error {
		if op.N == at {
			inner = fs.Crash(crashfs.Mode(rng.IntN(crashfs.Modes)), seed)
		}
		return nil
	})
	if newest, err = m.judge(fs); err != nil {
		return newest, err
	}
	again := &member{fs: fs, acked: m.acked}
	if err := st.run(again, src); err != nil {
		return newest, fmt.Errorf("it can't be done again: %w", err)
	}
	if err := again.done(fs.Crash(crashfs.None, seed)); err != nil {
		return newest, fmt.Errorf("done again, then a crash: %w", err)
	}
	if inner != nil {
		if _, err := m.judge(inner); err != nil {
			return newest, fmt.Errorf("crash in recovery: %w", err)
		}
	}
	return newest, nil
}

// done judges a disk on which the story went to its end: the new image is
// there and nothing else.
func (m *member) done(fs *crashfs.FS) error {
	newest, err := m.judge(fs)
	if err != nil {
		return err
	}
	if names, err := fs.List("/m/snapshot"); err != nil || len(names) != 1 || newest != 20 {
		return fmt.Errorf("%d is there, and left behind are %q (%v)", newest, names, err)
	}
	return nil
}

// The power fails, and the process is killed, before every single operation.
func TestCrashAtEveryStep(t *testing.T) {
	src := source(t)
	images := 0
	for _, st := range stories {
		t.Run(st.name, func(t *testing.T) {
			points, saw := 0, map[uint64]bool{}
			for seed := range uint64(race.Share(5)) {
				rng := rand.New(rand.NewPCG(seed, 6))
				m := st.begin(t)
				var failed error // told here too, as some errors of removals are dropped
				m.fs.SetHook(func(op crashfs.Op) error {
					points++
					for _, img := range m.fs.Images(rng.Uint64(), 4) {
						images++
						newest, err := st.recover(m, img.FS, src, rng)
						saw[newest] = true
						if err != nil && failed == nil {
							failed = fmt.Errorf("seed %d, before %s: image %s: %w", seed, op, img.Name, err)
						}
					}
					return failed
				})
				if err := st.run(m, src); err != nil {
					t.Fatal(err)
				}
				if failed != nil {
					t.Fatal(failed)
				}
				if err := m.done(m.fs.Crash(crashfs.None, seed)); err != nil {
					t.Fatalf("seed %d: at the end, a crash: %v", seed, err)
				}
			}
			if !saw[20] || len(saw) != 2 {
				t.Errorf("found %v after crashes, want the old image and the new one", saw)
			}
			t.Logf("%d crash points", points)
		})
	}
	crashfs.Report(t, images, "images", 6000)
}

// source is the image at index 20 as another member has it.
func source(t *testing.T) *Image {
	return mustCommit(t, openStore(t, crashfs.New(), "/from"), 20, atIndex[20])
}

// sorted says what an errno is to a caller.
var sorted = map[error]error{syscall.EIO: ErrStorage, syscall.ENOSPC: ErrNoSpace}

// Every single operation fails, in every way. The error comes out and is
// sorted, the images there were stay, and the same can be done again.
func TestEveryOperationFailsOnce(t *testing.T) {
	src := source(t)
	faults := 0
	for _, st := range stories {
		t.Run(st.name, func(t *testing.T) {
			whole := st.begin(t)
			if err := st.run(whole, src); err != nil {
				t.Fatal(err)
			}
			for n := 1; n <= whole.fs.Ops(); n++ {
				for _, fault := range crashfs.Faults(n) {
					m := st.begin(t)
					failed := m.fs.FailAt(n, fault)
					err := st.run(m, src)
					faults++
					what := fmt.Sprintf("%s: %s", failed(), fault)
					switch {
					case errors.Is(err, errWrong):
						t.Fatalf("%s: %v", what, err)
					case err == nil && failed().Kind != crashfs.Remove:
						t.Fatalf("%s: nobody noticed", what)
					case err != nil && (!errors.Is(err, fault.Err) || !errors.Is(err, sorted[fault.Err]) && !errors.Is(err, errMachine)):
						t.Fatalf("%s: %v", what, err)
					}
					rng := rand.New(rand.NewPCG(uint64(n), 7))
					for _, img := range append(m.fs.Images(uint64(n), 1), crashfs.Image{FS: m.fs, Name: "the same process"}) {
						if _, err := st.recover(m, img.FS, src, rng); err != nil {
							t.Fatalf("%s; then image %s: %v", what, img.Name, err)
						}
					}
				}
			}
		})
	}
	crashfs.Report(t, faults, "faults", 800)
}
