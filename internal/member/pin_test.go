package member

import (
	"errors"
	"fmt"
	"testing"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/crashfs"
	"github.com/musterhq/muster/internal/datadir"
	"github.com/musterhq/muster/internal/wire"
)

// pinned is a disk with a place for a pin beside the data directory.
func pinned(t *testing.T) *crashfs.FS {
	t.Helper()
	fs := crashfs.New()
	must(t, fs.MkdirAll("/pins", 0o700))
	root, err := fs.OpenDir("/")
	must(t, err)
	must(t, errors.Join(root.Sync(), root.Close()))
	return fs
}

// onDisk reads both documents of a disk that nobody uses.
func onDisk(t *testing.T, fs *crashfs.FS) (state State, pin Pin) {
	t.Helper()
	fs = fs.Kill()
	if _, err := fs.Stat("/d/identity"); err == nil {
		dir, err := datadir.Open("/d", datadir.Options{FS: fs})
		must(t, err)
		_, err = dir.LoadState(&state)
		must(t, errors.Join(err, dir.Close()))
	}
	file, err := datadir.OpenPin(fs, "/pins/a")
	must(t, err)
	_, err = file.LoadPin(&pin)
	must(t, err)
	return state, pin
}

// Whenever power is lost while a node founds alone, a disk on which it is a
// member has its pin beside it; and it comes up as a member, of the cluster of
// its pin if there is one. With its disk lost and its pin kept it founds none.
func TestPinIsThereBeforeTheMember(t *testing.T) {
	var images []*crashfs.FS
	fs := pinned(t)
	seed := uint64(0)
	fs.SetHook(func(crashfs.Op) error {
		seed++
		images = append(images, fs.Crash(crashfs.Mode(seed%uint64(crashfs.Modes)), seed))
		return nil
	})
	s, err := bootStill(t, fs, 1<<20)
	must(t, err)
	s.rest()
	fs.SetHook(nil)
	between := 0
	for i, img := range append(images, fs.Kill()) {
		state, pin := onDisk(t, img)
		if state.Stage == wire.InCluster && pin.ClusterID != state.ClusterID {
			t.Fatalf("image %d: a member of %s, its pin says %+v", i, state.ClusterID, pin)
		}
		if state.Stage != wire.InCluster && !pin.ClusterID.IsZero() {
			between++
		}
		s, err := bootStill(t, img, 1<<20)
		must(t, err)
		s.rest()
		v := s.m.view
		if !v.InCluster() || !pin.ClusterID.IsZero() && v.Status.ClusterID != pin.ClusterID {
			t.Fatalf("image %d: it is %s in %s, its pin says %s; %v", i, v.Stage, v.Status.ClusterID, pin.ClusterID, v.Why)
		}
		if _, pin = onDisk(t, img); pin.ClusterID != v.Status.ClusterID || pin.Cluster != "test" {
			t.Fatalf("image %d: the pin says %+v", i, pin)
		}
		must(t, img.RemoveAll("/d"))
		s, err = bootStill(t, img, 1<<20)
		must(t, err)
		s.ticks(30)
		if v := s.m.view; v.InCluster() || len(v.Why) == 0 || v.Why[0].Code != "pinned" || v.Hello().Pin != pin.ClusterID {
			t.Fatalf("image %d, wiped: it is %s; %+v", i, v.Stage, v.Why)
		}
	}
	if between == 0 {
		t.Error("no power loss between the pin and the state was tried")
	}
}

// A pin that contradicts the directory, or the configuration, is refused; a
// member without one is given one.
func TestPinOfAMember(t *testing.T) {
	boot := func(change func(datadir.PinFile)) error {
		fs := pinned(t)
		s, err := bootStill(t, fs, 1<<20)
		must(t, err)
		s.rest()
		fs = fs.Kill()
		file, err := datadir.OpenPin(fs, "/pins/a")
		must(t, err)
		change(*file)
		_, err = bootStill(t, fs, 1<<20)
		if state, pin := onDisk(t, fs); err == nil && pin.ClusterID != state.ClusterID {
			t.Errorf("it runs in %s, its pin says %s", state.ClusterID, pin.ClusterID)
		}
		return err
	}
	write := func(p Pin) func(datadir.PinFile) {
		return func(f datadir.PinFile) { must(t, f.SavePin(p)) }
	}
	if err := boot(func(datadir.PinFile) {}); err != nil {
		t.Errorf("as it was: %v", err)
	}
	for _, p := range []Pin{{Cluster: "test", ClusterID: cluster.ClusterID{9}}, {Cluster: "other", ClusterID: cluster.ClusterID{9}}, {Cluster: "test"}} {
		if err := boot(write(p)); !errors.Is(err, ErrPin) {
			t.Errorf("%+v: %v", p, err)
		}
	}
	fs := crashfs.New()
	s, err := bootStill(t, fs, 1<<20)
	must(t, err)
	s.rest()
	fs = fs.Kill()
	must(t, fs.MkdirAll("/pins", 0o700))
	s, err = bootStill(t, fs, 1<<20)
	must(t, err)
	if state, pin := onDisk(t, fs); pin.ClusterID != state.ClusterID || pin.ClusterID != s.m.view.Status.ClusterID {
		t.Errorf("a member is given the pin %s", fmt.Sprint(pin))
	}
}
