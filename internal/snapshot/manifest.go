package snapshot

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"path"
	"path/filepath"
	"strings"

	"github.com/musterhq/muster/internal/wire"
)

// Limits on what a manifest may say.
const (
	maxFiles    = 1 << 16
	maxPath     = 512     // bytes
	maxTotal    = 1 << 50 // bytes in all files together
	maxManifest = wire.MaxControl - 1024
)

// File is one file of an image.
type File struct {
	Path   string `json:"path"`   // relative, with slashes, clean
	Size   int64  `json:"size"`   // bytes
	CRC32C uint32 `json:"crc32c"` // of all of it

	// Modified is the file's time of modification here, in nanoseconds, for
	// telling that a hard link is still the same file. It is not sent.
	Modified int64 `json:"modified_ns,omitempty"`
}

// manifest is what the MANIFEST and OFFER files and an offer hold.
type manifest struct {
	Version int    `json:"version"`
	Meta    Meta   `json:"meta"`
	Files   []File `json:"files,omitempty"` // sorted by path, no duplicates
}

const manifestVersion = 1

// portable drops what only this member's disk knows.
func (m manifest) portable() manifest {
	files := make([]File, len(m.Files))
	for i, f := range m.Files {
		f.Modified = 0
		files[i] = f
	}
	m.Files = files
	return m
}

func (m *manifest) total() (n int64) {
	for _, f := range m.Files {
		n += f.Size
	}
	return n
}

// check holds a manifest against the rules; its errors are ErrInvalid.
func (m *manifest) check() error {
	if m.Version != manifestVersion {
		return fmt.Errorf("%w: version %d of the manifest, this program knows %d", ErrInvalid, m.Version, manifestVersion)
	}
	if err := m.Meta.check(); err != nil {
		return err
	}
	if len(m.Files) > maxFiles {
		return fmt.Errorf("%w: %d files, more than %d", ErrInvalid, len(m.Files), maxFiles)
	}
	var total int64
	isFile := make(map[string]bool, len(m.Files))
	for i, f := range m.Files {
		if err := checkPath(f.Path); err != nil {
			return err
		}
		if i > 0 && m.Files[i-1].Path >= f.Path {
			return fmt.Errorf("%w: file %q is out of order or twice there", ErrInvalid, f.Path)
		}
		if f.Size < 0 || f.Size > maxTotal-total {
			return fmt.Errorf("%w: file %q of %d bytes", ErrInvalid, f.Path, f.Size)
		}
		total += f.Size
		isFile[f.Path] = true
	}
	for _, f := range m.Files {
		for dir := path.Dir(f.Path); dir != "."; dir = path.Dir(dir) {
			if isFile[dir] {
				return fmt.Errorf("%w: %q is a file and a directory", ErrInvalid, dir)
			}
		}
	}
	return nil
}

// checkPath lets through what stays below the directory that it is joined to,
// on every system.
func checkPath(p string) error {
	bad := p == "" || len(p) > maxPath || p[0] == '/' || path.Clean(p) != p || p == "." ||
		strings.ContainsAny(p, "\\:") || !filepath.IsLocal(filepath.FromSlash(p))
	for _, r := range p {
		bad = bad || r < ' ' || r == 0x7f || r == '\uFFFD'
	}
	if bad {
		return fmt.Errorf("%w: file name %.80q", ErrInvalid, p)
	}
	return nil
}

// A manifest file:
//
//	magic "MUSTSNP1" | length uint32 LE | crc32c uint32 LE | JSON
//
// The checksum covers the JSON, which goes to the end of the file.
const (
	manifestMagic = "MUSTSNP1"
	manifestHead  = len(manifestMagic) + 8
)

func (m manifest) encode() ([]byte, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	if len(body) > maxManifest {
		return nil, fmt.Errorf("%w: a manifest of %d bytes, more than %d: too many files", ErrInvalid, len(body), maxManifest)
	}
	out := make([]byte, 0, manifestHead+len(body))
	out = append(out, manifestMagic...)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(body)))
	out = binary.LittleEndian.AppendUint32(out, crc32.Checksum(body, castagnoli()))
	return append(out, body...), nil
}

func decodeManifest(b []byte) (manifest, error) {
	var m manifest
	if len(b) < manifestHead || string(b[:len(manifestMagic)]) != manifestMagic {
		return m, fmt.Errorf("%w: bytes 0 to %d: not a manifest", ErrDamaged, min(len(b), manifestHead))
	}
	head, body := b[len(manifestMagic):manifestHead], b[manifestHead:]
	if n := binary.LittleEndian.Uint32(head); uint64(n) != uint64(len(body)) {
		return m, fmt.Errorf("%w: bytes %d to %d: a manifest of %d bytes, want %d", ErrDamaged, len(manifestMagic), len(b), len(body), n)
	}
	if crc32.Checksum(body, castagnoli()) != binary.LittleEndian.Uint32(head[4:]) {
		return m, fmt.Errorf("%w: bytes %d to %d: the manifest's checksum does not match", ErrDamaged, len(manifestMagic), len(b))
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return m, fmt.Errorf("%w: manifest: %w", ErrInvalid, err)
	}
	return m, m.check()
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }
