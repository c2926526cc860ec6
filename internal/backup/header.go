package backup

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path"
	"path/filepath"
	"strings"
)

// ErrDamaged says that a file is no whole backup: the text says where.
var ErrDamaged = errors.New("damaged backup")

// Header says what a backup holds.
type Header struct {
	Version   int    `json:"version"`  // of the format
	Applied   uint64 `json:"applied"`  // index of the last entry of the log that is in it
	Revision  int64  `json:"revision"` // of the last write
	Compacted int64  `json:"compacted"`
	Files     []File `json:"files"` // in the order in which they follow
}

// File is one file of the image.
type File struct {
	Path string `json:"path"` // relative, with slashes, clean
	Size int64  `json:"size"` // bytes
}

const (
	magic      = "MUSTBAK1"
	headLen    = len(magic) + 8
	version    = 1
	blockLen   = 512
	maxHeader  = 64 << 20
	maxTotal   = 1 << 50 // bytes in all files together
	crcLen     = 4
	SumLen     = 32 // of the SHA-256 at the end
	bufferSize = 64 << 10
)

// Size is how long the backup is, in bytes, without the SHA-256 at its end.
func (h *Header) Size() (int64, error) {
	b, err := h.encode()
	return h.sizeAfter(len(b)), err
}

func (h *Header) sizeAfter(head int) int64 {
	n := int64(head)
	for _, f := range h.Files {
		n += f.Size + crcLen
	}
	return (n + blockLen - 1) / blockLen * blockLen
}

// Content is how many bytes the files have together.
func (h *Header) Content() (n int64) {
	for _, f := range h.Files {
		n += f.Size
	}
	return n
}

func (h *Header) encode() ([]byte, error) {
	body, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("encode the header of a backup: %w", err)
	}
	out := make([]byte, 0, headLen+len(body))
	out = append(out, magic...)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(body)))
	out = binary.LittleEndian.AppendUint32(out, checksum(body))
	return append(out, body...), nil
}

// readHeader reads the header and returns how many bytes it took.
func readHeader(r io.Reader) (h Header, n int, err error) {
	head := make([]byte, headLen)
	if _, err := io.ReadFull(r, head); err != nil && !ends(err) {
		return h, 0, err
	} else if err != nil || string(head[:len(magic)]) != magic {
		return h, 0, fmt.Errorf("%w: it does not begin as one (a snapshot that etcd made can't be read)", ErrDamaged)
	}
	length := binary.LittleEndian.Uint32(head[len(magic):])
	if length > maxHeader {
		return h, 0, fmt.Errorf("%w: a header of %d bytes", ErrDamaged, length)
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		return h, 0, cut(err, "in its header")
	}
	if checksum(body) != binary.LittleEndian.Uint32(head[len(magic)+4:]) {
		return h, 0, fmt.Errorf("%w: the checksum of its header does not match", ErrDamaged)
	}
	if err := json.Unmarshal(body, &h); err != nil {
		return h, 0, fmt.Errorf("%w: header: %w", ErrDamaged, err)
	}
	return h, headLen + len(body), h.check()
}

func (h *Header) check() error {
	if h.Version != version {
		return fmt.Errorf("the backup has format %d, this version reads %d: use the release that wrote it", h.Version, version)
	}
	var total int64
	seen := map[string]bool{}
	for _, f := range h.Files {
		bad := f.Path == "." || path.Clean(f.Path) != f.Path || strings.ContainsAny(f.Path, "\\:\x00") || !filepath.IsLocal(filepath.FromSlash(f.Path))
		if bad || seen[f.Path] || f.Size < 0 || f.Size > maxTotal-total {
			return fmt.Errorf("%w: file %.80q of %d bytes", ErrDamaged, f.Path, f.Size)
		}
		seen[f.Path] = true
		total += f.Size
	}
	return nil
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli()) }
