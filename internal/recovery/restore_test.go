package recovery

import (
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/crashfs"
	"github.com/musterhq/muster/internal/datadir"
	"github.com/musterhq/muster/internal/snapshot"
)

// imageOf writes an image of one file.
func imageOf(fs vfs.FS, content string) func(string) (uint64, error) {
	return func(dir string) (uint64, error) {
		f, err := fs.Create(fs.PathJoin(dir, "file"), vfs.WriteCategoryUnspecified)
		if err != nil {
			return 0, err
		}
		_, err = io.WriteString(f, content)
		return 9, errors.Join(err, f.Close())
	}
}

var restoreOpt = RestoreOptions{Name: "n1", Cluster: "c"}

// restored looks whether the directory is a member's that has the image.
func restored(t *testing.T, fs *crashfs.FS) Report {
	t.Helper()
	r, err := Inspect(path, Options{FS: fs})
	check(t, err)
	if r.Stage != "member" || r.Name != "n1" || r.Cluster != "c" || len(r.Members) != 1 || r.Role() != cluster.Voter ||
		r.Snapshot != 9 || r.LastIndex != 9 || r.Committed != 9 || r.Unfit != "" {
		t.Fatalf("restored: %+v", r)
	}
	s, err := snapshot.Open(path+"/snapshot", fs)
	check(t, err)
	check(t, s.Newest().Verify())
	return r
}

func TestRestore(t *testing.T) {
	fs := crashfs.New()
	opt := restoreOpt
	opt.FS = fs
	got, err := Restore(path, opt, imageOf(fs, "a"))
	check(t, err)
	if r := restored(t, fs); r.ClusterID != got.ClusterID || r.ID != got.ID || got.Index != 9 || got.ClusterID.IsZero() {
		t.Errorf("said %+v, is %+v", got, r)
	}
	if _, err := Restore(path, opt, imageOf(fs, "a")); !errors.Is(err, datadir.ErrOccupied) {
		t.Errorf("restored over a member: %v", err)
	}

	other := crashfs.New()
	opt.FS = other
	again, err := Restore(path, opt, imageOf(other, "a"))
	check(t, err)
	if again.ClusterID == got.ClusterID {
		t.Error("two restores of one backup are one cluster")
	}

	// An image that can't be written leaves an empty directory.
	bad := crashfs.New()
	opt.FS = bad
	broken := errors.New("broken")
	if _, err := Restore(path, opt, func(string) (uint64, error) { return 0, broken }); !errors.Is(err, broken) {
		t.Errorf("a broken image: %v", err)
	}
	if _, err := Restore(path, opt, func(string) (uint64, error) { return 1, nil }); err == nil {
		t.Error("an image of nothing was taken")
	}
	names, err := bad.List(path)
	check(t, err)
	if !slices.Equal(names, []string{"LOCK"}) {
		t.Errorf("a restore that failed leaves %v", names)
	}
}

// TestRestoreCrashAtEveryStep: whenever the power goes, the directory is one on
// which no node starts, or the whole; and doing it again makes it whole.
func TestRestoreCrashAtEveryStep(t *testing.T) {
	finished := false
	halves := 0
	for at := 1; !finished; at++ {
		for mode := range crashfs.Modes {
			fs := crashfs.New()
			check(t, fs.MkdirAll(path, 0o700))
			n := 0
			var img *crashfs.FS
			fs.SetHook(func(crashfs.Op) error {
				if n++; n == at {
					img = fs.Crash(crashfs.Mode(mode), uint64(at))
				}
				if n >= at {
					return errPower
				}
				return nil
			})
			opt := restoreOpt
			opt.FS = fs
			_, err := Restore(path, opt, imageOf(fs, "content"))
			if img == nil {
				check(t, err)
				finished = true
				continue
			}
			whole := startable(t, img.Kill(), at)
			if !whole {
				halves++
				opt.FS = img
				if _, err := Restore(path, opt, imageOf(img, "content")); err != nil {
					t.Fatalf("power lost at operation %d, %v, and done again: %v", at, crashfs.Mode(mode), err)
				}
			}
			restored(t, img)
		}
	}
	if halves < 10 {
		t.Errorf("only %d of the crashes left a half: is it tried at all?", halves)
	}
}

// startable says whether a node would start on the directory with the content.
// One that is as good as empty is where nothing has been done yet.
func startable(t *testing.T, fs *crashfs.FS, at int) bool {
	t.Helper()
	names, err := fs.List(path)
	if err != nil || !slices.ContainsFunc(names, func(n string) bool { return n != "LOCK" }) {
		return false
	}
	d, err := datadir.Open(path, datadir.Options{FS: fs, Name: "n1"})
	if errors.Is(err, datadir.ErrAssembling) {
		return false
	}
	if err != nil {
		t.Fatalf("power lost at operation %d: %v", at, err)
	}
	check(t, d.Close())
	return true
}
