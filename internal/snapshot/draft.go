package snapshot

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
)

// Draft is an image in the making: the machine writes its checkpoint into Dir,
// then Commit makes it an image, or Abort removes it. One goroutine uses it.
type Draft struct {
	store *Store
	dir   string
	ended bool
}

// Draft makes an empty directory for a checkpoint.
func (s *Store) Draft() (*Draft, error) {
	s.mu.Lock()
	s.drafts++
	dir := s.disk.join(s.dir, fmt.Sprintf("%s%d", draftPrefix, s.drafts))
	s.mu.Unlock()
	d := &Draft{store: s, dir: dir}
	if err := s.disk.mkdir(d.Dir()); err != nil {
		d.Abort()
		return nil, fmt.Errorf("new snapshot: %w", err)
	}
	return d, nil
}

// Dir is an empty directory for Machine.Checkpoint.
func (d *Draft) Dir() string { return d.store.disk.join(d.dir, dataDir) }

// Abort removes the draft. It does nothing after Commit, and may be deferred.
func (d *Draft) Abort() {
	if !d.ended {
		d.ended = true
		_ = d.store.disk.remove(d.dir) // else the next Open does
	}
}

// Commit makes the draft the newest image, durable on return. It reads every
// file for its checksum, except those that are hard links to a file of the
// previous image and were not touched since. Empty directories are not part of
// an image. When an image at the same index is there already, that one is
// returned. The draft is gone after an error: [ErrStale], [ErrInvalid],
// [ErrNoSpace] or [ErrStorage].
func (d *Draft) Commit(m Meta) (*Image, error) {
	defer d.Abort()
	i, err := d.commit(m)
	if err != nil {
		return nil, fmt.Errorf("new snapshot at index %d: %w", m.Index, err)
	}
	return i, nil
}

func (d *Draft) commit(meta Meta) (*Image, error) {
	s := d.store
	previous, release := s.AcquireNewest()
	defer release()
	if i, err := s.beside(meta); i != nil || err != nil {
		return i, err
	}
	meta.Membership = meta.Membership.Clone()
	meta.ConfState = proto.CloneOf(meta.ConfState)
	m := manifest{Version: manifestVersion, Meta: meta}
	files, dirs, err := s.disk.tree(d.Dir())
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		f, err := d.file(name, previous)
		if err != nil {
			return nil, err
		}
		m.Files = append(m.Files, f)
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	if err := s.disk.syncTree(d.Dir(), dirs); err != nil {
		return nil, err
	}
	if err := s.seal(d.dir, m); err != nil {
		return nil, err
	}
	return s.publish(d.dir, m)
}

// seal writes the manifest into the directory that will be an image, and makes
// both durable.
func (s *Store) seal(dir string, m manifest) error {
	b, err := m.encode()
	if err != nil {
		return err
	}
	if err := s.disk.writeFile(s.disk.join(dir, manifestName), b); err != nil {
		return err
	}
	return s.disk.syncDir(dir)
}

// file describes one file of the draft and makes its bytes durable.
func (d *Draft) file(name string, previous *Image) (File, error) {
	dsk := d.store.disk
	full := dsk.join(d.Dir(), name)
	info, err := dsk.fs.Stat(full)
	if err != nil {
		return File{}, storageError("stat", full, err)
	}
	f := File{Path: name, Size: info.Size(), Modified: info.ModTime().UnixNano()}
	if old, ok := previous.file(name); ok && old.Size == f.Size && old.Modified == f.Modified {
		was, err := dsk.fs.Stat(dsk.join(previous.Dir(), name))
		if err == nil && sameFile(was, info) {
			f.CRC32C = old.CRC32C
			return f, nil
		}
	}
	f.Size, f.CRC32C, err = dsk.checksum(full, true)
	return f, err
}

func (i *Image) file(name string) (File, bool) {
	if i == nil {
		return File{}, false
	}
	at, ok := slices.BinarySearchFunc(i.Files, name, func(f File, name string) int { return strings.Compare(f.Path, name) })
	if !ok {
		return File{}, false
	}
	return i.Files[at], true
}
