package snapshot

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// blockSize is how much is read from disk, and sent, at a time. Bytes.
const blockSize = 256 << 10

// block is a buffer for reading n bytes. Most images have many small files.
func block(n int64) []byte { return make([]byte, max(1, min(n, blockSize))) }

// disk is a file system with the few operations that this package is made of.
// Its errors name the path and wrap ErrStorage or ErrNoSpace.
type disk struct {
	fs vfs.FS
}

func (d disk) join(dir, slashed string) string { return d.fs.PathJoin(dir, slashed) }

func (d disk) mkdir(dir string) error {
	return storageError("create directory", dir, d.fs.MkdirAll(dir, 0o755))
}

func (d disk) remove(dir string) error {
	err := d.fs.RemoveAll(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return storageError("remove", dir, err)
}

func (d disk) exists(name string) bool {
	_, err := d.fs.Stat(name)
	return err == nil
}

func (d disk) rename(from, to string) error {
	return storageError("rename", from, d.fs.Rename(from, to))
}

// list gives the names in a directory, sorted.
func (d disk) list(dir string) ([]string, error) {
	names, err := d.fs.List(dir)
	if err != nil {
		return nil, storageError("list", dir, err)
	}
	slices.Sort(names)
	return names, nil
}

// syncDir makes the entries of a directory durable.
func (d disk) syncDir(dir string) error {
	f, err := d.fs.OpenDir(dir)
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	return storageError("sync directory", dir, err)
}

// writeFile writes a small file and makes its bytes durable, not its name.
func (d disk) writeFile(name string, b []byte) error {
	f, err := d.fs.Create(name, vfs.WriteCategoryUnspecified)
	if err == nil {
		_, err = f.Write(slices.Clone(b)) // Write may change what it is given
		if err == nil {
			err = f.Sync()
		}
		err = errors.Join(err, f.Close())
	}
	return storageError("write", name, err)
}

// readFile reads a file of at most limit bytes.
func (d disk) readFile(name string, limit int64) ([]byte, error) {
	f, err := d.fs.Open(name)
	if err != nil {
		return nil, storageError("open", name, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, storageError("read", name, err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%w: %s is larger than %d bytes", ErrDamaged, name, limit)
	}
	return b, nil
}

// checksum reads a file and returns its size and CRC32C. With sync the file is
// made durable too.
func (d disk) checksum(name string, sync bool) (size int64, crc uint32, err error) {
	f, err := d.fs.Open(name)
	if err != nil {
		return 0, 0, storageError("open", name, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, 0, storageError("stat", name, err)
	}
	sum := crc32.New(castagnoli())
	size, err = io.CopyBuffer(sum, struct{ io.Reader }{f}, block(info.Size()))
	if err != nil {
		return 0, 0, storageError("read", name, err)
	}
	if sync {
		if err := f.Sync(); err != nil {
			return 0, 0, storageError("sync", name, err)
		}
	}
	return size, sum.Sum32(), nil
}

// tree lists what is below dir, as relative paths with slashes: files sorted,
// directories with the deepest first and dir itself, as ".", last.
func (d disk) tree(dir string) (files, dirs []string, err error) {
	var walk func(rel string) error
	walk = func(rel string) error {
		names, err := d.list(d.join(dir, rel))
		if err != nil {
			return err
		}
		for _, name := range names {
			sub := path.Join(rel, name)
			info, err := d.fs.Stat(d.join(dir, sub))
			if err != nil {
				return storageError("stat", d.join(dir, sub), err)
			}
			if !info.IsDir() {
				files = append(files, sub)
				continue
			}
			if err := walk(sub); err != nil {
				return err
			}
		}
		dirs = append(dirs, rel)
		return nil
	}
	if err := walk("."); err != nil {
		return nil, nil, err
	}
	slices.Sort(files)
	return files, dirs, nil
}

// syncTree makes the entries of the given directories below dir durable.
func (d disk) syncTree(dir string, dirs []string) error {
	for _, rel := range dirs {
		if err := d.syncDir(d.join(dir, rel)); err != nil {
			return err
		}
	}
	return nil
}
