package snapshot

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Store is the images of one member. Its methods may be called from any
// goroutine, and those that write to disk may take long.
type Store struct {
	disk      disk
	dir       string
	markBytes int64 // a receipt notes durably how far it is each time that many bytes came in

	publishing sync.Mutex // held while one image is made visible, over the rename

	mu        sync.Mutex
	images    []*Image // by index, oldest first
	held      map[*Image]int
	drafts    int  // made so far
	receiving bool // a Receive is under way; it alone touches the receipt

	receipt *receipt // how far the receipt directory is, as far as this process knows; owned by the Receive under way
}

// Names of the store's directories.
const (
	imagePrefix = "image-"
	draftPrefix = "draft-"
	trashPrefix = "trash-"
	receiptName = "receipt"
)

// Open reads the images in dir, which is created if it is not there, and
// removes what an earlier process left unfinished, except for a receipt that
// can be resumed. It is for one process at a time. An image whose manifest
// can't be read, or with a file missing or of another size, is [ErrDamaged].
func Open(dir string, fs vfs.FS) (*Store, error) {
	s := &Store{disk: disk{fs}, dir: dir, held: map[*Image]int{}, markBytes: 16 << 20}
	if err := s.load(); err != nil {
		return nil, fmt.Errorf("open snapshots in %s: %w", dir, err)
	}
	return s, nil
}

func (s *Store) load() error {
	if err := s.disk.mkdir(s.dir); err != nil {
		return err
	}
	if err := s.disk.syncDir(s.disk.fs.PathDir(s.dir)); err != nil {
		return err
	}
	// A process that died may have renamed something and not synced that. An
	// image is believed only when no crash can take it away any more, and one
	// in the trash is deleted only when none can bring a half of it back.
	if err := s.disk.syncDir(s.dir); err != nil {
		return err
	}
	names, err := s.disk.list(s.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		dir := s.disk.join(s.dir, name)
		switch {
		case strings.HasPrefix(name, imagePrefix):
			i, err := openImage(s.disk.fs, dir)
			if err != nil {
				return fmt.Errorf("image %s: %w; the disk is failing, or somebody changed the files: "+
					"put that directory back from a copy, or give this member a new data directory and let it join again", name, err)
			}
			s.images = append(s.images, i)
		case strings.HasPrefix(name, draftPrefix), strings.HasPrefix(name, trashPrefix):
			if err := s.disk.remove(dir); err != nil {
				return err
			}
		case name == receiptName && !s.resumable():
			if err := s.disk.remove(dir); err != nil {
				return err
			}
		}
	}
	slices.SortFunc(s.images, func(a, b *Image) int { return cmp.Compare(a.Index, b.Index) })
	return s.dropOvertaken()
}

// Newest is the image with the highest index, nil if there is none. It may be
// pruned as soon as a newer one is there: see [Store.AcquireNewest].
func (s *Store) Newest() *Image {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newestLocked()
}

func (s *Store) newestLocked() *Image {
	if len(s.images) == 0 {
		return nil
	}
	return s.images[len(s.images)-1]
}

// Acquire holds an image: Prune leaves it alone until release, which may be
// called more than once. i must not have been pruned before.
func (s *Store) Acquire(i *Image) (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acquireLocked(i)
}

// AcquireNewest is Newest and Acquire in one; with nil there is nothing to
// release, but release may be called.
func (s *Store) AcquireNewest() (*Image, func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.newestLocked()
	if i == nil {
		return nil, func() {}
	}
	return i, s.acquireLocked(i)
}

func (s *Store) acquireLocked(i *Image) func() {
	s.held[i]++
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.held[i]--; s.held[i] == 0 {
			delete(s.held, i)
		}
	})
}

// Prune deletes all images that are neither held nor among the newest keep;
// the newest one of all stays in any case. After a crash each image is there
// as a whole or not at all. A receipt goes too, when the newest image is as new.
func (s *Store) Prune(keep int) error {
	keep = max(keep, 1)
	var old []*Image
	s.mu.Lock()
	last := len(s.images) - keep
	at := 0
	s.images = slices.DeleteFunc(s.images, func(i *Image) bool {
		drop := at < last && s.held[i] == 0
		if drop {
			old = append(old, i)
		}
		at++
		return drop
	})
	s.mu.Unlock()
	errs := []error{s.dropOvertaken()}
	for _, i := range old {
		errs = append(errs, s.discard(i.dir))
	}
	return errors.Join(errs...)
}

// discard deletes a directory of the store, first by name: half of an image
// must not be found after a crash.
func (s *Store) discard(dir string) error {
	trash := s.disk.join(s.dir, trashPrefix+s.disk.fs.PathBase(dir))
	if err := s.disk.remove(trash); err != nil {
		return err
	}
	if err := s.disk.rename(dir, trash); err != nil {
		return err
	}
	if err := s.disk.syncDir(s.dir); err != nil {
		return err
	}
	return s.disk.remove(trash)
}

// publish makes a complete and durable directory visible as an image. When the
// same image is there already, that one is returned and the directory stays.
func (s *Store) publish(from string, m manifest) (*Image, error) {
	s.publishing.Lock()
	defer s.publishing.Unlock()
	if i, err := s.beside(m.Meta); i != nil || err != nil {
		return i, err
	}
	i := &Image{Meta: m.Meta, Files: m.Files, disk: s.disk, dir: s.disk.join(s.dir, imageName(m.Meta.Index, m.Meta.Term))}
	if err := s.disk.rename(from, i.dir); err != nil {
		return nil, err
	}
	if err := s.disk.syncDir(s.dir); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.images = append(s.images, i)
	return i, nil
}

// beside returns the image that is at m's index already, nil if the store is
// behind that, ErrStale if it is ahead.
func (s *Store) beside(m Meta) (*Image, error) {
	newest := s.Newest()
	switch {
	case newest == nil || newest.Index < m.Index:
		return nil, nil
	case newest.Index == m.Index && newest.Term == m.Term:
		return newest, nil
	}
	return nil, fmt.Errorf("%w: at index %d", ErrStale, newest.Index)
}
