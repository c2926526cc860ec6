package datadir

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options of [Open]; the zero value is fit for use.
type Options struct {
	FS   vfs.FS    // nil: vfs.Default
	Rand io.Reader // source of the incarnation and of each boot's word; nil: crypto/rand.Reader
	Name string    // the member's name; "" accepts any

	// Still opens a directory for surgery on a node that doesn't run: it must
	// be there, and this is no boot.
	Still bool
}

// Dir is an open data directory. Each of its documents is for one caller at a
// time; everything else may be called from anywhere.
type Dir struct {
	fs   vfs.FS
	path string
	id   Identity

	mu   sync.Mutex // never held over I/O
	lock io.Closer  // nil after Close
	err  error      // ErrFailed, after a document could not be stored
}

// Open opens the data directory, creating it if it is missing. On return its
// lock is held, its identity and the grown epoch survive power loss, and the
// places below it exist.
//
// Errors: [ErrInUse], [ErrForeign], [ErrOtherNode], [ErrDamaged]. With the
// last three, and where the directory exists with the first, nothing in it
// was changed.
func Open(path string, opt Options) (*Dir, error) {
	if path == "" {
		return nil, errors.New("open data directory: no path given")
	}
	if opt.Rand == nil {
		opt.Rand = rand.Reader
	}
	if opt.FS == nil {
		opt.FS = vfs.Default
	}
	fs := opt.FS
	if !opt.Still {
		if err := makeDir(fs, path); err != nil {
			return nil, err
		}
	} else if _, err := fs.Stat(path); err != nil {
		return nil, fmt.Errorf("open data directory: %w", err)
	}
	path, err := resolve(fs, path)
	if err != nil {
		return nil, err
	}
	if err := refuse(fs, path, opt.Name); err != nil {
		return nil, err
	}
	lock, err := acquire(fs, path)
	if err != nil {
		return nil, err
	}
	d := &Dir{fs: fs, path: path, lock: lock}
	if err := d.load(opt); err != nil {
		_ = lock.Close()
		return nil, err
	}
	return d, nil
}

// refuse looks before anything is touched. What it sees may change until the
// lock is held, so that load looks again.
func refuse(fs vfs.FS, path, name string) error {
	ours, err := survey(fs, path)
	if err == nil && ours {
		_, err = load(fs, path, name)
	}
	return err
}

// resolve gives a directory of the machine's own file system its one path: an
// fcntl lock never conflicts within a process, which is then told by its path.
func resolve(fs vfs.FS, path string) (string, error) {
	if vfs.Root(fs) != vfs.Default {
		return path, nil
	}
	abs, err := filepath.Abs(path)
	if err == nil {
		abs, err = filepath.EvalSymlinks(abs)
	}
	if err != nil {
		return "", fmt.Errorf("open data directory %s: %w", path, err)
	}
	return abs, nil
}

// acquire takes the lock.
func acquire(fs vfs.FS, path string) (io.Closer, error) {
	file := fs.PathJoin(path, lockFile)
	lock, err := fs.Lock(file)
	if err == nil {
		return lock, nil
	}
	if heldElsewhere(err) {
		return nil, fmt.Errorf("%s: %w by another node (%s is locked); stop that node, or choose another directory", path, ErrInUse, file)
	}
	return nil, fmt.Errorf("lock data directory: %w", err)
}

// heldElsewhere tells a held lock from a lock file that can't be opened.
// fcntl answers EAGAIN or EACCES bare; a file error has its path with it.
func heldElsewhere(err error) bool {
	var file *os.PathError
	if errors.As(err, &file) {
		return false
	}
	var no syscall.Errno
	return !errors.As(err, &no) || no == syscall.EAGAIN || no == syscall.EACCES
}

// load draws or reads the identity under the lock, and counts this Open.
func (d *Dir) load(opt Options) error {
	ours, err := survey(d.fs, d.path)
	if err != nil {
		return err
	}
	var r record
	if ours {
		r, err = load(d.fs, d.path, opt.Name)
	} else if opt.Still {
		return fmt.Errorf("%s is %w: it is empty", d.path, ErrForeign)
	} else if err = syncAncestors(d.fs, d.path); err == nil {
		r, err = draw(opt.Rand, opt.Name)
	}
	if err != nil {
		return err
	}
	if !opt.Still {
		if err := r.boot(opt.Rand); err != nil {
			return err
		}
		if err := r.store(d.fs, d.path); err != nil {
			return err
		}
	}
	d.id = Identity{Incarnation: r.Incarnation, Name: r.Name, Epoch: r.Epoch, Boots: r.Boots}
	return makePlaces(d.fs, d.path)
}

// Identity never changes while the Dir is open.
func (d *Dir) Identity() Identity { return d.id }

// FS is the file system that the directory is on.
func (d *Dir) FS() vfs.FS { return d.fs }

// Path is the directory itself: absolute and without links on the machine's
// own file system.
func (d *Dir) Path() string { return d.path }

// LogPath is the raft log's directory; it exists, as the other two do.
func (d *Dir) LogPath() string { return d.fs.PathJoin(d.path, logDir) }

// SnapshotPath is where package snapshot keeps its images.
func (d *Dir) SnapshotPath() string { return d.fs.PathJoin(d.path, snapshotDir) }

// MachinePath is the state machine's own.
func (d *Dir) MachinePath() string { return d.fs.PathJoin(d.path, machineDir) }

// LoadState reads what SaveState stored last into v, and says false when
// nothing ever was. Errors: [ErrDamaged], [ErrFailed], [ErrClosed].
func (d *Dir) LoadState(v any) (bool, error) { return d.loadDocument(stateFile, v) }

// SaveState replaces the state by v as JSON, all or nothing; on return it
// survives power loss. After a failure to write nobody knows which one the
// disk has: this and every later call fails with [ErrFailed], and the node
// must stop. A v that can't be encoded is just an error.
func (d *Dir) SaveState(v any) error { return d.saveDocument(stateFile, v) }

// LoadPeers is LoadState of what SavePeers stored.
func (d *Dir) LoadPeers(v any) (bool, error) { return d.loadDocument(peersFile, v) }

// SavePeers is SaveState of another document, and may overlap it.
func (d *Dir) SavePeers(v any) error { return d.saveDocument(peersFile, v) }

func (d *Dir) loadDocument(name string, v any) (bool, error) {
	if err := d.usable(); err != nil {
		return false, err
	}
	file := d.fs.PathJoin(d.path, name)
	b, err := readAll(d.fs, file)
	if oserror.IsNotExist(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read %s: %w", name, err)
	}
	if err := decode(file, b, v); err != nil {
		return false, err
	}
	return true, nil
}

func (d *Dir) saveDocument(name string, v any) error {
	if err := d.usable(); err != nil {
		return err
	}
	b, err := encode(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	if err := replace(d.fs, d.path, name, b); err != nil {
		err = fmt.Errorf("%w: store %s: %w", ErrFailed, name, err)
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.err == nil {
			d.err = err
		}
		return err
	}
	return nil
}

func (d *Dir) usable() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lock == nil && d.err == nil {
		return ErrClosed
	}
	return d.err
}

// Close releases the lock. It is idempotent.
func (d *Dir) Close() error {
	d.mu.Lock()
	lock := d.lock
	d.lock = nil
	d.mu.Unlock()
	if lock == nil {
		return nil
	}
	if err := lock.Close(); err != nil {
		return fmt.Errorf("release lock of data directory %s: %w", d.path, err)
	}
	return nil
}
