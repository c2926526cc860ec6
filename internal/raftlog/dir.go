package raftlog

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// syncAncestors makes the path to a fresh log durable, whoever made it. What
// this process may not read it did not make; some file systems sync no
// directories at all.
func syncAncestors(fs vfs.FS, dir string) error {
	for up := fs.PathDir(dir); up != dir; dir, up = up, fs.PathDir(up) {
		err := syncDir(fs, up)
		if err != nil && !oserror.IsPermission(err) && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTSUP) {
			return err
		}
	}
	return nil
}

// syncDir makes the names in dir durable.
func syncDir(fs vfs.FS, dir string) error {
	f, err := fs.OpenDir(dir)
	if err != nil {
		return fmt.Errorf("fsync directory: %w", err)
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return onFile("fsync directory", dir, err)
	}
	return nil
}
