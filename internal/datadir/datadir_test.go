package datadir

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/crashfs"
	"github.com/musterhq/muster/internal/race"
)

const path = "/var/lib/muster/a"

// seeded is a source of incarnations that differs from seed to seed.
func seeded(seed byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{seed, 1}) }

func open(t *testing.T, fs *crashfs.FS, name string) *Dir {
	t.Helper()
	d, err := Open(path, Options{FS: fs, Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestIdentityStaysEpochGrows(t *testing.T) {
	fs := crashfs.New()
	d := open(t, fs, "a")
	first := d.Identity()
	if first.Incarnation.IsZero() || first.Name != "a" || first.Epoch != 1 {
		t.Fatalf("first: %+v", first)
	}
	for _, p := range []string{d.LogPath(), d.SnapshotPath(), d.MachinePath()} {
		if info, err := fs.Stat(p); err != nil || !info.IsDir() || filepath.Dir(p) != path {
			t.Errorf("%s: %v", p, err)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	d = open(t, fs.Crash(crashfs.None, 1), "")
	id := d.Identity()
	if id.Incarnation != first.Incarnation || id.Name != "a" || id.Epoch != 2 {
		t.Errorf("second: %+v after %+v", id, first)
	}
}

// Each boot has a word of its own, those of some boots before it with it; a
// copy goes its own way.
func TestBoots(t *testing.T) {
	fs := crashfs.New()
	var was []string
	for n := 1; n <= keptBoots+3; n++ {
		d := open(t, fs, "a")
		boots := d.Identity().Boots
		if len(boots) != min(n, keptBoots) || len(boots[0]) != 16 || slices.Contains(boots[1:], boots[0]) || !slices.Equal(boots[1:], was[:len(boots)-1]) {
			t.Fatalf("boot %d: %v after %v", n, boots, was)
		}
		was = boots
		_ = d.Close()
	}
	image := fs.Kill()
	a, b := open(t, fs, "a").Identity(), open(t, image, "a").Identity()
	if a.Epoch != b.Epoch || a.Boots[0] == b.Boots[0] || !slices.Equal(a.Boots[1:], b.Boots[1:]) {
		t.Errorf("a disk %+v and its copy %+v", a, b)
	}
}

func TestIncarnationComesFromRand(t *testing.T) {
	d, err := Open(path, Options{FS: crashfs.New(), Rand: bytes.NewReader(append(make([]byte, 16), "0123456789abcdefthe boot"...))})
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Identity().Incarnation; string(got[:]) != "0123456789abcdef" {
		t.Errorf("drew %v; a zero one must be drawn again", got)
	}
	if got := d.Identity().Boots; len(got) != 1 || got[0] != hex.EncodeToString([]byte("the boot")) {
		t.Errorf("drew %v for the boot", got)
	}
	for _, short := range []string{"short", "0123456789abcdef", "0123456789abcdefa boot."} {
		if _, err := Open(path, Options{FS: crashfs.New(), Rand: strings.NewReader(short)}); err == nil {
			t.Errorf("the draw %q passed", short)
		}
	}
}

func TestNameIsAdopted(t *testing.T) {
	fs := crashfs.New()
	_ = open(t, fs, "").Close()
	_ = open(t, fs, "a").Close()
	if _, err := Open(path, Options{FS: fs, Name: "b"}); !errors.Is(err, ErrOtherNode) {
		t.Errorf("another name: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(*crashfs.FS)
		want    error
		says    []string
	}{
		{"foreign", func(fs *crashfs.FS) { _ = fs.WriteFile(path+"/base.db", nil) }, ErrForeign, []string{"base.db", path, "choose another directory"}},
		{"identity gone", func(fs *crashfs.FS) { _ = fs.Remove(path + "/identity") }, ErrDamaged, []string{path + "/identity", `"log"`, "restore it"}},
		{"identity empty", func(fs *crashfs.FS) { _ = fs.WriteFile(path+"/identity", nil) }, ErrDamaged, []string{path + "/identity"}},
		{"other node", func(fs *crashfs.FS) {}, ErrOtherNode, []string{`"a"`, `"b"`, path, "directory of its own"}},
		{"in use", nil, ErrInUse, []string{path, "stop that node", "choose another directory"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			fs := crashfs.New()
			name := "b"
			switch {
			case c.want == ErrForeign:
				if err := fs.MkdirAll(path, 0o755); err != nil {
					t.Fatal(err)
				}
			case c.prepare == nil:
				name = "a"
				defer open(t, fs, "a").Close()
			default:
				_ = open(t, fs, "a").Close()
			}
			if c.prepare != nil {
				c.prepare(fs)
			}
			before, ops := fs.String(), fs.Ops()
			_, err := Open(path, Options{FS: fs, Name: name})
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			for _, s := range c.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%q does not say %q", err, s)
				}
			}
			if fs.String() != before || c.want != ErrInUse && fs.Ops() != ops {
				t.Errorf("the directory was touched:\n%swas\n%s", fs, before)
			}
		})
	}
}

func TestOtherNodeSaysID(t *testing.T) {
	fs := crashfs.New()
	d := open(t, fs, "a")
	_ = d.Close()
	_, err := Open(path, Options{FS: fs, Name: "b"})
	other, ok := errors.AsType[*OtherNodeError](err)
	if !ok || other.ID != d.Identity().Incarnation.NodeID() || !strings.Contains(err.Error(), other.ID.String()) {
		t.Errorf("got %v", err)
	}
}

func TestPathIsAFile(t *testing.T) {
	fs := crashfs.New()
	if err := fs.WriteFile("/file", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := Open("/file/below", Options{FS: fs}); err == nil || !strings.Contains(err.Error(), "is a file") {
		t.Errorf("got %v", err)
	}
}

func TestFreshFileSystemIsEmpty(t *testing.T) {
	fs := crashfs.New()
	if err := fs.MkdirAll(path+"/lost+found", 0o700); err != nil {
		t.Fatal(err)
	}
	_ = open(t, fs, "a").Close()
}

type state struct{ Ballot int }

func TestState(t *testing.T) {
	fs := crashfs.New()
	d := open(t, fs, "a")
	var s state
	if ok, err := d.LoadState(&s); ok || err != nil {
		t.Fatalf("never saved: %v %v", ok, err)
	}
	if err := d.SaveState(state{7}); err != nil {
		t.Fatal(err)
	}
	if err := d.SaveState(make(chan int)); err == nil {
		t.Error("a channel was encoded")
	}
	_ = d.Close()
	if err := d.SaveState(state{8}); !errors.Is(err, ErrClosed) {
		t.Errorf("save after close: %v", err)
	}
	d = open(t, fs.Crash(crashfs.None, 1), "a")
	if ok, err := d.LoadState(&s); !ok || err != nil || s.Ballot != 7 {
		t.Errorf("loaded %v, %v %v", s, ok, err)
	}
}

// Every bit of either file: refused, with the file's name and what of it can't
// be believed, or harmless.
func TestBitFlips(t *testing.T) {
	fs := crashfs.New()
	d := open(t, fs, "a")
	if err := errors.Join(d.SaveState(promised(7)), d.SavePeers(promised(8))); err != nil {
		t.Fatal(err)
	}
	id := d.Identity().Incarnation
	_ = d.Close()
	flips := 0
	for _, name := range []string{path + "/identity", path + "/state", path + "/peers"} {
		good, err := fs.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all := 8 * len(good)
		n := race.Share(all)
		for i := range n {
			bit, bad := i*all/n, bytes.Clone(good)
			bad[bit/8] ^= 1 << (bit % 8)
			img := fs.Kill()
			if err := img.WriteFile(name, bad); err != nil {
				t.Fatal(err)
			}
			flips++
			var s, p promise
			d, err := Open(path, Options{FS: img, Name: "a"})
			if err == nil {
				_, serr := d.LoadState(&s)
				_, perr := d.LoadPeers(&p)
				err = errors.Join(serr, perr)
			}
			if err != nil {
				if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), fmt.Sprintf("%s: bytes 0 to %d:", name, len(bad))) {
					t.Fatalf("%s bit %d: %v", name, bit, err)
				}
				continue
			}
			if d.Identity().Incarnation != id || s != promised(7) || p != promised(8) {
				t.Fatalf("%s bit %d: silently %+v, %+v, %+v\n%s", name, bit, d.Identity(), s, p, bad)
			}
		}
	}
	crashfs.Report(t, flips, "bit flips", 1500)
}

// Golden: a later build must read what this one wrote.
func TestGolden(t *testing.T) {
	fs := crashfs.New()
	if err := fs.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	const identity = `{"format":1,"crc32c":"0128d29c","body":{"incarnation":"000102030405060708090a0b0c0d0e0f","name":"a","epoch":41,"boots":["00112233445566ff"],"created":"2026-01-02T03:04:05Z"}}` + "\n"
	const saved = `{"format":1,"crc32c":"3db3cc36","body":{"Ballot":7}}` + "\n"
	for name, s := range map[string]string{"identity": identity, "state": saved} {
		if err := fs.WriteFile(path+"/"+name, []byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	d := open(t, fs, "a")
	want := Identity{Incarnation: cluster.Incarnation{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, Name: "a", Epoch: 42, Boots: d.Identity().Boots}
	var s state
	if ok, err := d.LoadState(&s); !reflect.DeepEqual(d.Identity(), want) || !slices.Equal(want.Boots[1:], []string{"00112233445566ff"}) || !ok || err != nil || s.Ballot != 7 {
		t.Errorf("read %+v, %+v, %v", d.Identity(), s, err)
	}
	if err := d.SaveState(s); err != nil {
		t.Fatal(err)
	}
	if b, _ := fs.ReadFile(path + "/state"); string(b) != saved {
		t.Errorf("wrote %s want %s", b, saved)
	}
	newer := strings.NewReplacer(`"format":1`, `"format":2`, "3db3cc36", "c1ba33fc").Replace(saved)
	_ = fs.WriteFile(path+"/state", []byte(newer))
	if _, err := d.LoadState(&s); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("newer format: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	good, err := encode(state{7})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"format":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var v json.RawMessage
		if err := decode("state", b, &v); err == nil && !json.Valid(v) {
			t.Errorf("accepted %q", v)
		}
	})
}

// On the real file system, with a real second process.
func TestLockAgainstProcess(t *testing.T) {
	if dir := os.Getenv("DATADIR_TEST_OPEN"); dir != "" {
		_, err := Open(dir, Options{})
		fmt.Println(err)
		return
	}
	dir := filepath.Join(t.TempDir(), "deep", "er")
	link := filepath.Join(t.TempDir(), "link")
	d, err := Open(dir, Options{Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(link, Options{Name: "a"}); !errors.Is(err, ErrInUse) {
		t.Errorf("same process, by a link: %v", err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestLockAgainstProcess$")
	cmd.Env = append(os.Environ(), "DATADIR_TEST_OPEN="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), ErrInUse.Error()) {
		t.Errorf("other process: %v\n%s", err, out)
	}
	if err := d.SaveState(state{1}); err != nil {
		t.Error(err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	d, err = Open(dir, Options{Name: "a"})
	if err != nil || d.Identity().Epoch != 2 {
		t.Fatalf("after close: %v", err)
	}
	_ = d.Close()
}

// FuzzIdentity opens a directory whose identity has any body, under a checksum
// that is right: it is refused, or the node is who it was before.
func FuzzIdentity(f *testing.F) {
	f.Add([]byte(`{"incarnation":"000102030405060708090a0b0c0d0e0f","name":"a","epoch":41,"created":"2026-01-02T03:04:05Z"}`))
	f.Add([]byte(`{"incarnation":"","epoch":1}`))
	f.Add([]byte(`{"incarnation":"01000000000000000000000000000000","epoch":18446744073709551615}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if !json.Valid(body) {
			return
		}
		fs := crashfs.New()
		b, err := encode(json.RawMessage(body))
		if err == nil {
			err = fs.MkdirAll(path, 0o700)
		}
		if err == nil {
			err = fs.WriteFile(path+"/identity", b)
		}
		if err != nil {
			t.Fatal(err)
		}
		var was record
		readable := json.Unmarshal(body, &was) == nil
		d, err := Open(path, Options{FS: fs})
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatalf("unsorted error: %v", err)
			}
			return
		}
		id := d.Identity()
		if !readable || id.Incarnation.IsZero() || id.Incarnation != was.Incarnation || id.Name != was.Name || id.Epoch <= was.Epoch {
			t.Fatalf("%s became %+v", body, id)
		}
	})
}
