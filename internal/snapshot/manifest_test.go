package snapshot

import (
	"errors"
	"strings"
	"testing"
)

func TestManifestRules(t *testing.T) {
	good := func() manifest {
		return manifest{Version: manifestVersion, Meta: testMeta(3), Files: []File{{Path: "a/b", Size: 1}, {Path: "c", Size: 2}}}
	}
	ok := good()
	if err := ok.check(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(m *manifest){
		"version":             func(m *manifest) { m.Version = 2 },
		"index":               func(m *manifest) { m.Meta.Index = 0 },
		"no config":           func(m *manifest) { m.Meta.ConfState = nil },
		"order":               func(m *manifest) { m.Files[0], m.Files[1] = m.Files[1], m.Files[0] },
		"twice":               func(m *manifest) { m.Files[1] = m.Files[0] },
		"negative":            func(m *manifest) { m.Files[1].Size = -1 },
		"overflow":            func(m *manifest) { m.Files[0].Size, m.Files[1].Size = maxTotal, 1 },
		"file is a directory": func(m *manifest) { m.Files = []File{{Path: "a"}, {Path: "a-b"}, {Path: "a/b"}} },
		"too many":            func(m *manifest) { m.Files = make([]File, maxFiles+1) },
	} {
		m := good()
		spoil(&m)
		if err := m.check(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPathsThatLeaveTheDirectoryAreRefused(t *testing.T) {
	for _, p := range []string{
		"", ".", "..", "../x", "a/../x", "a/../../x", "/etc/passwd", "a//b", "a/", "./a", `a\b`, `..\x`, "C:x", "c:/x",
		"a\x00b", "a\nb", "\xff", strings.Repeat("a", maxPath+1),
	} {
		if err := checkPath(p); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", p, err)
		}
	}
	for _, p := range []string{"a", "000001.sst", "a/b/c", "..a", "a..", "é"} {
		if err := checkPath(p); err != nil {
			t.Errorf("%q: %v", p, err)
		}
	}
}

func FuzzDecodeManifest(f *testing.F) {
	m := manifest{Version: manifestVersion, Meta: testMeta(3), Files: []File{{Path: "a/b", Size: 1, Modified: 5}, {Path: "c", Size: 2}}}
	b, err := m.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:20])
	f.Add([]byte(manifestMagic + "\x02\x00\x00\x00\x00\x00\x00\x00{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeManifest(b)
		if err != nil {
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrInvalid) {
				t.Fatalf("unsorted error: %v", err)
			}
			return
		}
		again, err := m.encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeManifest(again); err != nil {
			t.Fatalf("what was read can't be read again: %v", err)
		}
	})
}
