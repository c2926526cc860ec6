package mustertest

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/musterhq/muster/statemachine"
)

// half is an index in the middle of the log.
const half = firstIndex + commands/4

// fresh is a new machine in a new directory, having applied through an index.
func (w *bench) fresh(through uint64) (*subject, error) {
	s, err := w.start(w.tempDir())
	if err != nil {
		return nil, err
	}
	return s, s.apply(through, 4, true)
}

func (w *bench) emptyIsZero() error {
	s, err := w.start(w.tempDir())
	if err != nil {
		return err
	}
	if s.opened != 0 {
		return fmt.Errorf("Open of an empty directory returned index %d, want 0", s.opened)
	}
	if d, err := s.Durable(); d != 0 || err != nil {
		return fmt.Errorf("Durable of an empty machine: %d, %w", d, err)
	}
	return nil
}

func (w *bench) resultsPerEntry() error {
	s, err := w.fresh(half) // applyEntries counts the results
	if err != nil {
		return err
	}
	// Entries that are none of the machine's business still move its index.
	return s.applyEntries(lastIndex+5, nil)
}

func (w *bench) deterministic() error {
	a, err := w.fresh(0)
	if err != nil {
		return err
	}
	b, err := w.fresh(0)
	if err != nil {
		return err
	}
	if err := a.apply(half, 1, true); err != nil {
		return err
	}
	if err := b.apply(half, half, true); err != nil {
		return err
	}
	if !slices.Equal(a.results, b.results) {
		return fmt.Errorf("the same commands, one entry at a time and all at once, gave different results:\n%v\n%v", a.results, b.results)
	}
	if err := a.same(b, "the same commands, one entry at a time and all at once"); err != nil {
		return err
	}
	return a.sameFuture(b, "after the same commands")
}

func (w *bench) wantedChangesNothing() error {
	a, err := w.fresh(half)
	if err != nil {
		return err
	}
	b, err := w.fresh(0)
	if err != nil {
		return err
	}
	if err := b.apply(half, 4, false); err != nil {
		return err
	}
	return a.sameFuture(b, "with and without somebody who waits for the results")
}

func (w *bench) commandIsNotKept() error {
	a, err := w.fresh(half)
	if err != nil {
		return err
	}
	b, err := w.fresh(0)
	if err != nil {
		return err
	}
	for b.through < half {
		entries := w.entries(b.through, b.through+1, true)
		var before [][]byte
		for _, e := range entries {
			before = append(before, slices.Clone(e.Command))
		}
		if err := b.applyEntries(b.through+1, entries); err != nil {
			return err
		}
		for i, e := range entries {
			if !slices.Equal(e.Command, before[i]) {
				return fmt.Errorf("Apply changed command %q to %q", before[i], e.Command)
			}
			for k := range e.Command {
				e.Command[k] = 0xff // the memory is the caller's again
			}
		}
	}
	return a.sameFuture(b, "commands whose memory was used again after Apply")
}

// replayed opens a directory and applies again what the machine doesn't hold.
func (w *bench) replayed(dir string, through uint64) (*subject, error) {
	s, err := w.start(dir)
	if err != nil {
		return nil, err
	}
	if s.opened > through {
		return nil, fmt.Errorf("Open returned index %d, but only %d was applied", s.opened, through)
	}
	return s, s.apply(through, 4, true)
}

func (w *bench) reopen() error {
	a, err := w.fresh(half)
	if err != nil {
		return err
	}
	b, err := w.fresh(half)
	if err != nil {
		return err
	}
	for range 2 {
		if err := b.stop(); err != nil {
			return err
		}
		if b, err = w.replayed(b.dir, half); err != nil {
			return err
		}
	}
	return a.sameFuture(b, "after Close, Open, and what was lost applied again")
}

// crashAfterApply looks at what a killed process leaves: the files as they are.
func (w *bench) crashAfterApply() error {
	a, err := w.fresh(0)
	if err != nil {
		return err
	}
	for through := uint64(firstIndex); through < half; through += 3 {
		if err := a.apply(through, 2, true); err != nil {
			return err
		}
		durable, err := a.Durable()
		if err != nil {
			return fmt.Errorf("Durable: %w", err)
		}
		dir := w.tempDir()
		if err := copyStill(a.dir, dir); err != nil {
			return err
		}
		b, err := w.replayed(dir, through)
		if err != nil {
			return fmt.Errorf("the files as of index %d: %w", through, err)
		}
		if b.opened < durable {
			return fmt.Errorf("Durable said %d, but after a crash Open returned %d", durable, b.opened)
		}
		if err := a.same(b, fmt.Sprintf("a crash at index %d, and what was lost applied again", through)); err != nil {
			return err
		}
		if err := b.stop(); err != nil {
			return err
		}
	}
	return nil
}

