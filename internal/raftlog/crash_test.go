package raftlog

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/musterhq/muster/internal/crashfs"
	"github.com/musterhq/muster/internal/race"
)

// life drives a log with a random workload. states are what the log went
// through, one for each record; those before durable can't come back.
type life struct {
	rng     *rand.Rand
	fs      *crashfs.FS
	l       *Log
	states  []model // the last is the current one, or the one being written
	durable int
	cache   int64 // bytes
}

func (v *life) now() model { return v.states[len(v.states)-1] }

// settle makes the current state the only one.
func (v *life) settle() { v.states, v.durable = v.states[len(v.states)-1:], 0 }

func (v *life) batch(m model) Batch {
	var b Batch
	first, last := m.compacted+1, m.last()
	switch r := v.rng.IntN(20); {
	case r == 0:
		mark := Mark{last + v.rng.Uint64N(5), m.hard.GetTerm() + 1}
		b.Reset, first, last = &mark, mark.Index+1, mark.Index
	case r < 4 && first <= last: // conflict
		last = first + v.rng.Uint64N(last-first+1) - 1
	}
	if v.rng.IntN(4) > 0 {
		b.Entries = run(last+1, m.hard.GetTerm()+1, 1+v.rng.IntN(4), v.rng.IntN(250))
	}
	if v.rng.IntN(3) > 0 || b.Entries == nil {
		b.HardState = hard(m.hard.GetTerm()+v.rng.Uint64N(2), v.rng.Uint64N(4), first)
	}
	b.Sync = v.rng.IntN(2) == 0
	return b
}

// step does one thing. The model is told before the log, as an image may hold
// what is just being written.
func (v *life) step() error {
	m := v.now()
	switch r := v.rng.IntN(12); {
	case r == 0 && m.last() > m.compacted:
		m.compacted += 1 + v.rng.Uint64N(m.last()-m.compacted)
		for i := range v.states {
			s := &v.states[i]
			if s.base == m.base && s.last() >= m.compacted && s.term(m.compacted) == m.term(m.compacted) {
				s.compacted = max(s.compacted, m.compacted)
			}
		}
		v.states = append(v.states, m)
		if err := v.l.Compact(m.compacted); err != nil {
			return err
		}
	case r == 1:
		if err := v.l.Close(); err != nil {
			return err
		}
		v.settle()
		return v.open()
	default:
		var bs []Batch
		sync := false
		for range 1 + v.rng.IntN(3) {
			b := v.batch(m)
			bs = append(bs, b)
			m = m.after(b)
			sync = sync || b.Sync
		}
		v.states = append(v.states, m)
		if err := v.l.Append(bs); err != nil {
			return err
		}
		if sync {
			v.settle()
		}
	}
	if first := v.l.cache.first(); first < v.l.FirstIndex() {
		return fmt.Errorf("entry %d is cached, though forgotten", first)
	}
	if d := v.states[len(v.states)-1].diff(v.l); d != "" {
		return fmt.Errorf("before any crash: %s", d)
	}
	return nil
}

func (v *life) open() (err error) {
	opt := small(v.fs)
	opt.CacheBytes = max(1, v.cache)
	v.l, err = Open(dir, opt)
	return err
}

// recovered opens an image and finds the state that it holds.
func (v *life) recovered(img *crashfs.FS) (*Log, int, error) {
	l, err := Open(dir, small(img))
	if err != nil {
		return nil, 0, err
	}
	diffs := ""
	for i := len(v.states) - 1; i >= v.durable; i-- {
		d := v.states[i].diff(l)
		if d == "" {
			return l, i, nil
		}
		diffs += fmt.Sprintf("\nnot state %d: %s", i, d)
	}
	return l, 0, fmt.Errorf("recovered none of the states that may be:%s", diffs)
}

// verify holds an image against the model. Recovery must be repeatable: a
// crash in its midst, or right after it, must not lose what it found.
func (v *life) verify(img *crashfs.FS, seed uint64) error {
	at := 1 + v.rng.IntN(8)
	var inner *crashfs.FS
	img.SetHook(func(op crashfs.Op) error {
		if op.N == at {
			inner = img.Crash(crashfs.Mode(seed%uint64(crashfs.Modes)), seed)
		}
		return nil
	})
	l, found, err := v.recovered(img)
	if err != nil {
		return err
	}
	img.SetHook(nil)
	again, err := Open(dir, small(img.Crash(crashfs.None, seed)))
	if err != nil {
		return fmt.Errorf("after recovery and a crash: %w", err)
	}
	if d := v.states[found].diff(again); d != "" {
		return fmt.Errorf("after recovery and a crash: %s", d)
	}
	if inner != nil {
		if _, _, err := v.recovered(inner); err != nil {
			return fmt.Errorf("crash in recovery: %w", err)
		}
	}
	return l.Close()
}

// crashes lives, and holds what each operation could leave against the model.
// It goes on from one of the images, now and then: a generation is a boot.
type crashes struct{ images int }

func (c *crashes) live(v *life) (next life, err error) {
	v.fs.SetHook(func(op crashfs.Op) error {
		s := v.rng.Uint64()
		for _, img := range v.fs.Images(s, 4) {
			c.images++
			if err := v.verify(img.FS, s); err != nil {
				return fmt.Errorf("before %s: image %s: %w", op, img.Name, err)
			}
		}
		mode := crashfs.Mode(v.rng.IntN(crashfs.Modes))
		next = life{rng: v.rng, fs: v.fs.Crash(mode, s), states: slices.Clone(v.states), durable: v.durable, cache: v.cache}
		return nil
	})
	if err := v.open(); err != nil {
		return next, fmt.Errorf("open: %w", err)
	}
	for range 12 {
		if err := v.step(); err != nil {
			return next, err
		}
	}
	l, found, err := next.recovered(next.fs.Kill())
	if err != nil {
		return next, err
	}
	next.states, next.durable = []model{next.states[found]}, 0
	return next, l.Close()
}

// TestCrashImages cuts the power, and kills the process, before each operation
// of random lives.
func TestCrashImages(t *testing.T) {
	var c crashes
	for seed := range uint64(race.Share(24)) {
		v := life{rng: rand.New(rand.NewPCG(seed, 2)), fs: crashfs.New(), states: []model{{}}, cache: []int64{1, 1000, 1 << 20}[seed%3]}
		for range 4 { // boots
			var err error
			if v, err = c.live(&v); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
	}
	crashfs.Report(t, c.images, "images", 14_000)
}
