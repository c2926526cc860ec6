package snapshot

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"google.golang.org/protobuf/proto"
)

func TestImageSurvivesReopening(t *testing.T) {
	onBoth(t, func(t *testing.T, fs vfs.FS, dir string) {
		dir = fs.PathJoin(dir, "snapshot")
		s := openStore(t, fs, dir)
		if s.Newest() != nil {
			t.Fatal("an empty store has an image")
		}
		want := someContents(1)
		i := mustCommit(t, s, 10, want)
		if i.Size() != 3000+2*blockSize+17+500 {
			t.Fatalf("size is %d", i.Size())
		}
		again := openStore(t, fs, dir).Newest()
		sameContents(t, again, want)
		if m := testMeta(10); again.Index != 10 || again.Term != 7 || !proto.Equal(again.ConfState, m.ConfState) ||
			!reflect.DeepEqual(again.Membership, m.Membership) {
			t.Fatalf("got %+v", again.Meta)
		}
	})
}

func TestGenesisImageHasNoFiles(t *testing.T) {
	fs := vfs.NewMem()
	m := testMeta(1)
	m.Term = 1
	if _, err := commit(openStore(t, fs, "/s"), m, nil); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, fs, "/s")
	sameContents(t, s.Newest(), contents{})
	o := mustTransfer(t, s.Newest(), openStore(t, vfs.NewMem(), "/r"))
	sameContents(t, o.img, contents{})
}

func TestMetaJSON(t *testing.T) {
	m := testMeta(5)
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var got Meta
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(m.ConfState, got.ConfState) || !strings.Contains(string(b), `"voters":["0000000000000001","8000000000000005"]`) {
		t.Fatalf("%s became %+v", b, got)
	}
}

func TestDrafts(t *testing.T) {
	fs := vfs.NewMem()
	s := openStore(t, fs, "/s")
	d, err := s.Draft()
	if err != nil {
		t.Fatal(err)
	}
	if err := checkpoint(fs, d.Dir(), someContents(1)); err != nil {
		t.Fatal(err)
	}
	if openStore(t, fs, "/s"); len(names(t, s)) != 0 {
		t.Fatalf("an unfinished draft stays after a restart: %q", names(t, s))
	}
	first := mustCommit(t, s, 10, someContents(1))
	if same := mustCommit(t, s, 10, someContents(2)); same != first {
		t.Error("a second image at the same index took the place of the first")
	}
	if _, err := commit(s, testMeta(9), nil); !errors.Is(err, ErrStale) {
		t.Errorf("an older image: %v", err)
	}
	if _, err := commit(s, Meta{Index: 11}, nil); !errors.Is(err, ErrInvalid) {
		t.Errorf("no configuration: %v", err)
	}
	if _, err := commit(s, testMeta(11), contents{"a\\b": nil}); !errors.Is(err, ErrInvalid) {
		t.Errorf("a name that is no path elsewhere: %v", err)
	}
	if l := names(t, s); len(l) != 1 {
		t.Errorf("left behind: %q", l)
	}
}

// Files that are hard links to those of the image before are not read again;
// everything else is, whatever its size and time.
func TestChecksumsAreReusedForHardLinksOnly(t *testing.T) {
	dir := t.TempDir()
	read := map[string]int{}
	fs := errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileRead && strings.Contains(op.Path, draftPrefix) {
			read[filepath.Base(op.Path)]++
		}
		return nil
	}))
	s := openStore(t, fs, filepath.Join(dir, "snapshot"))
	first := mustCommit(t, s, 10, contents{"linked": noise(1, 100), "rewritten": noise(2, 100)})
	clear(read)

	d, err := s.Draft()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Link(filepath.Join(first.Dir(), "linked"), filepath.Join(d.Dir(), "linked")); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(d.Dir(), "rewritten") // same name, size and time; other bytes
	if err := os.WriteFile(other, noise(3, 100), 0o644); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(first.Dir(), "rewritten"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(other, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	second, err := d.Commit(testMeta(11))
	if err != nil {
		t.Fatal(err)
	}
	if read["linked"] != 0 || read["rewritten"] == 0 {
		t.Errorf("reads: %v", read)
	}
	sameContents(t, second, contents{"linked": noise(1, 100), "rewritten": noise(3, 100)})
}

func TestPrune(t *testing.T) {
	fs := vfs.NewMem()
	s := openStore(t, fs, "/s")
	var images []*Image
	for i := range 5 {
		images = append(images, mustCommit(t, s, uint64(10+i), someContents(uint64(i))))
	}
	release := s.Acquire(images[1])
	second := s.Acquire(images[1])
	if err := s.Prune(2); err != nil {
		t.Fatal(err)
	}
	if l := names(t, s); len(l) != 3 {
		t.Fatalf("left: %q", l)
	}
	sameContents(t, images[1], someContents(1))
	release()
	release() // counts once
	if err := s.Prune(2); err != nil || len(names(t, s)) != 3 {
		t.Fatalf("%v, left: %q", err, names(t, s))
	}
	second()
	if err := s.Prune(0); err != nil {
		t.Fatal(err)
	}
	if l := names(t, s); len(l) != 1 || s.Newest() != images[4] {
		t.Fatalf("left: %q", l)
	}
	sameContents(t, openStore(t, fs, "/s").Newest(), someContents(4))
	newest, release := s.AcquireNewest()
	release()
	if newest != images[4] || len(s.held) != 0 {
		t.Errorf("held: %v", s.held)
	}
}

func TestDamageOnDiskIsNamed(t *testing.T) {
	for _, tc := range []struct {
		name   string
		damage func(t *testing.T, fs vfs.FS, i *Image)
	}{
		{"manifest", func(t *testing.T, fs vfs.FS, i *Image) { flip(t, fs, fs.PathJoin(i.dir, manifestName), 200) }},
		{"missing", func(t *testing.T, fs vfs.FS, i *Image) {
			if err := fs.Remove(fs.PathJoin(i.Dir(), "000001.sst")); err != nil {
				t.Fatal(err)
			}
		}},
		{"moved", func(t *testing.T, fs vfs.FS, i *Image) {
			if err := fs.Rename(i.dir, fs.PathJoin(fs.PathDir(i.dir), imageName(99, 9))); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fs := vfs.NewMem()
			tc.damage(t, fs, mustCommit(t, openStore(t, fs, "/s"), 10, someContents(1)))
			_, err := Open("/s", fs)
			if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "image-") {
				t.Fatalf("got %v", err)
			}
		})
	}
	t.Run("content", func(t *testing.T) {
		fs := vfs.NewMem()
		i := mustCommit(t, openStore(t, fs, "/s"), 10, someContents(1))
		flip(t, fs, fs.PathJoin(i.Dir(), "000001.sst"), 1234)
		if err := i.Verify(); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "000001.sst") {
			t.Fatalf("got %v", err)
		}
	})
}
