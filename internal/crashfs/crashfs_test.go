package crashfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const unspecified = vfs.WriteCategoryUnspecified

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func writeFile(t *testing.T, f *FS, name, data string, sync bool) {
	t.Helper()
	file, err := f.Create(name, unspecified)
	must(t, err)
	_, err = file.Write([]byte(data))
	must(t, err)
	if sync {
		must(t, file.Sync())
	}
	must(t, file.Close())
}

func syncDir(t *testing.T, f *FS, name string) {
	t.Helper()
	d, err := f.OpenDir(name)
	must(t, err)
	must(t, d.Sync())
	must(t, d.Close())
}

// read gives "-" for a file that isn't there.
func read(f *FS, name string) string {
	b, err := f.ReadFile(name)
	if err != nil {
		return "-"
	}
	return string(b)
}

func TestNamesAndBytesAreSyncedApart(t *testing.T) {
	f := New()
	must(t, f.MkdirAll("/a/b", 0o755))
	syncDir(t, f, "/")
	syncDir(t, f, "/a")
	writeFile(t, f, "/a/b/bytes", "x", true)
	writeFile(t, f, "/a/b/both", "x", true)
	writeFile(t, f, "/a/b/name", "x", false)
	if got := read(f.Crash(None, 1), "/a/b/both"); got != "-" {
		t.Errorf("name survived without a sync of its directory: %q", got)
	}
	syncDir(t, f, "/a/b")
	writeFile(t, f, "/a/b/late", "x", true)
	img := f.Crash(None, 1)
	for name, want := range map[string]string{"bytes": "x", "both": "x", "name": "", "late": "-"} {
		if got := read(img, "/a/b/"+name); got != want {
			t.Errorf("%s after a crash: %q, want %q", name, got, want)
		}
	}
	if got := read(f.Crash(All, 1), "/a/b/late"); got != "x" {
		t.Errorf("All lost %q", got)
	}
}

func TestRenameIsWholeOrNot(t *testing.T) {
	f := New()
	must(t, f.MkdirAll("/d", 0o755))
	must(t, f.MkdirAll("/e", 0o755))
	writeFile(t, f, "/d/new", "new", true)
	writeFile(t, f, "/d/old", "old", true)
	writeFile(t, f, "/d/across", "across", true)
	for _, dir := range []string{"/", "/d", "/e"} {
		syncDir(t, f, dir)
	}
	must(t, f.Rename("/d/new", "/d/old"))
	must(t, f.Rename("/d/across", "/e/across"))
	seen := map[string]int{}
	for mode := range Modes {
		for seed := range uint64(50) {
			img := f.Crash(Mode(mode), seed)
			state := read(img, "/d/old") + " " + read(img, "/d/new") + " " + read(img, "/d/across") + " " + read(img, "/e/across")
			seen[state]++
			switch state {
			case "old new across -", "new - across -", "old new - across", "new - - across":
			default:
				t.Fatalf("%v seed %d: %s", mode, seed, state)
			}
		}
	}
	if len(seen) != 4 {
		t.Errorf("images hold %v, want all four", seen)
	}
	syncDir(t, f, "/e") // takes its half in /d along, and what came before that
	if img := f.Crash(None, 1); read(img, "/e/across") != "across" || read(img, "/d/across") != "-" || read(img, "/d/old") != "new" {
		t.Errorf("after a sync of one side:\n%s", img)
	}
}

func TestSectorsSurviveApart(t *testing.T) {
	f := New()
	writeFile(t, f, "/f", strings.Repeat("o", 4*SectorSize), true)
	syncDir(t, f, "/")
	file, err := f.OpenReadWrite("/f", unspecified)
	must(t, err)
	_, err = file.WriteAt(bytes.Repeat([]byte("n"), 3*SectorSize), SectorSize/2)
	must(t, err)
	kinds := map[string]bool{}
	for seed := range uint64(200) {
		got := read(f.Crash(Random, seed), "/f")
		kind := ""
		for off := 0; off < len(got); off += SectorSize / 2 {
			if s := got[off:][:SectorSize/2]; strings.Trim(s, "o") != "" && strings.Trim(s, "n") != "" {
				t.Fatalf("seed %d: sector torn", seed)
			}
			kind += got[off:][:1]
		}
		kinds[kind] = true
	}
	if len(kinds) != 16 { // the write touches four sectors
		t.Errorf("%d kinds of images, want 16", len(kinds))
	}
	torn := false
	for seed := range uint64(100) {
		got := read(f.Crash(Torn, seed), "/f")
		for off := SectorSize; off < 3*SectorSize; off += SectorSize {
			torn = torn || strings.Contains(got[off:][:SectorSize], "no")
		}
	}
	if !torn {
		t.Error("no torn sector in 100 images")
	}
}

