package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Verify reads a whole backup and checks it. The errors are [ErrDamaged] and
// those of r.
func Verify(r io.Reader) (Header, error) {
	return read(r, func(File) (io.WriteCloser, error) { return nopCloser{io.Discard}, nil })
}

// Extract takes a backup apart into the directory, which is empty, and checks
// it. The files are durable on return, their names not yet; after an error the
// directory holds a part. The errors are [ErrDamaged], and those of r and fs.
func Extract(r io.Reader, fs vfs.FS, dir string) (Header, error) {
	return read(r, func(f File) (io.WriteCloser, error) {
		name := fs.PathJoin(dir, f.Path)
		if err := fs.MkdirAll(fs.PathDir(name), 0o700); err != nil {
			return nil, err
		}
		out, err := fs.Create(name, vfs.WriteCategoryUnspecified)
		if err != nil {
			return nil, err
		}
		return syncing{out}, nil
	})
}

// syncing makes a file durable when it is closed.
type syncing struct{ vfs.File }

func (s syncing) Close() error { return errors.Join(s.Sync(), s.File.Close()) }

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

func read(r io.Reader, create func(File) (io.WriteCloser, error)) (Header, error) {
	sum := sha256.New()
	in := io.TeeReader(r, sum)
	h, n, err := readHeader(in)
	if err != nil {
		return h, err
	}
	rest := h.sizeAfter(n) - int64(n)
	for _, f := range h.Files {
		out, err := create(f)
		if err != nil {
			return h, err
		}
		if err := errors.Join(readFile(in, f, out), out.Close()); err != nil {
			return h, err
		}
		rest -= f.Size + crcLen
	}
	if _, err := io.CopyN(io.Discard, in, rest); err != nil {
		return h, cut(err, "before its end")
	}
	want := sum.Sum(nil)
	got := make([]byte, SumLen)
	if _, err := io.ReadFull(r, got); err != nil {
		return h, cut(err, "in its checksum")
	}
	if !bytes.Equal(got, want) {
		return h, fmt.Errorf("%w: its checksum is %x, not %x", ErrDamaged, want, got)
	}
	switch n, err := io.ReadFull(r, got[:1]); {
	case n > 0:
		return h, fmt.Errorf("%w: something follows its end", ErrDamaged)
	case err != io.EOF:
		return h, err
	}
	return h, nil
}

func readFile(in io.Reader, f File, out io.Writer) error {
	sum := crc32.New(castagnoli())
	// The checksum first: other than an io.Writer, a vfs.File may change what it is given.
	if _, err := io.CopyN(io.MultiWriter(sum, out), in, f.Size); err != nil {
		return cut(err, "in "+f.Path)
	}
	var want [crcLen]byte
	if _, err := io.ReadFull(in, want[:]); err != nil {
		return cut(err, "after "+f.Path)
	}
	if binary.LittleEndian.Uint32(want[:]) != sum.Sum32() {
		return fmt.Errorf("%w: %s has changed since it was written", ErrDamaged, f.Path)
	}
	return nil
}

// ends says whether an error of a reader is that there is no more.
func ends(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// cut tells a backup that ends too early from a reader that fails.
func cut(err error, where string) error {
	if ends(err) {
		return fmt.Errorf("%w: it ends %s", ErrDamaged, where)
	}
	return err
}