// image is a checkpoint of a machine.
func (s *subject) image() (string, error) {
	if p, ok := s.Machine.(statemachine.Preparer); ok {
		if err := p.Prepare(); err != nil {
			return "", fmt.Errorf("Prepare: %w", err)
		}
	}
	dir := s.w.tempDir()
	if err := s.Checkpoint(dir); err != nil {
		return "", fmt.Errorf("Checkpoint: %w", err)
	}
	return dir, nil
}

func (w *bench) checkpointStaysAsItIs() error {
	a, err := w.fresh(half)
	if err != nil {
		return err
	}
	dir, err := a.image()
	if err != nil {
		return err
	}
	before, err := contents(dir)
	if err != nil {
		return err
	}
	if len(before) == 0 {
		return errors.New("Checkpoint wrote no file")
	}
	if err := a.apply(lastIndex, 1, true); err != nil {
		return err
	}
	if err := a.stop(); err != nil {
		return err
	}
	b, err := w.fresh(0)
	if err != nil {
		return err
	}
	if err := b.Restore(dir, half); err != nil {
		return fmt.Errorf("Restore: %w", err)
	}
	b.through = half
	if err := b.apply(lastIndex, 1, true); err != nil {
		return err
	}
	return unchanged(dir, before)
}

func (w *bench) restoreReplaces() error {
	a, err := w.fresh(half)
	if err != nil {
		return err
	}
	dir, err := a.image()
	if err != nil {
		return err
	}
	if err := a.apply(lastIndex-3, 5, true); err != nil { // the image must not follow
		return err
	}
	c, err := w.fresh(half)
	if err != nil {
		return err
	}
	for _, held := range []uint64{0, firstIndex + 2} {
		b, err := w.fresh(held)
		if err != nil {
			return err
		}
		if err := b.Restore(dir, half); err != nil {
			return fmt.Errorf("Restore over a state through %d: %w", held, err)
		}
		b.through = half
		what := fmt.Sprintf("Restore over a state through %d", held)
		if err := b.same(c, what); err != nil {
			return err
		}
		fresh, err := w.fresh(half)
		if err != nil {
			return err
		}
		if err := b.sameFuture(fresh, what); err != nil {
			return err
		}
	}
	return nil
}

func (w *bench) reopenAfterRestore() error {
	a, err := w.fresh(half)
	if err != nil {
		return err
	}
	dir, err := a.image()
	if err != nil {
		return err
	}
	b, err := w.fresh(firstIndex + 2)
	if err != nil {
		return err
	}
	if err := b.Restore(dir, half); err != nil {
		return fmt.Errorf("Restore: %w", err)
	}
	if err := b.stop(); err != nil {
		return err
	}
	b, err = w.start(b.dir)
	if err != nil {
		return err
	}
	switch {
	case b.opened > half:
		return fmt.Errorf("Open returned index %d after an image through %d was restored", b.opened, half)
	case b.opened < half: // as after a crash, and as machines in memory do: it is restored again
		if err := b.Restore(dir, half); err != nil {
			return fmt.Errorf("Restore again: %w", err)
		}
		b.through = half
	}
	return a.sameFuture(b, "after Restore, Close and Open")
}

// durableBesideApply finds races where the test runs under the race detector.
func (w *bench) durableBesideApply() error {
	s, err := w.fresh(half)
	if err != nil {
		return err
	}
	last, err := s.Durable()
	if err != nil {
		return fmt.Errorf("Durable: %w", err)
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	var beside error
	wg.Go(func() {
		for ended := false; !ended; {
			select {
			case <-done:
				ended = true // and a last look
			default:
			}
			d, err := s.Durable()
			if err == nil && d < last {
				err = fmt.Errorf("it went back from %d to %d", last, d)
			}
			if p, ok := s.Machine.(statemachine.Preparer); ok && err == nil {
				err = p.Prepare()
			}
			if err != nil {
				beside = fmt.Errorf("Durable or Prepare beside Apply: %w", err)
				return
			}
			last = d
		}
	})
	err = s.apply(lastIndex, 1, true)
	close(done)
	wg.Wait()
	if err = errors.Join(err, beside); err != nil {
		return err
	}
	if d, err := s.Durable(); err != nil || d > lastIndex {
		return fmt.Errorf("Durable is %d, %w; applied is %d", d, err, lastIndex)
	}
	return nil
}
