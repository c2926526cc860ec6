package kv

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The store's directory holds one live database in a subdirectory, and the
// file CURRENT that names it. Another database, left by a Restore that was cut
// short before or after the switch, is deleted by Open.
//
//	CURRENT        "db-000002\n"
//	db-000002/     Pebble's
//
// CURRENT is durable before the first database is made, and every later
// database before CURRENT names it.
const (
	currentFile = "CURRENT"
	firstDB     = "db-000001"
)

func (s *Store) path(elem ...string) string {
	return s.opt.FS.PathJoin(append([]string{s.dir}, elem...)...)
}

// recoverDir finds the live database's name and cleans up around it.
func (s *Store) recoverDir() (name string, err error) {
	disk := s.opt.FS
	list, err := disk.List(s.dir)
	if err != nil {
		return "", err
	}
	name, err = s.readCurrent()
	if errors.Is(err, errNoCurrent) {
		for _, f := range list {
			if isDBName(f) {
				return "", fmt.Errorf("there is a database %s but no file %s: the directory is damaged; "+
					"remove it whole to have the member fetch the state again", f, currentFile)
			}
		}
		name, err = firstDB, s.writeCurrent(firstDB)
	}
	if err != nil {
		return "", err
	}
	if _, err := disk.Stat(s.path(name)); err != nil && name != firstDB {
		return "", fmt.Errorf("%s names the database %s, which is not there: %w; "+
			"remove the directory whole to have the member fetch the state again", currentFile, name, err)
	}
	for _, f := range list {
		if f == name || !isDBName(f) && !isBackupName(f) && f != currentFile+".tmp" {
			continue
		}
		if err := disk.RemoveAll(s.path(f)); err != nil {
			return "", fmt.Errorf("remove leftover %s: %w", f, err)
		}
	}
	return name, nil
}

var errNoCurrent = errors.New("no " + currentFile)

func (s *Store) readCurrent() (string, error) {
	f, err := s.opt.FS.Open(s.path(currentFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", errNoCurrent
	}
	if err != nil {
		return "", err
	}
	defer closeQuietly(f)
	b, err := io.ReadAll(io.LimitReader(f, 64))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", s.path(currentFile), err)
	}
	name, whole := strings.CutSuffix(string(b), "\n")
	if !whole || !isDBName(name) {
		return "", fmt.Errorf("%s is damaged: it holds %q; remove the directory whole to have the member fetch the state again",
			s.path(currentFile), b)
	}
	return name, nil
}

// writeCurrent switches to the database name; durable on return.
func (s *Store) writeCurrent(name string) error {
	disk, tmp := s.opt.FS, s.path(currentFile+".tmp")
	f, err := disk.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, name+"\n")
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", tmp, err)
	}
	if err := disk.Rename(tmp, s.path(currentFile)); err != nil {
		return err
	}
	return syncDir(disk, s.dir)
}

func syncDir(disk vfs.FS, dir string) error {
	d, err := disk.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func isDBName(s string) bool {
	digits, ok := strings.CutPrefix(s, "db-")
	return ok && len(digits) >= 6 && strings.Trim(digits, "0123456789") == ""
}

// nameAfter is the name of the database that replaces the one named.
func nameAfter(name string) (string, error) {
	var n uint64
	if _, err := fmt.Sscanf(name, "db-%d", &n); err != nil {
		return "", fmt.Errorf("database name %q: %w", name, err)
	}
	return fmt.Sprintf("db-%06d", n+1), nil
}
