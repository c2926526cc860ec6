package kv

import (
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// imageDir is the subdirectory of an image that holds the database: Pebble
// wants to make the directory of a checkpoint itself.
const imageDir = "db"

// Prepare implements [statemachine.Preparer]: it flushes, which a Checkpoint
// right after then finds done for all but the newest writes.
func (s *Store) Prepare() error {
	g, err := s.acquire()
	if err != nil {
		return err
	}
	defer g.release()
	return s.flush(g.generation)
}

// Checkpoint implements [statemachine.Machine]. The tables are hard links.
func (s *Store) Checkpoint(dir string) error {
	g, err := s.acquire()
	if err != nil {
		return err
	}
	defer g.release()
	if err := s.flush(g.generation); err != nil {
		return err
	}
	if err := g.db.Checkpoint(s.opt.FS.PathJoin(dir, imageDir)); err != nil {
		return fmt.Errorf("kv: write image %s: %w", dir, err)
	}
	return nil
}

// Durable implements [statemachine.Machine].
func (s *Store) Durable() (uint64, error) {
	if err := s.failure(); err != nil {
		return 0, err
	}
	g, err := s.acquire()
	if err != nil {
		return 0, err
	}
	defer g.release()
	st, err := g.durable()
	if err != nil {
		return 0, fmt.Errorf("kv: %w", err)
	}
	return st.applied, nil
}

// Restore implements [statemachine.Machine]. The image is linked into a new
// database beside the live one, made durable, opened, and only then switched
// to. Reads under way finish on the old one, which is deleted after the last.
// If Restore fails, the old state is still there and in use.
//
// An empty image directory is the empty state, which is what a cluster starts
// from; it is refused for a through above 1, where it can only be damage.
func (s *Store) Restore(dir string, through uint64) error {
	if err := s.failure(); err != nil {
		return err
	}
	if s.live == nil {
		return ErrClosed
	}
	name, err := nameAfter(s.live.name)
	if err != nil {
		return err
	}
	g, err := s.bringUp(name, dir, through)
	if err != nil {
		err = fmt.Errorf("kv: restore image %s: %w", dir, err)
		return errors.Join(err, s.opt.FS.RemoveAll(s.path(name)))
	}
	if err := s.writeCurrent(name); err != nil {
		// Which of the two CURRENT names is known to nobody: keep both, for
		// Open to look.
		s.fail(errors.Join(fmt.Errorf("switch to database %s: %w", name, err), g.db.Close()))
		return s.failure()
	}
	if err := s.applier.attach(g); err != nil {
		s.fail(errors.Join(fmt.Errorf("read database %s: %w", name, err), g.db.Close()))
		return s.failure()
	}
	s.startPurge(g)
	s.retire(s.swap(g))
	s.hub.reset(g.state.Load().current)
	return nil
}

// bringUp makes the image the database name, durable and open.
func (s *Store) bringUp(name, dir string, through uint64) (*generation, error) {
	if err := s.opt.FS.MkdirAll(s.path(name), 0o755); err != nil {
		return nil, err
	}
	empty, err := s.copyImage(dir, name)
	if err != nil {
		return nil, err
	}
	if empty && through > 1 {
		return nil, fmt.Errorf("it is empty, and can't be the state at index %d", through)
	}
	if err := syncDir(s.opt.FS, s.dir); err != nil {
		return nil, err
	}
	g, err := s.openGeneration(name)
	if err != nil {
		return nil, err
	}
	if err = s.takeBack(g); err == nil && empty {
		err = s.found(g, through)
	}
	if applied := g.state.Load().applied; err == nil && applied < through {
		err = fmt.Errorf("it holds the state at index %d, want %d: it is not the image that it is said to be", applied, through)
	}
	if err != nil {
		return nil, errors.Join(err, g.db.Close())
	}
	return g, nil
}

// found stores durably that the empty database is the state at index through.
func (s *Store) found(g *generation, through uint64) error {
	st := emptyState()
	st.applied = through
	a := applier{known: &known{}}
	if err := a.attach(g); err != nil {
		return err
	}
	if err := a.commit(g, st); err != nil {
		return err
	}
	return s.flush(g)
}

// copyImage links the immutable tables and copies the other files, which
// Pebble may write to. Everything is durable on return.
func (s *Store) copyImage(dir, name string) (empty bool, err error) {
	disk := s.opt.FS
	files, err := disk.List(dir)
	if err != nil {
		return false, err
	}
	if len(files) == 0 {
		return true, nil
	}
	from := disk.PathJoin(dir, imageDir)
	if files, err = disk.List(from); err != nil {
		return false, err
	}
	slices.Sort(files)
	for _, f := range files {
		src, dst := disk.PathJoin(from, f), s.path(name, f)
		if ext := path.Ext(f); ext == ".sst" || ext == ".blob" {
			err = vfs.LinkOrCopy(disk, src, dst)
		} else {
			err = vfs.Copy(disk, src, dst)
		}
		if err == nil {
			err = syncFile(disk, dst)
		}
		if err != nil {
			return false, err
		}
	}
	return false, syncDir(disk, s.path(name))
}

func syncFile(disk vfs.FS, name string) error {
	f, err := disk.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// retire closes and deletes a replaced database once its readers are done.
// A failure costs disk space until the next Open.
func (s *Store) retire(g *generation) {
	s.retired.Go(func() {
		err := g.closeWhenUnused()
		if err == nil {
			err = s.opt.FS.RemoveAll(s.path(g.name))
		}
		if err != nil {
			s.opt.Logger.Warn("kv: could not remove the replaced database", "dir", s.path(g.name), "err", err)
		}
	})
}
