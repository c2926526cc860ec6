package datadir

import (
	"errors"
	"fmt"
	"testing"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/crashfs"
)

// life is what a node does with its directory; acked is what it may rely on.
type life struct {
	incarnation cluster.Incarnation // zero until an Open returned
	epoch       uint64              // the last that an Open returned
	ballot      int                 // the last that a SaveState stored
	trying      int                 // being stored
}

func (l *life) run(fs *crashfs.FS) error {
	for range 2 {
		d, err := Open(path, Options{FS: fs, Rand: seeded(1), Name: "a"})
		if err != nil {
			return err
		}
		l.incarnation, l.epoch = d.Identity().Incarnation, d.Identity().Epoch
		for range 2 {
			l.trying++
			if err := d.SaveState(state{l.trying}); err != nil {
				return errors.Join(err, mustFailOn(d, err))
			}
			l.ballot = l.trying
		}
		if err := d.Close(); err != nil {
			return err
		}
	}
	return nil
}

// mustFailOn says whether a failed directory keeps failing.
func mustFailOn(d *Dir, first error) error {
	var s state
	_, lerr := d.LoadState(&s)
	if err := d.SaveState(state{99}); err != first || lerr != first {
		panic(fmt.Sprintf("after %v: save %v, load %v", first, err, lerr))
	}
	return d.Close()
}

// check opens what a crash left and holds it against what was relied on.
func (l life) check(img *crashfs.FS) error {
	d, err := Open(path, Options{FS: img, Rand: seeded(2), Name: "a"})
	if err != nil {
		return err
	}
	var s state
	if _, err := d.LoadState(&s); err != nil {
		return err
	}
	id := d.Identity()
	if !l.incarnation.IsZero() && id.Incarnation != l.incarnation {
		return fmt.Errorf("incarnation drawn again: %v", id)
	}
	if id.Epoch <= l.epoch {
		return fmt.Errorf("epoch %d after %d", id.Epoch, l.epoch)
	}
	if s.Ballot != l.ballot && s.Ballot != l.trying {
		return fmt.Errorf("state %d, stored %d, trying %d", s.Ballot, l.ballot, l.trying)
	}
	return d.Close()
}

// The 20th scenario at this layer: no promise is lost in a crash.
func TestPromiseLostInCrash(t *testing.T) {
	var l life
	fs := crashfs.New()
	images := 0
	fs.SetHook(func(op crashfs.Op) error {
		for mode := range crashfs.Modes {
			for seed := range uint64(6) {
				images++
				if err := l.check(fs.Crash(crashfs.Mode(mode), seed)); err != nil {
					t.Fatalf("before %s, mode %d seed %d: %v", op, mode, seed, err)
				}
			}
		}
		if err := l.check(fs.Kill()); err != nil {
			t.Fatalf("before %s, killed: %v", op, err)
		}
		return nil
	})
	if err := l.run(fs); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d images", images)
}

// Every operation fails once: the error comes out, nothing relied on is lost,
// and the next start works, after a crash as well.
func TestEveryOperationFailsOnce(t *testing.T) {
	var l life
	whole := crashfs.New()
	if err := l.run(whole); err != nil {
		t.Fatal(err)
	}
	boom := errors.New("input/output error")
	for n := 1; n <= whole.Ops(); n++ {
		for _, fault := range []error{boom, &crashfs.ShortWrite{N: 10, Err: boom}} {
			var l life
			fs := crashfs.New()
			failed := ""
			fs.SetHook(func(op crashfs.Op) error {
				if op.N == n {
					failed = op.String()
					return fault
				}
				return nil
			})
			if err := l.run(fs); !errors.Is(err, boom) {
				t.Fatalf("%s: the error got lost: %v", failed, err)
			}
			for seed := range uint64(4) {
				if err := l.check(fs.Crash(crashfs.Random, seed)); err != nil {
					t.Fatalf("%s, then a crash: %v", failed, err)
				}
				next := fs.Kill()
				if err := l.check(next); err != nil {
					t.Fatalf("%s, then a restart: %v", failed, err)
				}
				l2 := l
				l2.epoch++
				if err := l2.check(next.Crash(crashfs.None, seed)); err != nil {
					t.Fatalf("%s, a restart, then a crash: %v", failed, err)
				}
			}
		}
	}
}