func TestFailedSyncLosesForGood(t *testing.T) {
	f := New()
	file, err := f.Create("/f", unspecified)
	must(t, err)
	syncDir(t, f, "/")
	_, err = file.Write([]byte("lost"))
	must(t, err)
	boom := errors.New("boom")
	f.SetHook(func(op Op) error {
		if op.Kind == SyncData {
			return boom
		}
		return nil
	})
	if err := file.SyncData(); !errors.Is(err, boom) {
		t.Fatalf("sync: %v", err)
	}
	f.SetHook(nil)
	must(t, file.SyncData())
	if got := read(f, "/f"); got != "lost" {
		t.Errorf("reads %q", got)
	}
	if got := read(f.Kill(), "/f"); got != "lost" {
		t.Errorf("next process reads %q", got)
	}
	if got := read(f.Crash(All, 1), "/f"); got != "" {
		t.Errorf("disk has %q", got)
	}
}

func TestKillKeepsUnsyncedUnsynced(t *testing.T) {
	f := New()
	if _, err := f.Lock("/LOCK"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Lock("/LOCK"); !errors.Is(err, ErrLocked) {
		t.Fatalf("second lock: %v", err)
	}
	writeFile(t, f, "/f", "x", false)
	next := f.Kill()
	if _, err := next.Lock("/LOCK"); err != nil {
		t.Errorf("lock outlived its process: %v", err)
	}
	if got := read(next, "/f"); got != "x" {
		t.Errorf("reads %q", got)
	}
	if got := read(next.Crash(None, 1), "/f"); got != "-" {
		t.Errorf("the death of a process synced: %q", got)
	}
	file, err := next.OpenReadWrite("/f", unspecified)
	must(t, err)
	must(t, file.Sync())
	syncDir(t, next, "/")
	if got := read(next.Crash(None, 1), "/f"); got != "x" {
		t.Errorf("after a sync: %q", got)
	}
	if got := read(f.Crash(None, 1), "/f"); got != "-" {
		t.Errorf("the image reaches back: %q", got)
	}
}

func TestHookSeesAndFails(t *testing.T) {
	f := New()
	var seen []string
	f.SetHook(func(op Op) error {
		seen = append(seen, op.String())
		if op.Kind == Write {
			return &ShortWrite{N: 2, Err: errors.New("disk full")}
		}
		return nil
	})
	file, err := f.Create("/f", unspecified)
	must(t, err)
	if n, err := file.Write([]byte("abcd")); n != 2 || err == nil {
		t.Errorf("short write: %d, %v", n, err)
	}
	must(t, f.Rename("/f", "/g"))
	want := "1: create /f\n2: write /f 0+4\n3: rename /f /g"
	if got := strings.Join(seen, "\n"); got != want {
		t.Errorf("hook saw\n%s\nwant\n%s", got, want)
	}
	if got := read(f, "/g"); got != "ab" {
		t.Errorf("file has %q", got)
	}
}

func TestFailAtFailsOnce(t *testing.T) {
	for _, fault := range slices.Concat(Faults(0), Faults(1), Faults(2), Faults(3)) {
		f := New()
		failed := f.FailAt(2, fault)
		file, err := f.Create("/f", unspecified)
		must(t, err)
		n, err := file.Write([]byte("abcd"))
		if !errors.Is(err, fault.Err) || failed() == nil || failed().Kind != Write || (n == 2) != fault.Half {
			t.Errorf("%s: %d bytes, %v, failed %v", fault, n, err, failed())
		}
		_, err = file.Write([]byte("e"))
		must(t, err)
		must(t, file.Sync())
	}
}

// A tree goes name by name: a crash may leave a half of it, and a fault too.
func TestRemoveAllIsManyOperations(t *testing.T) {
	f := New()
	must(t, f.MkdirAll("/d/e", 0o755))
	writeFile(t, f, "/d/a", "a", true)
	writeFile(t, f, "/d/e/b", "b", true)
	for _, dir := range []string{"/", "/d", "/d/e"} {
		syncDir(t, f, dir)
	}
	var seen []string
	f.SetHook(func(op Op) error {
		seen = append(seen, op.Name)
		if op.Name == "/d" {
			return errors.New("boom")
		}
		return nil
	})
	if err := f.RemoveAll("/d"); err == nil {
		t.Error("a fault got lost")
	}
	if got := strings.Join(seen, " "); got != "/d/a /d/e/b /d/e /d" {
		t.Errorf("removed %s", got)
	}
	halves := map[string]bool{}
	for _, img := range f.Images(1, 20) {
		halves[read(img.FS, "/d/a")+read(img.FS, "/d/e/b")] = true
	}
	if len(halves) != 4 {
		t.Errorf("images hold %v, want all four", halves)
	}
}

func TestImagesAreDistinctAndReproducible(t *testing.T) {
	f := New()
	writeFile(t, f, "/f", strings.Repeat("x", 3*SectorSize), false)
	writeFile(t, f, "/g", "x", true)
	images, again := f.Images(7, 4), f.Images(7, 4)
	seen := map[string]string{}
	for i, img := range images[:len(images)-1] {
		if other := seen[img.FS.String()]; other != "" {
			t.Errorf("%s is %s", img.Name, other)
		}
		seen[img.FS.String()] = img.Name
		if again[i].Name != img.Name || again[i].FS.String() != img.FS.String() {
			t.Errorf("%s differs from run to run", img.Name)
		}
	}
	if last := images[len(images)-1]; last.Name != "killed" || len(images) < 6 || images[0].Name != "none 7" {
		t.Errorf("%d images, the last is %s", len(images), last.Name)
	}
	syncDir(t, f, "/")
	file, err := f.OpenReadWrite("/f", unspecified)
	must(t, err)
	must(t, file.Sync())
	if n := len(f.Images(7, 4)); n != 2 {
		t.Errorf("%d images of a disk that is all synced, want it and the killed process's", n)
	}
}

func TestFSBehaves(t *testing.T) {
	f := New()
	if _, err := f.Open("/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open: %v", err)
	}
	if _, err := f.Create("/none/f", unspecified); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("create in a missing directory: %v", err)
	}
	writeFile(t, f, "b", "one", true)
	must(t, f.Link("/b", "/a"))
	if err := f.Link("/b", "/a"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("link over a file: %v", err)
	}
	old, err := f.Open("/b")
	must(t, err)
	writeFile(t, f, "/b", "two", true) // a new file: the link and the open one keep the old
	if got, _ := io.ReadAll(old); string(got) != "one" || read(f, "/a") != "one" || read(f, "/b") != "two" {
		t.Errorf("create changed the old file: %q", got)
	}
	must(t, f.MkdirAll("/d/e", 0o700))
	if err := f.Remove("/d"); err == nil {
		t.Error("removed a directory that isn't empty")
	}
	names, err := f.List("/")
	if err != nil || fmt.Sprint(names) != "[a b d]" {
		t.Errorf("list: %v %v", names, err)
	}
	must(t, f.RemoveAll("/d"))
	must(t, f.RemoveAll("/d"))
	if i, err := f.Stat("/b"); err != nil || i.Size() != 3 || i.IsDir() {
		t.Errorf("stat: %v %v", i, err)
	}
	must(t, old.Close())
	if _, err := old.ReadAt(make([]byte, 1), 0); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
}

