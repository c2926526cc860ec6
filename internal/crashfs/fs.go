package crashfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// FS is the file system; make one with [New]. Paths are separated by "/"; the
// working directory is the root.
type FS struct {
	hookMu sync.Mutex
	hook   func(Op) error
	ops    int

	mu    sync.Mutex
	root  *node
	clock int64 // logical time, one tick per change
	next  int64 // of change.id
	locks map[*node]bool
}

var _ vfs.FS = (*FS)(nil)

// New returns an empty file system.
func New() *FS {
	return &FS{root: &node{dir: true, mode: 0o755}, locks: map[*node]bool{}}
}

func pathError(op, name string, err error) error { return &os.PathError{Op: op, Path: name, Err: err} }

func split(name string) []string {
	name = path.Clean("/" + name)
	if name == "/" {
		return nil
	}
	return strings.Split(name[1:], "/")
}

// walk finds the node of a path.
func (f *FS) walk(op, name string) (*node, error) {
	n := f.root
	for _, part := range split(name) {
		if !n.dir {
			return nil, pathError(op, name, syscall.ENOTDIR)
		}
		if n = lookup(n.names, part); n == nil {
			return nil, pathError(op, name, fs.ErrNotExist)
		}
	}
	return n, nil
}

// parent finds the directory of a path, and the path's last part.
func (f *FS) parent(op, name string) (*node, string, error) {
	parts := split(name)
	if len(parts) == 0 {
		return nil, "", pathError(op, name, fs.ErrInvalid)
	}
	dir, err := f.walk(op, path.Dir(path.Clean("/"+name)))
	if err != nil {
		return nil, "", pathError(op, name, errors.Unwrap(err))
	}
	if !dir.dir {
		return nil, "", pathError(op, name, syscall.ENOTDIR)
	}
	return dir, parts[len(parts)-1], nil
}

