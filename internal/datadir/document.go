package datadir

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	format      = 1
	maxDocument = 16 << 20 // bytes of a file
)

// document is the frame of a JSON file; see the package doc.
type document struct {
	Format int             `json:"format"`
	CRC32C string          `json:"crc32c"`
	Body   json.RawMessage `json:"body"`
}

// sum covers the format too, so that a damaged one does not pass for newer.
func sum(format int, body []byte) string {
	covered := append(fmt.Appendf(nil, "%d ", format), body...)
	return fmt.Sprintf("%08x", crc32.Checksum(covered, crc32.MakeTable(crc32.Castagnoli)))
}

func encode(v any) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(document{Format: format, CRC32C: sum(format, body), Body: body})
	if err == nil && len(b) >= maxDocument {
		err = fmt.Errorf("%d bytes, at most %d", len(b), maxDocument)
	}
	return append(b, '\n'), err
}

// decode reads what encode wrote; path is for the error. One checksum covers
// the document, so that damage is somewhere in all of it.
func decode(path string, b []byte, v any) error {
	var d document
	bad := func(reason string) error { return damaged(path, fmt.Sprintf("bytes 0 to %d: %s", len(b), reason)) }
	if err := json.Unmarshal(b, &d); err != nil {
		return bad("no JSON document: " + err.Error())
	}
	if d.Format > format && d.CRC32C == sum(d.Format, d.Body) {
		return fmt.Errorf("%s has format %d, written by a newer muster; this build reads %d", path, d.Format, format)
	}
	if d.Format != format {
		return bad(fmt.Sprintf("format %d", d.Format))
	}
	if d.CRC32C != sum(d.Format, d.Body) {
		return bad("its checksum does not match")
	}
	if err := json.Unmarshal(d.Body, v); err != nil {
		return bad(err.Error())
	}
	return nil
}

// replace puts b in place of the file, durably on return.
func replace(fs vfs.FS, dir, name string, b []byte) error {
	path := fs.PathJoin(dir, name)
	tmp := path + tmpSuffix
	if err := write(fs, tmp, b); err != nil {
		return err
	}
	if err := fs.Rename(tmp, path); err != nil {
		return fmt.Errorf("rename %s: %w", tmp, err)
	}
	return syncDir(fs, dir)
}

func write(fs vfs.FS, path string, b []byte) error {
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	n, err := f.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// readAll reads a whole small file.
func readAll(fs vfs.FS, path string) ([]byte, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxDocument+1))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil && len(b) > maxDocument {
		err = damaged(path, fmt.Sprintf("more than %d bytes", maxDocument))
	}
	return b, err
}

func syncDir(fs vfs.FS, dir string) error {
	f, err := fs.OpenDir(dir)
	if err != nil {
		return fmt.Errorf("fsync directory: %w", err)
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("fsync directory %s: %w", dir, err)
	}
	return nil
}