// random does what a seed says; the same seed must give the same images.
func random(t *testing.T, seed uint64) string {
	f := New()
	rng := rand.New(rand.NewPCG(seed, 1))
	var images strings.Builder
	for range 60 {
		name := fmt.Sprintf("/%c", 'a'+rng.IntN(6))
		switch rng.IntN(6) {
		case 0:
			syncDir(t, f, "/")
		case 1:
			_ = f.Rename(name, fmt.Sprintf("/%c", 'a'+rng.IntN(6)))
		case 2:
			_ = f.Remove(name)
		default:
			writeFile(t, f, name, strings.Repeat(name, rng.IntN(1000)), rng.IntN(2) == 0)
		}
		for mode := range Modes {
			images.WriteString(f.Crash(Mode(mode), seed).String())
		}
	}
	return images.String()
}

func TestDeterministic(t *testing.T) {
	for seed := range uint64(20) {
		first, second := random(t, seed), random(t, seed)
		if first != second {
			t.Fatalf("seed %d: images differ between two runs", seed)
		}
	}
}

// Pebble is the FS's second user: it must run on it, and find what it synced.
func TestPebbleSurvives(t *testing.T) {
	f := New()
	db, err := pebble.Open("/db", &pebble.Options{FS: f, Logger: quiet{}})
	must(t, err)
	must(t, db.Set([]byte("k"), []byte("v"), pebble.Sync))
	must(t, db.Flush())
	must(t, db.Set([]byte("l"), []byte("w"), pebble.Sync))
	img := f.Crash(None, 1)
	must(t, db.Close())
	db, err = pebble.Open("/db", &pebble.Options{FS: img, Logger: quiet{}})
	must(t, err)
	for _, k := range []string{"k", "l"} {
		_, c, err := db.Get([]byte(k))
		if err != nil {
			t.Fatalf("get %s after a crash: %v", k, err)
		}
		must(t, c.Close())
	}
	must(t, db.Close())
}

type quiet struct{}

func (quiet) Infof(string, ...any)              {}
func (quiet) Errorf(string, ...any)             {}
func (quiet) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
