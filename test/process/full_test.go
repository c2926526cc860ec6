package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// smallDisk mounts a file system of so many MiB and puts the member's directory on it.
func smallDisk(t *testing.T, m *member, size int) (disk string) {
	t.Helper()
	needRoot(t, "mount")
	disk = t.TempDir()
	run(t, "mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%dm", size), "tmpfs", disk)
	t.Cleanup(func() {
		m.Kill()
		run(t, "umount", disk)
	})
	m.dir = filepath.Join(disk, m.name)
	return disk
}

// The disk of a joiner is too small for the image that it is sent: it refuses
// it, says so, and so does the sender; it warned before. With room it goes on by
// itself. Then the disk fills up while a larger image comes in: the node refuses
// that, or stops with its exit code. What it had it keeps, and with room it goes on.
func TestDiskFullDuringSnapshotInstall(t *testing.T) {
	t.Parallel()
	n1 := newMember(t, "n1", "--single")
	n2 := newMember(t, "n2", "--join-only", "--seeds", n1.peer)
	disk := smallDisk(t, n2, 40)
	n1.start("--snapshot-log-bytes", "2097152", "--snapshot-send-rate", "8388608")
	ready(t, n1)
	c := dial(t, n1)
	put(t, c, "first", "kept")
	put16 := func(label string) {
		for i := range 64 {
			put(t, c, fmt.Sprint(label, i), randomText(256<<10))
		}
	}
	put16("a")

	fill := filepath.Join(disk, "fill")
	occupy := func(mib int) {
		t.Helper()
		if err := os.WriteFile(fill, make([]byte, mib<<20), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	room := func() {
		t.Helper()
		if err := os.Remove(fill); err != nil {
			t.Fatal(err)
		}
		run(t, "mount", "-o", "remount,size=240m", disk)
	}

	occupy(30)
	n2.start()
	eventually(t, "n2 says that its disk is full", func() bool { return strings.Contains(n2.why(), "disk_full") })
	eventually(t, "n1 says that n2 did not take the snapshot", func() bool { return strings.Contains(n1.why(), "snapshot_not_sent") })
	if s, err := n2.status(); err != nil || s.Applied > 0 {
		t.Fatalf("n2 applied %d, %v: it has an image for which there was no room", s.Applied, err)
	}
	room()
	ready(t, n2)
	same(t, n1, n2)

	// It is behind, its log is compacted away, and there is room for little.
	if code := n2.term(); code != 0 {
		t.Fatalf("n2 ended with %d", code)
	}
	put16("b")
	put16("c")
	occupy(freeMiB(t, disk) - 4)
	n2.start()
	eventually(t, "n2 refuses the image, or has stopped", func() bool {
		return !n2.Running() || strings.Contains(n2.why(), "disk_full")
	})
	stopped := !n2.Running()
	if stopped && n2.exit() != exitDisk {
		t.Fatalf("n2 ended with %d, want %d", n2.exit(), exitDisk)
	}
	if !stopped {
		out, code := muster(t, "get", "--serializable", "first", "--endpoint", n2.client)
		if code != 0 || !strings.Contains(out, "kept") {
			t.Fatalf("n2 has lost what it had: code %d\n%s", code, out)
		}
		if why := n2.why(); !strings.Contains(why, "disk_low") {
			t.Errorf("it doesn't say that its disk is almost full:\n%s", why)
		}
	}
	t.Logf("n2 stopped: %v", stopped)
	room()
	if stopped {
		n2.start()
	}
	ready(t, n2)
	same(t, n1, n2)
}

// freeMiB is how much is free on a file system.
func freeMiB(t *testing.T, dir string) int {
	t.Helper()
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		t.Fatal(err)
	}
	return int(s.Bavail * uint64(s.Bsize) >> 20)
}
