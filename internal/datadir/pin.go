package datadir

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// ErrPinPlace is wrapped when there can be no pin at a path.
var ErrPinPlace = errors.New("no place for a pin")

// PinFile is one document at a path of its own, meant to be on another disk than
// the data directory.
type PinFile struct {
	fs   vfs.FS
	path string
}

// OpenPin makes sure that the pin can be written, and changes nothing. Its
// directory must exist: one that is missing may be a disk that is not mounted.
// A nil fs is vfs.Default. Errors: [ErrPinPlace].
func OpenPin(fs vfs.FS, path string) (*PinFile, error) {
	if fs == nil {
		fs = vfs.Default
	}
	dir := fs.PathDir(path)
	info, err := fs.Stat(dir)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w at %s: %w; create its directory, or mount its disk", ErrPinPlace, path, err)
	case !info.IsDir():
		return nil, fmt.Errorf("%w at %s: %s is no directory", ErrPinPlace, path, dir)
	}
	if info, err := fs.Stat(path); err == nil && info.IsDir() {
		return nil, fmt.Errorf("%w at %s: it is a directory; name a file in it", ErrPinPlace, path)
	}
	probe := path + tmpSuffix
	if err := write(fs, probe, nil); err != nil {
		return nil, fmt.Errorf("%w at %s: %w; let this user write in %s, or choose another path", ErrPinPlace, path, err, dir)
	}
	if err := fs.Remove(probe); err != nil {
		return nil, fmt.Errorf("%w at %s: %w", ErrPinPlace, path, err)
	}
	return &PinFile{fs: fs, path: path}, nil
}

// Path is where it is.
func (p *PinFile) Path() string { return p.path }

// LoadPin reads what SavePin stored last into v, and says false when nothing
// ever was. Errors: [ErrDamaged].
func (p *PinFile) LoadPin(v any) (bool, error) {
	b, err := readAll(p.fs, p.path)
	if oserror.IsNotExist(err) {
		return false, nil
	}
	const lost = "so that nobody knows which cluster this node was in; restore it, or delete it if that cluster is not to come back"
	switch {
	case errors.Is(err, ErrDamaged), err == nil && errors.Is(decode(p.path, b, v), ErrDamaged):
		return false, fmt.Errorf("%w %s: the pin is no document of ours or was changed, %s", ErrDamaged, p.path, lost)
	case err != nil:
		return false, fmt.Errorf("%w %s: the pin can't be read (%w), %s", ErrDamaged, p.path, err, lost)
	}
	return true, decode(p.path, b, v) // which may be of a newer muster
}

// SavePin replaces it by v as JSON, all or nothing; on return it survives power
// loss. Errors: [ErrFailed].
func (p *PinFile) SavePin(v any) error {
	b, err := encode(v)
	if err == nil {
		err = replace(p.fs, p.fs.PathDir(p.path), p.fs.PathBase(p.path), b)
	}
	if err != nil {
		return fmt.Errorf("%w: store the pin %s: %w", ErrFailed, p.path, err)
	}
	return nil
}
