package datadir

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/crashfs"
	"github.com/musterhq/muster/internal/race"
)

// life is what a node does with its directory, and what it may rely on.
type life struct {
	rng         *rand.Rand
	fs          *crashfs.FS
	incarnation cluster.Incarnation // zero until an Open returned
	epoch       uint64              // the last that an Open returned
	boots       []string            // with it
	state       kept                // SaveState's
	peers       kept                // SavePeers'
}

// kept is which promise a document holds, by its number.
type kept struct {
	stored int // the last that a save stored
	trying int // being stored
}

// promise is a state of one to some sectors.
type promise struct {
	Ballot int
	Filler string
}

func promised(ballot int) promise {
	return promise{ballot, strings.Repeat(fmt.Sprint(ballot, " "), ballot*731%1000)}
}

func (l *life) boot() error {
	d, err := Open(path, Options{FS: l.fs, Rand: seeded(1), Name: "a"})
	if err != nil {
		return err
	}
	l.incarnation, l.epoch, l.boots = d.Identity().Incarnation, d.Identity().Epoch, d.Identity().Boots
	for range 1 + l.rng.IntN(3) {
		doc, save := &l.state, d.SaveState
		if l.rng.IntN(3) == 0 {
			doc, save = &l.peers, d.SavePeers
		}
		doc.trying++
		if err := save(promised(doc.trying)); err != nil {
			return errors.Join(err, mustFailOn(d, err))
		}
		doc.stored = doc.trying
	}
	return d.Close()
}

// mustFailOn says whether a failed directory keeps failing.
func mustFailOn(d *Dir, first error) error {
	var s promise
	_, lerr := d.LoadState(&s)
	serr, perr := d.SaveState(promise{}), d.SavePeers(promise{})
	if serr != first || perr != first || lerr != first {
		panic(fmt.Sprintf("after %v: save %v and %v, load %v", first, serr, perr, lerr))
	}
	return d.Close()
}

// check opens what a crash left, holds it against what was relied on, and
// returns what may be relied on from then on.
func (l life) check(img *crashfs.FS) (life, error) {
	d, err := Open(path, Options{FS: img, Rand: seeded(2), Name: "a"})
	if err != nil {
		return l, err
	}
	after := life{rng: l.rng, fs: img}
	if after.state, err = l.state.check(d.LoadState); err != nil {
		return l, fmt.Errorf("state: %w", err)
	}
	if after.peers, err = l.peers.check(d.LoadPeers); err != nil {
		return l, fmt.Errorf("peers: %w", err)
	}
	id := d.Identity()
	switch {
	case !l.incarnation.IsZero() && id.Incarnation != l.incarnation:
		return l, fmt.Errorf("incarnation drawn again: %v", id)
	case id.Epoch <= l.epoch:
		return l, fmt.Errorf("epoch %d after %d", id.Epoch, l.epoch)
	case l.epoch > 0 && !descends(id, l.epoch, l.boots):
		return l, fmt.Errorf("epoch %d with boots %v, after %d with %v", id.Epoch, id.Boots, l.epoch, l.boots)
	}
	after.incarnation, after.epoch, after.boots = id.Incarnation, id.Epoch, id.Boots
	return after, d.Close()
}

// check reads a document and returns what may be relied on from then on.
func (doc kept) check(load func(any) (bool, error)) (kept, error) {
	var s promise
	_, err := load(&s)
	switch {
	case err != nil:
		return doc, err
	case s.Ballot != doc.stored && s.Ballot != doc.trying:
		return doc, fmt.Errorf("number %d, stored %d, trying %d", s.Ballot, doc.stored, doc.trying)
	case s != promised(s.Ballot):
		return doc, fmt.Errorf("number %d is not what was stored", s.Ballot)
	}
	return kept{s.Ballot, s.Ballot}, nil
}

// descends says that the boots, as far as both go back, are those that were
// relied on, with new ones before them.
func descends(id Identity, epoch uint64, boots []string) bool {
	since := int(id.Epoch - epoch)
	both := min(len(id.Boots)-since, len(boots))
	return len(id.Boots) == min(int(id.Epoch), keptBoots) && slices.Equal(id.Boots[since:since+both], boots[:both])
}

// verify checks an image, and what a crash leaves in the midst of the check
// and after it.
func (l life) verify(img *crashfs.FS, seed uint64) error {
	at := 1 + l.rng.IntN(8)
	var inner *crashfs.FS
	img.SetHook(func(op crashfs.Op) error {
		if op.N == at {
			inner = img.Crash(crashfs.Mode(l.rng.IntN(crashfs.Modes)), seed)
		}
		return nil
	})
	after, err := l.check(img)
	if err != nil {
		return err
	}
	if _, err := after.check(img.Crash(crashfs.None, seed)); err != nil {
		return fmt.Errorf("after a restart and a crash: %w", err)
	}
	if inner != nil {
		if _, err := l.check(inner); err != nil {
			return fmt.Errorf("crash in a restart: %w", err)
		}
	}
	return nil
}

// The 20th scenario at this layer: no promise is lost in a crash. The power
// fails, and the process is killed, before each operation of some lives.
func TestPromiseLostInCrash(t *testing.T) {
	images := 0
	for seed := range uint64(race.Share(24)) {
		l := life{rng: rand.New(rand.NewPCG(seed, 4)), fs: crashfs.New()}
		for range 3 {
			var next life
			l.fs.SetHook(func(op crashfs.Op) error {
				s := l.rng.Uint64()
				for _, img := range l.fs.Images(s, 4) {
					images++
					if err := l.verify(img.FS, s); err != nil {
						return fmt.Errorf("before %s: image %s: %w", op, img.Name, err)
					}
				}
				next = l
				next.fs = l.fs.Crash(crashfs.Mode(l.rng.IntN(crashfs.Modes)), s)
				return nil
			})
			if err := l.boot(); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			var err error
			if l, err = next.check(next.fs); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
	}
	crashfs.Report(t, images, "images", 4000)
}

// Every operation fails once, in every way: the error comes out, nothing
// relied on is lost, and the next start works, in this process too.
func TestEveryOperationFailsOnce(t *testing.T) {
	faults := 0
	for seed := range uint64(4) {
		live := func(fs *crashfs.FS) (life, error) {
			l := life{rng: rand.New(rand.NewPCG(seed, 5)), fs: fs}
			err := l.boot()
			if err == nil {
				err = l.boot()
			}
			return l, err
		}
		whole, err := live(crashfs.New())
		if err != nil {
			t.Fatal(err)
		}
		for n := 1; n <= whole.fs.Ops(); n++ {
			for _, fault := range crashfs.Faults(n) {
				fs := crashfs.New()
				failed := fs.FailAt(n, fault)
				l, err := live(fs)
				faults++
				if !errors.Is(err, fault.Err) {
					t.Fatalf("%s, %s: the error got lost: %v", failed(), fault, err)
				}
				for _, img := range append(fs.Images(seed, 2), crashfs.Image{FS: fs, Name: "the same process"}) {
					if err := l.verify(img.FS, seed); err != nil {
						t.Fatalf("%s, %s; then image %s: %v", failed(), fault, img.Name, err)
					}
				}
			}
		}
	}
	crashfs.Report(t, faults, "faults", 500)
}
