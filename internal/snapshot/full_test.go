package snapshot

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/musterhq/muster/internal/crashfs"
)

// TestDiskFullDuringSnapshotInstall: while an image comes in the disk fills up,
// at each operation once, and stays full. It is refused as such, the old image
// stays, also when the power goes then, and once there is room the same image
// is taken in, by the same process or after a restart.
func TestDiskFullDuringSnapshotInstall(t *testing.T) {
	src := source(t)
	receive := story{"receive", false, func(m *member, src *Image) error { return m.receive(src, 300, -1) }}
	whole := receive.begin(t)
	if err := receive.run(whole, src); err != nil {
		t.Fatal(err)
	}
	struck := 0
	for n := 1; n <= whole.fs.Ops(); n++ {
		m := receive.begin(t)
		if err := m.open(); err != nil {
			t.Fatal(err)
		}
		full := false
		m.fs.SetHook(func(op crashfs.Op) error {
			full = full || op.N >= n
			takesRoom := op.Kind == crashfs.Create || op.Kind == crashfs.Mkdir || op.Kind == crashfs.Write || op.Kind == crashfs.Link
			if full && takesRoom {
				return syscall.ENOSPC
			}
			return nil
		})
		err := m.receive(src, 300, -1)
		m.fs.SetHook(nil)
		if errors.Is(err, errWrong) {
			t.Fatalf("full from operation %d on: %v", n, err)
		}
		if err == nil {
			continue // nothing took room any more
		}
		struck++
		if !errors.Is(err, ErrNoSpace) || errors.Is(err, ErrStorage) {
			t.Fatalf("full from operation %d on: %v", n, err)
		}
		if newest := m.s.Newest(); newest == nil || newest.Index != 10 || holds(newest, atIndex[10]) != nil {
			t.Fatalf("full from operation %d on: the old image is gone: %v", n, newest)
		}
		for _, img := range append(m.fs.Images(uint64(n), 2), crashfs.Image{FS: m.fs, Name: "the same process"}) {
			if err := again(m, img, src); err != nil {
				t.Fatalf("full from operation %d on, then image %s: %v", n, img.Name, err)
			}
		}
	}
	if struck < 20 {
		t.Fatalf("the disk was full only %d times", struck)
	}
}

// again takes the image in, now that there is room.
func again(m *member, disk crashfs.Image, src *Image) error {
	after := &member{fs: disk.FS, s: m.s, acked: m.acked}
	if disk.FS != m.fs {
		if err := after.open(); err != nil {
			return err
		}
	}
	if newest := after.s.Newest(); newest == nil || newest.Index != 10 {
		return fmt.Errorf("the newest image is %v, want that at index 10", newest)
	}
	if err := after.receive(src, 300, -1); err != nil {
		return err
	}
	return holds(after.s.Newest(), atIndex[20])
}
