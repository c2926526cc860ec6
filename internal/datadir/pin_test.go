package datadir

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPin: what is stored is read, a place that can't have one is named, and a
// pin that can't be believed is never taken for none.
func TestPin(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "pin")
	p, err := OpenPin(nil, path)
	if err != nil {
		t.Fatal(err)
	}
	var got promise
	if found, err := p.LoadPin(&got); found || err != nil {
		t.Fatalf("none was stored: %v, %v", found, err)
	}
	want := promised(7)
	if err := p.SavePin(want); err != nil {
		t.Fatal(err)
	}
	if found, err := p.LoadPin(&got); !found || err != nil || got != want {
		t.Fatalf("%v, %v, %+v", found, err, got)
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 1 {
		t.Fatalf("left behind: %v, %v", names, err)
	}
	for _, text := range []string{"", "{}", "x", strings.Repeat("a", 1000)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := p.LoadPin(&got); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "delete it") {
			t.Errorf("%.10q: %v", text, err)
		}
	}
	for _, bad := range []string{dir, filepath.Join(dir, "missing", "pin"), filepath.Join(path, "pin")} {
		if _, err := OpenPin(nil, bad); !errors.Is(err, ErrPinPlace) || !strings.Contains(err.Error(), bad) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
