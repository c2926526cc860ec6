package datadir

import (
	"errors"
	"fmt"
	"slices"
	"syscall"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	lockFile     = "LOCK"
	identityFile = "identity"
	stateFile    = "state"
	peersFile    = "peers"
	logDir       = "log"
	snapshotDir  = "snapshot"
	machineDir   = "machine"
	tmpSuffix    = ".tmp"
)

// survey says what a directory is: ours (it has an identity) or as good as
// empty. Anything else is refused. Files that a crash during the first Open
// may leave, and what a fresh file system has, count as nothing.
func survey(fs vfs.FS, path string) (ours bool, err error) {
	names, err := fs.List(path)
	if err != nil {
		return false, fmt.Errorf("list data directory: %w", err)
	}
	if slices.Contains(names, identityFile) {
		return true, nil
	}
	if slices.Contains(names, assemblyDir) {
		return false, fmt.Errorf("%s is %w: what made it was cut short; do it again, or empty the directory", path, ErrAssembling)
	}
	slices.Sort(names)
	for _, name := range names {
		switch name {
		case lockFile, identityFile + tmpSuffix, "lost+found":
		case stateFile, peersFile, logDir, snapshotDir, machineDir:
			return false, damaged(fs.PathJoin(path, identityFile), fmt.Sprintf("it is missing, though %q is there", name))
		default:
			return false, fmt.Errorf("%s is %w: it holds %q and no identity; choose another directory, which may be empty or missing",
				path, ErrForeign, name)
		}
	}
	return false, nil
}

// makeDir creates the directory and its missing parents; see syncAncestors.
func makeDir(fs vfs.FS, path string) error {
	existing := path
	for {
		info, err := fs.Stat(existing)
		if err == nil && !info.IsDir() {
			return fmt.Errorf("create data directory %s: %s is a file; choose another directory", path, existing)
		}
		if err == nil {
			break
		}
		up := fs.PathDir(existing)
		if !oserror.IsNotExist(err) && !errors.Is(err, syscall.ENOTDIR) || up == existing {
			return fmt.Errorf("create data directory: %w", err)
		}
		existing = up
	}
	if existing == path {
		return nil
	}
	if err := fs.MkdirAll(path, 0o700); err != nil {
		return fmt.Errorf("create data directory: %w", err)
	}
	return nil
}

// syncAncestors makes the path to a fresh directory durable, also what an Open
// that died had made of it. What this process may not read it did not make;
// some file systems sync no directories at all.
func syncAncestors(fs vfs.FS, path string) error {
	for up := fs.PathDir(path); up != path; path, up = up, fs.PathDir(up) {
		err := syncDir(fs, up)
		if err != nil && !oserror.IsPermission(err) && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTSUP) {
			return fmt.Errorf("create data directory: %w", err)
		}
	}
	return nil
}

// makePlaces creates the subdirectories, durably.
func makePlaces(fs vfs.FS, path string) error {
	for _, name := range []string{logDir, snapshotDir, machineDir} {
		if err := fs.MkdirAll(fs.PathJoin(path, name), 0o700); err != nil {
			return fmt.Errorf("create in data directory: %w", err)
		}
	}
	return syncDir(fs, path)
}
