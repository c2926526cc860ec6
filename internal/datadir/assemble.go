package datadir

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// assemblyDir is where a directory is made before it takes its place.
const assemblyDir = "assembling"

// ErrAssembling says that a directory was being made in place by [Assemble],
// which did not get to its end. No node starts on it.
var ErrAssembling = errors.New("half made")

// ErrOccupied says that a directory which is to be made holds something.
var ErrOccupied = errors.New("directory not empty")

// Assemble makes the data directory of a node that has never run, with contents
// that fill puts into it, all or nothing: until Assemble returns no node starts
// on it, and afterwards it survives power loss. path is missing, empty, or what an
// Assemble that was cut short has left there. Dir is valid during fill only.
//
// Errors: [ErrInUse], [ErrOccupied], and those of fill.
func Assemble(path string, opt Options, fill func(*Dir) error) (Identity, error) {
	if opt.FS == nil {
		opt.FS = vfs.Default
	}
	opt.Still = false
	fs := opt.FS
	if err := makeDir(fs, path); err != nil {
		return Identity{}, err
	}
	path, err := resolve(fs, path)
	if err != nil {
		return Identity{}, err
	}
	if err := vacant(fs, path); err != nil {
		return Identity{}, err
	}
	lock, err := acquire(fs, path)
	if err != nil {
		return Identity{}, err
	}
	id, err := assemble(fs, path, opt, fill)
	return id, errors.Join(err, lock.Close())
}

func assemble(fs vfs.FS, path string, opt Options, fill func(*Dir) error) (id Identity, err error) {
	if err := vacant(fs, path); err != nil { // again, now that nobody else changes it
		return id, err
	}
	if err := clearAway(fs, path); err != nil {
		return id, err
	}
	if err := syncAncestors(fs, path); err != nil {
		return id, err
	}
	within := fs.PathJoin(path, assemblyDir)
	if err := fs.MkdirAll(within, 0o700); err != nil {
		return id, fmt.Errorf("create in data directory: %w", err)
	}
	if err := syncDir(fs, path); err != nil {
		return id, err
	}
	d, err := Open(within, opt)
	if err != nil {
		return id, err
	}
	id = d.Identity()
	err = fill(d)
	if err = errors.Join(err, d.Close()); err != nil {
		return id, errors.Join(err, clearAway(fs, path))
	}
	return id, moveUp(fs, path)
}

// moveUp gives everything its place, the identity last: without it, no node
// starts.
func moveUp(fs vfs.FS, path string) error {
	within := fs.PathJoin(path, assemblyDir)
	names, err := fs.List(within)
	if err != nil {
		return fmt.Errorf("list data directory: %w", err)
	}
	for _, name := range names {
		if name == identityFile || name == lockFile {
			continue
		}
		if err := fs.Rename(fs.PathJoin(within, name), fs.PathJoin(path, name)); err != nil {
			return fmt.Errorf("assemble data directory: %w", err)
		}
	}
	if err := syncDir(fs, path); err != nil {
		return err
	}
	if err := fs.Rename(fs.PathJoin(within, identityFile), fs.PathJoin(path, identityFile)); err != nil {
		return fmt.Errorf("assemble data directory: %w", err)
	}
	if err := syncDir(fs, path); err != nil {
		return err
	}
	return fs.RemoveAll(within) // what is left of it after a crash does no harm
}

// vacant says that a directory is as good as empty, or of an Assemble that was
// cut short: the error is ErrOccupied where it is neither.
func vacant(fs vfs.FS, path string) error {
	names, err := fs.List(path)
	if err != nil {
		return fmt.Errorf("list data directory: %w", err)
	}
	slices.Sort(names)
	ours := slices.Contains(names, assemblyDir)
	for _, name := range names {
		switch name {
		case lockFile, "lost+found":
			continue
		case stateFile, peersFile, logDir, snapshotDir, machineDir, assemblyDir:
			if ours {
				continue
			}
		}
		return fmt.Errorf("%w: %s holds %q; choose one that is empty or missing", ErrOccupied, path, name)
	}
	return nil
}

// clearAway deletes what an Assemble has left, the mark of it last.
func clearAway(fs vfs.FS, path string) error {
	for _, name := range []string{stateFile, peersFile, logDir, snapshotDir, machineDir} {
		if err := fs.RemoveAll(fs.PathJoin(path, name)); err != nil {
			return fmt.Errorf("clear data directory: %w", err)
		}
	}
	if err := syncDir(fs, path); err != nil {
		return err
	}
	if err := fs.RemoveAll(fs.PathJoin(path, assemblyDir)); err != nil {
		return fmt.Errorf("clear data directory: %w", err)
	}
	return syncDir(fs, path)
}
