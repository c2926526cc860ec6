package kv

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/musterhq/muster/statemachine"
)

// TestDiskFull: when a table can't be written the store stops, says why, and
// never hangs.
func TestDiskFull(t *testing.T) {
	var full atomic.Bool
	disk := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if full.Load() && strings.HasSuffix(op.Path, ".sst") && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			return syscall.ENOSPC
		}
		return nil
	}))
	d := &driver{TB: t, Store: New(smallOptions(disk))}
	must(t, disk.MkdirAll("kv", 0o755))
	_, err := d.Open("kv")
	must(t, err)
	d.put("a", "1")
	full.Store(true)
	if err := d.Prepare(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Prepare: %v, want %v", err, syscall.ENOSPC)
	}
	if _, err := d.Apply(9, nil); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Apply: %v, want %v", err, syscall.ENOSPC)
	}
	if _, err := d.Durable(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Durable: %v, want %v", err, syscall.ENOSPC)
	}
	if err := d.Close(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Close: %v, want %v", err, syscall.ENOSPC)
	}
}

// filled is a store that applied n puts of its own value to ten keys.
func filled(t *testing.T, disk vfs.FS, dir, value string, n int) *Store {
	t.Helper()
	must(t, disk.MkdirAll(dir, 0o755))
	must(t, syncDir(disk, disk.PathDir(dir)))
	s := New(smallOptions(disk))
	_, err := s.Open(dir)
	must(t, err)
	for i := range n {
		cmd := encode(t, &pb.PutRequest{Key: fmt.Appendf(nil, "%d", i%10), Value: []byte(value)})
		_, err := s.Apply(uint64(i+1), []statemachine.Entry{{Index: uint64(i + 1), Command: cmd}})
		must(t, err)
	}
	return s
}

// TestIndexAndDataAreDurableTogether: whatever a crash leaves, the applied index
// is that of the data. Where it runs ahead, entries are skipped when the log is
// read again (etcd #13766); tables are written when the memory for them is full,
// in the midst of everything.
func TestIndexAndDataAreDurableTogether(t *testing.T) {
	disk := vfs.NewCrashableMem()
	must(t, disk.MkdirAll("kv", 0o755))
	must(t, syncDir(disk, ""))
	s := New(smallOptions(disk))
	_, err := s.Open("kv")
	must(t, err)
	held := map[uint64]bool{} // indexes that crashes left
	for i := range uint64(150) {
		cmd := encode(t, &pb.PutRequest{Key: []byte("k"), Value: fmt.Appendf(nil, "%3000d", i+1)})
		_, err := s.Apply(i+1, []statemachine.Entry{{Index: i + 1, Command: cmd}})
		must(t, err)
		after := New(smallOptions(disk.CrashClone(vfs.CrashCloneCfg{})))
		applied, err := after.Open("kv")
		must(t, err)
		r, err := after.Range(t.Context(), &pb.RangeRequest{Key: []byte("k")})
		must(t, err)
		if applied > 0 && string(r.Kvs[0].Value) != fmt.Sprintf("%3000d", applied) {
			t.Fatalf("a crash after entry %d says that it is at entry %d, and leaves the value of entry %s", i+1, applied, strings.TrimSpace(string(r.Kvs[0].Value)))
		}
		held[applied] = true
		must(t, after.Close())
	}
	if len(held) < 4 {
		t.Errorf("crashes left no more than %d states: too few tables were written", len(held))
	}
	must(t, s.Close())
}

// TestRestoreCutShort crashes before every file operation of a Restore: what
// Open finds is the old state or the new one, and a second Restore works.
func TestRestoreCutShort(t *testing.T) {
	const oldIndex, newIndex = 30, 70
	mem := vfs.NewCrashableMem()
	var mu sync.Mutex // the engine writes from several goroutines
	var after []*vfs.MemFS
	var armed atomic.Bool
	rnd := newRand(7)
	disk := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if armed.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			after = append(after, mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: pick(rnd, 0, 50, 100), RNG: rnd}))
		}
		return nil
	}))
	must(t, mem.MkdirAll("image", 0o755))
	must(t, syncDir(mem, ""))
	other := filled(t, disk, "other", "new", newIndex)
	must(t, other.Checkpoint("image"))
	must(t, other.Close())
	s := filled(t, disk, "kv", "old", oldIndex)
	must(t, s.Prepare())
	// Reads hold the old database, so that nothing of it is deleted meanwhile.
	g, err := s.acquire()
	must(t, err)
	armed.Store(true)
	must(t, s.Restore("image", newIndex))
	armed.Store(false)
	mu.Lock()
	after = append(after, mem.CrashClone(vfs.CrashCloneCfg{}))
	mu.Unlock()
	g.release()
	must(t, s.Close())

	seen := map[uint64]int{}
	for i, disk := range after {
		s := New(smallOptions(disk))
		applied, err := s.Open("kv")
		if err != nil {
			t.Fatalf("crash %d of %d: %v", i, len(after), err)
		}
		seen[applied]++
		want := map[uint64]string{oldIndex: "old", newIndex: "new"}[applied]
		resp, err := s.Range(context.Background(), all())
		must(t, err)
		for _, kv := range resp.Kvs {
			if string(kv.Value) != want {
				t.Errorf("crash %d: applied %d, key %s is %q", i, applied, kv.Key, kv.Value)
			}
		}
		if list, err := disk.List("kv"); err != nil || len(list) != 2 {
			t.Errorf("crash %d: leftovers: %v, %v", i, list, err)
		}
		must(t, s.Close())
	}
	if seen[oldIndex] == 0 || seen[newIndex] == 0 || len(seen) != 2 {
		t.Errorf("states after %d crashes: %v", len(after), seen)
	}
	if applied := seen[newIndex]; applied > 0 {
		last := New(smallOptions(after[len(after)-1]))
		if got, err := last.Open("kv"); err != nil || got != newIndex {
			t.Errorf("after Restore returned: applied %d, %v", got, err)
		}
		must(t, last.Close())
	}
}

