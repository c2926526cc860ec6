package statemachine

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// notes remembers its commands, one a line.
type notes struct {
	lines   []string
	saveErr error
}

func (n *notes) Apply(command []byte) Result {
	n.lines = append(n.lines, string(command))
	return len(n.lines)
}

func (n *notes) Save(w io.Writer) error {
	if n.saveErr != nil {
		return n.saveErr
	}
	_, err := io.WriteString(w, strings.Join(n.lines, "\n"))
	return err
}

func (n *notes) Load(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	n.lines = nil
	if len(b) > 0 {
		n.lines = strings.Split(string(b), "\n")
	}
	return nil
}

func checkpointed(t *testing.T) (dir string) {
	t.Helper()
	m := InMemory(&notes{})
	if applied, err := m.Open(t.TempDir()); applied != 0 || err != nil {
		t.Fatalf("Open: %d, %v", applied, err)
	}
	res, err := m.Apply(7, []Entry{{Index: 5, Command: []byte("a")}, {Index: 6, Command: []byte("b")}})
	if err != nil || fmt.Sprint(res) != "[1 2]" {
		t.Fatalf("Apply: %v, %v", res, err)
	}
	if d, err := m.Durable(); d != 0 || err != nil {
		t.Fatalf("Durable: %d, %v", d, err)
	}
	dir = t.TempDir()
	if err := m.Checkpoint(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestInMemoryCheckpointRestore(t *testing.T) {
	dir := checkpointed(t)
	n := &notes{lines: []string{"old"}}
	m := InMemory(n)
	if err := m.Restore(dir, 7); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(n.lines); got != "[a b]" {
		t.Errorf("restored %s, want [a b]", got)
	}
	if _, err := m.Apply(6, nil); err == nil {
		t.Error("applied an index below the restored one")
	}
	if _, err := m.Apply(8, []Entry{{Index: 7, Command: []byte("b")}}); err == nil {
		t.Error("applied an entry that is in the restored state")
	}
	if res, err := m.Apply(8, []Entry{{Index: 8, Command: []byte("c")}}); err != nil || res[0] != 3 {
		t.Errorf("Apply after Restore: %v, %v", res, err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

func TestInMemoryRefusesDamage(t *testing.T) {
	dir := checkpointed(t)
	name := filepath.Join(dir, memoryFile)
	good, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	restore := func(b []byte, through uint64) error {
		if err := os.WriteFile(name, b, 0o644); err != nil {
			t.Fatal(err)
		}
		n := &notes{lines: []string{"untouched"}}
		err := InMemory(n).Restore(dir, through)
		if err != nil && n.lines[0] != "untouched" {
			t.Error("Load was given damaged bytes")
		}
		return err
	}
	for i := range good {
		bad := append([]byte(nil), good...)
		bad[i] ^= 0x10
		if restore(bad, 7) == nil {
			t.Errorf("byte %d changed: restored", i)
		}
		if restore(good[:i], 7) == nil {
			t.Errorf("cut to %d bytes: restored", i)
		}
	}
	if restore(good, 8) == nil {
		t.Error("restored an image that is older than asked for")
	}
	if err := restore(good, 7); err != nil {
		t.Error(err)
	}
}

func TestInMemoryEmptyImage(t *testing.T) {
	m := InMemory(&notes{})
	if err := m.Restore(t.TempDir(), 1); err != nil {
		t.Errorf("the state before the first command: %v", err)
	}
	if m.Restore(t.TempDir(), 2) == nil {
		t.Error("restored index 2 from nothing")
	}
}

func TestInMemorySaveFails(t *testing.T) {
	full := errors.New("full")
	if err := InMemory(&notes{saveErr: full}).Checkpoint(t.TempDir()); !errors.Is(err, full) {
		t.Errorf("Checkpoint: %v, want %v", err, full)
	}
}

// FuzzRestore: any file is refused, or is a checkpoint to its last byte, and
// nothing is loaded that its checksum doesn't cover.
func FuzzRestore(f *testing.F) {
	dir := f.TempDir()
	m := InMemory(&notes{lines: []string{"a", "b"}})
	if _, err := m.Apply(7, nil); err != nil {
		f.Fatal(err)
	}
	if err := m.Checkpoint(dir); err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(filepath.Join(dir, memoryFile))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add([]byte(memoryMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, memoryFile), b, 0o600); err != nil {
			t.Fatal(err)
		}
		n := &notes{}
		if err := InMemory(n).Restore(dir, 1); err != nil {
			if n.lines != nil {
				t.Fatalf("%v, but %q was loaded", err, n.lines)
			}
			return
		}
		if got := memoryMagic + string(b[8:16]) + strings.Join(n.lines, "\n"); got != string(b[:len(b)-memoryCRC]) {
			t.Fatalf("%q was loaded as %q", b, got)
		}
	})
}
