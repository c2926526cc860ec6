package kv

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"github.com/musterhq/muster/internal/backup"
	"github.com/musterhq/muster/kv/internal/mvcc"
)

// Backup is one consistent image of a store, that is to be written somewhere
// else. It takes disk space beside the store as long as it is not closed: the
// tables that the store has replaced since.
type Backup struct {
	*backup.Image
	s   *Store
	dir string
}

// Backup makes an image of what was applied before the call, or a little more.
// Other than Checkpoint it may be called by anybody at any time, also beside
// Apply: which index and revision it holds is read from the image itself, whose
// every moment is one between two calls of Apply, perhaps with pieces of one
// beside it, which whoever opens it takes back. It must be closed.
func (s *Store) Backup() (*Backup, error) {
	g, err := s.acquire()
	if err != nil {
		return nil, err
	}
	defer g.release()
	g.settle() // an image is of one moment, whatever was purged
	if err := s.flush(g.generation); err != nil {
		return nil, err
	}
	b := &Backup{s: s, dir: s.path(fmt.Sprintf("%s%d", backupPrefix, s.backups.Add(1)))}
	if err := b.take(g.generation); err != nil {
		return nil, errors.Join(fmt.Errorf("kv: take a backup: %w", err), b.Close())
	}
	return b, nil
}

// backupPrefix begins the names of directories that hold backups. Open deletes
// those that a crash has left.
const backupPrefix = "backup-"

func isBackupName(s string) bool { return strings.HasPrefix(s, backupPrefix) }

func (b *Backup) take(g *generation) error {
	disk := b.s.opt.FS
	db := disk.PathJoin(b.dir, imageDir)
	if err := disk.MkdirAll(b.dir, 0o700); err != nil {
		return err
	}
	if err := g.db.Checkpoint(db); err != nil {
		return err
	}
	st, err := imageState(b.s, db)
	if err != nil {
		return err
	}
	b.Image, err = backup.Open(disk, b.dir, backup.Header{Applied: st.applied, Revision: st.current, Compacted: st.compacted})
	return err
}

// imageState reads the state in a checkpoint and leaves that as it was.
func imageState(s *Store, db string) (*state, error) {
	o := &pebble.Options{FS: s.opt.FS, Comparer: mvcc.NewComparer(), ReadOnly: true, DisableWAL: true, Logger: engineLog{s}}
	image, err := pebble.Open(db, o)
	if err != nil {
		return nil, err
	}
	st, err := readState(image, nil)
	if err = errors.Join(err, image.Close()); err != nil {
		return nil, err
	}
	return st, s.opt.FS.RemoveAll(s.opt.FS.PathJoin(db, "LOCK"))
}

// Close deletes the image. What is not deleted is by the next Open.
func (b *Backup) Close() error {
	if err := b.s.opt.FS.RemoveAll(b.dir); err != nil {
		return fmt.Errorf("kv: delete a backup: %w", err)
	}
	return nil
}
