package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func image(t testing.TB) (*Image, vfs.FS) {
	t.Helper()
	fs := vfs.NewMem()
	for name, content := range map[string]string{"a": "first", "db/b": strings.Repeat("second ", 100_000), "db/empty": ""} {
		must(t, fs.MkdirAll(fs.PathJoin("image", "db"), 0o700))
		f, err := fs.Create(fs.PathJoin("image", name), vfs.WriteCategoryUnspecified)
		must(t, err)
		_, err = io.WriteString(f, content)
		must(t, err)
		must(t, f.Close())
	}
	i, err := Open(fs, "image", Header{Applied: 7, Revision: 5, Compacted: -1})
	must(t, err)
	return i, fs
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func whole(t testing.TB, i *Image) []byte {
	t.Helper()
	var b bytes.Buffer
	must(t, i.Write(context.Background(), &b))
	if n, err := i.Size(); err != nil || n != int64(b.Len()) || n%blockLen != 0 {
		t.Fatalf("%d bytes were written, %d announced (%v)", b.Len(), n, err)
	}
	sum := sha256.Sum256(b.Bytes())
	return append(b.Bytes(), sum[:]...)
}

func TestThereAndBack(t *testing.T) {
	i, fs := image(t)
	b := whole(t, i)
	h, err := Extract(bytes.NewReader(b), fs, "out")
	must(t, err)
	if h.Applied != 7 || h.Revision != 5 || h.Compacted != -1 || len(h.Files) != 3 {
		t.Errorf("header %+v", h)
	}
	again, err := Open(fs, "out", h)
	must(t, err)
	if !bytes.Equal(whole(t, again), b) {
		t.Error("what was extracted is not what was written")
	}
}

// TestDamageIsSeen: whichever byte is changed, and wherever it is cut off.
func TestDamageIsSeen(t *testing.T) {
	i, _ := image(t)
	b := whole(t, i)
	for at := 0; at < len(b); at += 1 + at/40 {
		bad := bytes.Clone(b)
		bad[at] ^= 0x10
		if _, err := Verify(bytes.NewReader(bad)); err == nil {
			t.Fatalf("byte %d of %d was changed, and nobody sees it", at, len(b))
		}
		if _, err := Verify(bytes.NewReader(b[:at])); !errors.Is(err, ErrDamaged) {
			t.Fatalf("cut off at byte %d of %d: %v", at, len(b), err)
		}
	}
	if _, err := Verify(bytes.NewReader(append(b, 0))); !errors.Is(err, ErrDamaged) {
		t.Errorf("a byte too many: %v", err)
	}
}

// spoiler is a file that changes what it is given, as a vfs.File may.
type spoiler struct{}

func (spoiler) Write(b []byte) (int, error) { clear(b); return len(b), nil }
func (spoiler) Close() error                { return nil }

// TestReadersAndWriters: a file may spoil what it is given, and an error of the
// reader is none of the backup's.
func TestReadersAndWriters(t *testing.T) {
	i, _ := image(t)
	b := whole(t, i)
	if _, err := read(bytes.NewReader(b), func(File) (io.WriteCloser, error) { return spoiler{}, nil }); err != nil {
		t.Errorf("written to files that change what they are given: %v", err)
	}
	for _, at := range []int{3, 100, len(b) / 2, len(b) - 1, len(b)} {
		broken := errors.New("broken")
		r := io.MultiReader(bytes.NewReader(b[:at]), iotest.ErrReader(broken))
		if _, err := Verify(r); !errors.Is(err, broken) || errors.Is(err, ErrDamaged) {
			t.Errorf("the reader breaks at byte %d: %v", at, err)
		}
	}
}

// TestPathsStayBelow: a backup can't write outside of the directory.
func TestPathsStayBelow(t *testing.T) {
	for _, p := range []string{"../a", "/a", "a/../../b", "", ".", "a//b", `a\b`} {
		h := Header{Version: version, Files: []File{{Path: p}}}
		if err := h.check(); !errors.Is(err, ErrDamaged) {
			t.Errorf("%q: %v", p, err)
		}
	}
}

func TestGivenUp(t *testing.T) {
	i, _ := image(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := i.Write(ctx, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
}

// FuzzRead starts from a small backup: of a large one hardly any input is tried.
func FuzzRead(f *testing.F) {
	fs := vfs.NewMem()
	out, err := fs.Create("a", vfs.WriteCategoryUnspecified)
	must(f, err)
	_, err = io.WriteString(out, "content")
	must(f, errors.Join(err, out.Close()))
	i, err := Open(fs, "", Header{Applied: 7})
	must(f, err)
	f.Add(whole(f, i))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = Verify(bytes.NewReader(b)) })
}
