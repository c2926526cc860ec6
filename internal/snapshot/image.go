package snapshot

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Image is one complete image in a [Store]. It never changes; whoever uses its
// files while [Store.Prune] may run holds it with [Store.Acquire].
type Image struct {
	Meta
	Files []File // sorted by path, no duplicates; not to be changed

	disk disk
	dir  string // of the image; the files are below dataDir
}

// Names inside an image's directory.
const (
	manifestName = "MANIFEST"
	dataDir      = "data"
)

func imageName(index, term uint64) string { return fmt.Sprintf("image-%016x-%016x", index, term) }

// Dir is the directory to give to Machine.Restore.
func (i *Image) Dir() string { return i.disk.join(i.dir, dataDir) }

// Size is the number of bytes in all files together.
func (i *Image) Size() int64 {
	m := i.manifest()
	return m.total()
}

// Verify reads every file and compares it with the manifest. The error is
// [ErrDamaged] and names the file and the bytes that its checksum covers, or
// wraps [ErrStorage].
func (i *Image) Verify() error {
	for _, f := range i.Files {
		name := i.disk.join(i.Dir(), f.Path)
		size, crc, err := i.disk.checksum(name, false)
		if err != nil {
			return err
		}
		if size != f.Size || crc != f.CRC32C {
			return fmt.Errorf("%w: %s: bytes 0 to %d: they have changed since they were written: the checksum is %08x, not %08x of %d",
				ErrDamaged, name, size, crc, f.CRC32C, f.Size)
		}
	}
	return nil
}

func (i *Image) manifest() manifest {
	return manifest{Version: manifestVersion, Meta: i.Meta, Files: i.Files}
}

// openImage reads the manifest of an image and looks at the size of each file.
func openImage(fs vfs.FS, dir string) (*Image, error) {
	d := disk{fs}
	name := d.join(dir, manifestName)
	b, err := d.readFile(name, maxManifest+int64(manifestHead))
	if err != nil {
		return nil, err
	}
	m, err := decodeManifest(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if want := imageName(m.Meta.Index, m.Meta.Term); fs.PathBase(dir) != want {
		return nil, fmt.Errorf("%w: %s belongs to %s", ErrDamaged, name, want)
	}
	i := &Image{Meta: m.Meta, Files: m.Files, disk: d, dir: dir}
	for _, f := range i.Files {
		name := d.join(i.Dir(), f.Path)
		info, err := fs.Stat(name)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDamaged, storageError("stat", name, err))
		}
		if info.Size() != f.Size {
			return nil, fmt.Errorf("%w: %s ends at byte %d, the manifest says %d", ErrDamaged, name, info.Size(), f.Size)
		}
	}
	return i, nil
}
