package crashfs

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// file is an open file or directory. Its position is the caller's to guard, as
// vfs.File says.
type file struct {
	fs       *FS
	name     string
	node     *node
	writable bool
	pos      int64
	closed   bool // guarded by fs.mu
}

var _ vfs.File = (*file)(nil)

func (f *file) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return pathError("close", f.name, fs.ErrClosed)
	}
	f.closed = true
	return nil
}

// Read implements io.Reader.
func (f *file) Read(p []byte) (int, error) {
	n, err := f.ReadAt(p, f.pos)
	f.pos += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

// ReadAt implements io.ReaderAt.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	switch {
	case f.closed:
		return 0, pathError("read", f.name, fs.ErrClosed)
	case f.node.dir:
		return 0, pathError("read", f.name, syscall.EISDIR)
	case off < 0:
		return 0, pathError("read", f.name, fs.ErrInvalid)
	case off >= int64(len(f.node.data)):
		return 0, io.EOF
	}
	n := copy(p, f.node.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Write implements io.Writer.
func (f *file) Write(p []byte) (int, error) {
	n, err := f.WriteAt(p, f.pos)
	f.pos += int64(n)
	return n, err
}

// WriteAt implements io.WriterAt. A hook's [ShortWrite] lets a part through.
func (f *file) WriteAt(p []byte, off int64) (int, error) {
	fault := f.fs.before(Op{Kind: Write, Name: f.name, Offset: off, Len: len(p)})
	n := len(p)
	if fault != nil {
		n = 0
		var short *ShortWrite
		if errors.As(fault, &short) {
			n = min(max(short.N, 0), len(p))
		}
		fault = pathError("write", f.name, fault)
	}
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	switch {
	case f.closed:
		return 0, pathError("write", f.name, fs.ErrClosed)
	case !f.writable:
		return 0, pathError("write", f.name, syscall.EBADF)
	case off < 0:
		return 0, pathError("write", f.name, fs.ErrInvalid)
	}
	f.fs.clock++
	f.node.mod = f.fs.clock
	if n > 0 {
		f.node.writeAt(p[:n], off)
	}
	return n, fault
}

func (f *file) Sync() error     { return f.sync(Sync) }
func (f *file) SyncData() error { return f.sync(SyncData) }

func (f *file) sync(kind Kind) error {
	fault := f.fs.before(Op{Kind: kind, Name: f.name})
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return pathError("sync", f.name, fs.ErrClosed)
	}
	if fault != nil {
		f.node.lose()
		return pathError("sync", f.name, fault)
	}
	f.node.sync()
	return nil
}

// SyncTo implements vfs.File; it makes nothing durable.
func (f *file) SyncTo(int64) (bool, error) { return false, nil }

// Preallocate implements vfs.File; it does nothing.
func (f *file) Preallocate(int64, int64) error { return nil }

// Prefetch implements vfs.File; it does nothing.
func (f *file) Prefetch(int64, int64) error { return nil }

// Fd implements vfs.File.
func (f *file) Fd() uintptr { return vfs.InvalidFd }

func (f *file) Stat() (vfs.FileInfo, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return nil, pathError("stat", f.name, fs.ErrClosed)
	}
	return newInfo(path.Base(f.name), f.node), nil
}

// info is a snapshot of a node's attributes.
type info struct {
	name string
	size int64
	mode fs.FileMode
	mod  int64
}

func newInfo(name string, n *node) info {
	i := info{name: name, size: int64(len(n.data)), mode: n.mode, mod: n.mod}
	if n.dir {
		i.mode |= fs.ModeDir
	}
	return i
}

func (i info) Name() string           { return i.name }
func (i info) Size() int64            { return i.size }
func (i info) Mode() fs.FileMode      { return i.mode }
func (i info) ModTime() time.Time     { return time.Unix(0, i.mod).UTC() }
func (i info) IsDir() bool            { return i.mode.IsDir() }
func (i info) Sys() any               { return nil }
func (i info) DeviceID() vfs.DeviceID { return vfs.DeviceID{} }