func TestRestoreRefuses(t *testing.T) {
	disk := vfs.NewMem()
	s := filled(t, disk, "kv", "old", 20)
	defer s.Close()
	must(t, disk.MkdirAll("image", 0o755))
	must(t, s.Checkpoint("image"))
	if err := s.Restore("image", 21); err == nil || !strings.Contains(err.Error(), "index 20, want 21") {
		t.Errorf("an image that is too old: %v", err)
	}
	must(t, disk.MkdirAll("empty", 0o755))
	if err := s.Restore("empty", 20); err == nil {
		t.Error("restored index 20 from nothing")
	}
	if err := s.Restore("missing", 20); err == nil {
		t.Error("restored a directory that is not there")
	}
	list, err := disk.List("kv")
	must(t, err)
	if resp, err := s.Range(context.Background(), all()); err != nil || resp.Count != 10 || len(list) != 2 {
		t.Errorf("afterwards: %v, %v, files %v", resp, err, list)
	}
	must(t, s.Restore("empty", 1))
	if resp, err := s.Range(context.Background(), all()); err != nil || resp.Count != 0 || resp.Header.Revision != 1 {
		t.Errorf("the state before the first command: %v, %v", resp, err)
	}
	if d, err := s.Durable(); err != nil || d != 1 {
		t.Errorf("durable at %d, %v; want 1", d, err)
	}
}

func TestOpenRefusesDamage(t *testing.T) {
	disk := vfs.NewMem()
	must(t, filled(t, disk, "kv", "v", 20).Close())
	damage := func(want string, content *string) {
		t.Helper()
		must(t, disk.Remove("kv/CURRENT"))
		if content != nil {
			f, err := disk.Create("kv/CURRENT", vfs.WriteCategoryUnspecified)
			must(t, err)
			_, err = f.Write([]byte(*content))
			must(t, errors.Join(err, f.Close()))
		}
		if _, err := New(smallOptions(disk)).Open("kv"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open: %v, want it to say %q", err, want)
		}
	}
	torn, gone := "db-0000", "db-000009\n"
	damage("CURRENT is damaged", &torn)
	damage("which is not there", &gone)
	if _, err := disk.Stat("kv/" + firstDB); err != nil {
		t.Errorf("the data was touched: %v", err)
	}
}

// TestRealDisk goes once through the life of a store on a file system with
// real hard links and directories.
func TestRealDisk(t *testing.T) {
	dir, image := t.TempDir(), t.TempDir()
	s := filled(t, vfs.Default, dir+"/a", "v", 50)
	must(t, s.Checkpoint(image))
	must(t, s.Close())
	other := filled(t, vfs.Default, dir+"/b", "other", 5)
	must(t, other.Restore(image, 50))
	must(t, other.Close())
	for _, name := range []string{"/a", "/b"} {
		s := New(Options{})
		applied, err := s.Open(dir + name)
		must(t, err)
		resp, err := s.Range(context.Background(), all())
		must(t, err)
		if applied != 50 || resp.Count != 10 || string(resp.Kvs[3].Value) != "v" {
			t.Errorf("%s: applied %d, %s", name, applied, show(resp.Kvs))
		}
		if total, used := s.Size(); used <= 0 || total < used {
			t.Errorf("%s: size %d, used %d", name, total, used)
		}
		must(t, s.Close())
	}
}

func TestNoCurrent(t *testing.T) {
	disk := vfs.NewMem()
	must(t, filled(t, disk, "kv", "v", 20).Close())
	must(t, disk.Remove("kv/CURRENT"))
	if _, err := New(smallOptions(disk)).Open("kv"); err == nil || !strings.Contains(err.Error(), "no file CURRENT") {
		t.Errorf("Open: %v", err)
	}
	if list, err := disk.List("kv"); err != nil || len(list) != 1 {
		t.Errorf("something was changed: %v, %v", list, err)
	}
}

// TestEngineFormat: a store is in the format that is said, and not in whatever a
// newer engine would choose.
func TestEngineFormat(t *testing.T) {
	d := newDriver(t)
	if is := d.live.db.FormatMajorVersion(); is != 24 {
		t.Errorf("the engine's files are of format %d, want 24: the members of the release before must read them", is)
	}
}