// change runs the hook, then f under the lock.
func (f *FS) change(op Op, do func() error) error {
	if err := f.before(op); err != nil {
		return pathError(op.Kind.String(), op.Name, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clock++
	return do()
}

func (f *FS) id() int64 { f.next++; return f.next }

// rebind is the change of one name.
func (f *FS) rebind(name string, n *node) change {
	return change{id: f.id(), set: []dirent{{name, n}}}
}

// create makes an empty file; what had the name before loses it.
func (f *FS) create(op, name string) (*node, error) {
	dir, base, err := f.parent(op, name)
	if err != nil {
		return nil, err
	}
	if old := lookup(dir.names, base); old != nil && old.dir {
		return nil, pathError(op, name, syscall.EISDIR)
	}
	n := &node{mode: 0o644, mod: f.clock}
	dir.apply(f.rebind(base, n))
	return n, nil
}

// Create implements vfs.FS.
func (f *FS) Create(name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	var file *file
	err := f.change(Op{Kind: Create, Name: name}, func() error {
		n, err := f.create("create", name)
		file = f.open(name, n, true)
		return err
	})
	return result(file, err)
}

// OpenReadWrite implements vfs.FS.
func (f *FS) OpenReadWrite(name string, _ vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	f.mu.Lock()
	n, err := f.walk("open", name)
	f.mu.Unlock()
	var file *file
	switch {
	case err == nil && n.dir:
		err = pathError("open", name, syscall.EISDIR)
	case err == nil:
		file = f.open(name, n, true)
	case errors.Is(err, fs.ErrNotExist):
		return f.Create(name, vfs.WriteCategoryUnspecified)
	}
	return result(file, err, opts...)
}

// Open implements vfs.FS.
func (f *FS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f.mu.Lock()
	n, err := f.walk("open", name)
	f.mu.Unlock()
	return result(f.open(name, n, false), err, opts...)
}

// OpenDir implements vfs.FS.
func (f *FS) OpenDir(name string) (vfs.File, error) { return f.Open(name) }

func (f *FS) open(name string, n *node, writable bool) *file {
	return &file{fs: f, name: name, node: n, writable: writable}
}

func result(file *file, err error, opts ...vfs.OpenOption) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	for _, o := range opts {
		o.Apply(file)
	}
	return file, nil
}

// Link implements vfs.FS.
func (f *FS) Link(oldname, newname string) error {
	return f.change(Op{Kind: Link, Name: newname}, func() error {
		n, err := f.walk("link", oldname)
		if err != nil {
			return err
		}
		dir, base, err := f.parent("link", newname)
		if err != nil {
			return err
		}
		if n.dir {
			return pathError("link", oldname, syscall.EPERM)
		}
		if lookup(dir.names, base) != nil {
			return pathError("link", newname, fs.ErrExist)
		}
		dir.apply(f.rebind(base, n))
		return nil
	})
}

// Remove implements vfs.FS.
func (f *FS) Remove(name string) error {
	return f.change(Op{Kind: Remove, Name: name}, func() error {
		dir, base, err := f.parent("remove", name)
		if err != nil {
			return err
		}
		n := lookup(dir.names, base)
		switch {
		case n == nil:
			return pathError("remove", name, fs.ErrNotExist)
		case len(n.names) > 0:
			return pathError("remove", name, syscall.ENOTEMPTY)
		}
		dir.apply(f.rebind(base, nil))
		return nil
	})
}

// RemoveAll implements vfs.FS. It goes name by name, what is below first, each
// an operation of its own: a crash may come between any two.
func (f *FS) RemoveAll(name string) error {
	children, err := f.List(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil && !errors.Is(err, syscall.ENOTDIR):
		return err
	}
	for _, child := range children {
		if err := f.RemoveAll(path.Join(name, child)); err != nil {
			return err
		}
	}
	return f.Remove(name)
}

// Rename implements vfs.FS.
func (f *FS) Rename(oldname, newname string) error {
	return f.change(Op{Kind: Rename, Name: newname, Old: oldname}, func() error { return f.rename(oldname, newname) })
}

func (f *FS) rename(oldname, newname string) error {
	from, oldbase, err := f.parent("rename", oldname)
	if err != nil {
		return err
	}
	to, newbase, err := f.parent("rename", newname)
	if err != nil {
		return err
	}
	n, there := lookup(from.names, oldbase), lookup(to.names, newbase)
	switch {
	case n == nil:
		return pathError("rename", oldname, fs.ErrNotExist)
	case n == there:
		return nil
	case there != nil && there.dir != n.dir:
		return pathError("rename", newname, fs.ErrExist)
	case there != nil && len(there.names) > 0:
		return pathError("rename", newname, syscall.ENOTEMPTY)
	}
	id := f.id()
	gone, come := dirent{oldbase, nil}, dirent{newbase, n}
	if from == to {
		from.apply(change{id: id, set: []dirent{gone, come}})
		return nil
	}
	from.apply(change{id: id, set: []dirent{gone}, other: to})
	to.apply(change{id: id, set: []dirent{come}, other: from})
	return nil
}

// ReuseForWrite implements vfs.FS.
func (f *FS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.Rename(oldname, newname); err != nil {
		return nil, err
	}
	return f.OpenReadWrite(newname, c)
}

// MkdirAll implements vfs.FS. Each directory that it makes is a change of its own.
func (f *FS) MkdirAll(name string, perm os.FileMode) error {
	at := "/"
	for _, part := range split(name) {
		at = path.Join(at, part)
		f.mu.Lock()
		n, err := f.walk("mkdir", at)
		f.mu.Unlock()
		if err == nil && n.dir {
			continue
		}
		if err == nil {
			return pathError("mkdir", at, syscall.ENOTDIR)
		}
		if err := f.change(Op{Kind: Mkdir, Name: at}, func() error { return f.mkdir(at, perm) }); err != nil {
			return err
		}
	}
	return nil
}

func (f *FS) mkdir(name string, perm os.FileMode) error {
	dir, base, err := f.parent("mkdir", name)
	if err != nil || lookup(dir.names, base) != nil {
		return err
	}
	dir.apply(f.rebind(base, &node{dir: true, mode: perm, mod: f.clock}))
	return nil
}

// ErrLocked says that a lock file is held.
var ErrLocked = errors.New("crashfs: lock is held")

// Lock implements vfs.FS.
func (f *FS) Lock(name string) (io.Closer, error) {
	l := &lock{fs: f}
	err := f.change(Op{Kind: Lock, Name: name}, func() error {
		n, err := f.walk("lock", name)
		if errors.Is(err, fs.ErrNotExist) {
			n, err = f.create("lock", name)
		}
		if err != nil {
			return err
		}
		if f.locks[n] {
			return ErrLocked
		}
		f.locks[n] = true
		l.node = n
		return nil
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

type lock struct {
	fs   *FS
	node *node
}

func (l *lock) Close() error {
	l.fs.mu.Lock()
	defer l.fs.mu.Unlock()
	delete(l.fs.locks, l.node)
	return nil
}

// List implements vfs.FS; the names are sorted.
func (f *FS) List(name string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.walk("list", name)
	if err != nil {
		return nil, err
	}
	if !n.dir {
		return nil, pathError("list", name, syscall.ENOTDIR)
	}
	names := make([]string, len(n.names))
	for i, d := range n.names {
		names[i] = d.name
	}
	return names, nil
}

// Stat implements vfs.FS.
func (f *FS) Stat(name string) (vfs.FileInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.walk("stat", name)
	if err != nil {
		return nil, err
	}
	return newInfo(path.Base(path.Clean("/"+name)), n), nil
}

// PathBase implements vfs.FS.
func (*FS) PathBase(p string) string { return path.Base(p) }

// PathJoin implements vfs.FS.
func (*FS) PathJoin(elem ...string) string { return path.Join(elem...) }

// PathDir implements vfs.FS.
func (*FS) PathDir(p string) string { return path.Dir(p) }

// GetDiskUsage implements vfs.FS: a disk of 1 TiB that is empty.
func (*FS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: 1 << 40, TotalBytes: 1 << 40}, nil
}

// Unwrap implements vfs.FS.
func (*FS) Unwrap() vfs.FS { return nil }
