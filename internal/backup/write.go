package backup

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Image is a directory that is to be written as one backup. The files in it
// must not change.
type Image struct {
	Header
	fs  vfs.FS
	dir string
}

// Open lists the files of a directory, down to one level of subdirectories; h
// says what they hold.
func Open(fs vfs.FS, dir string, h Header) (*Image, error) {
	i := &Image{Header: h, fs: fs, dir: dir}
	i.Version, i.Files = version, nil
	if err := i.list("", 0); err != nil {
		return nil, fmt.Errorf("list the image %s: %w", dir, err)
	}
	return i, i.check()
}

func (i *Image) list(below string, depth int) error {
	names, err := i.fs.List(i.fs.PathJoin(i.dir, below))
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		rel := name
		if below != "" {
			rel = below + "/" + name
		}
		info, err := i.fs.Stat(i.fs.PathJoin(i.dir, rel))
		if err != nil {
			return err
		}
		switch {
		case !info.IsDir():
			i.Files = append(i.Files, File{Path: rel, Size: info.Size()})
		case depth == 0:
			if err := i.list(rel, depth+1); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%s: a directory too deep", rel)
		}
	}
	return nil
}

// Write writes all but the SHA-256 at the end, [Header.Size] bytes. It is given
// up when ctx ends.
func (i *Image) Write(ctx context.Context, w io.Writer) error {
	head, err := i.encode()
	if err != nil {
		return err
	}
	if _, err := w.Write(head); err != nil {
		return err
	}
	written := int64(len(head))
	buf := make([]byte, bufferSize)
	for _, f := range i.Files {
		if err := i.file(ctx, w, f, buf); err != nil {
			return err
		}
		written += f.Size + crcLen
	}
	_, err = w.Write(make([]byte, i.sizeAfter(len(head))-written))
	return err
}

func (i *Image) file(ctx context.Context, w io.Writer, f File, buf []byte) (err error) {
	in, err := i.fs.Open(i.fs.PathJoin(i.dir, f.Path), vfs.SequentialReadsOption)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	sum := crc32.New(castagnoli())
	for left := f.Size; left > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := buf[:min(left, int64(len(buf)))]
		if _, err := io.ReadFull(in, b); err != nil {
			return fmt.Errorf("read %s of the image: %w", f.Path, err)
		}
		sum.Write(b)
		if _, err := w.Write(b); err != nil {
			return err
		}
		left -= int64(len(b))
	}
	_, err = w.Write(binary.LittleEndian.AppendUint32(nil, sum.Sum32()))
	return err
}
