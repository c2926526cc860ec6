package process

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	exitUsage = 2
	exitData  = 5
	exitDisk  = 6
)

// refused starts a member that must end by itself with the code and say each
// of the words, without a stack trace.
func refused(t *testing.T, m *member, code int, words ...string) {
	t.Helper()
	before := len(m.Said())
	m.start()
	if got := m.exit(); got != code {
		t.Errorf("exit %d, want %d", got, code)
	}
	said := m.Said()[before:]
	for _, w := range words {
		if !strings.Contains(said, w) {
			t.Errorf("it does not say %q:\n%s", w, said)
		}
	}
	if strings.Contains(said, "goroutine ") || strings.Contains(said, "panic:") {
		t.Errorf("a stack trace:\n%s", said)
	}
}

func TestWrongFlags(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		say  string
	}{
		{[]string{"--sedes", "a:1"}, "--sedes"},
		{[]string{"--seeds", "nowhere"}, "nowhere"},
		{[]string{"--seeds", "a:1,a:1"}, "twice"},
		{[]string{"--single", "--seeds", "a:1"}, "choose one"},
		{[]string{"--single", "--election-timeout", "200ms"}, "election timeout"},
		{[]string{"--single", "--peer-listen", "0.0.0.0:0"}, "--peer-advertise"},
		{[]string{"--single", "--config", "/nowhere.yaml"}, "/nowhere.yaml"},
		{nil, "--single"},
	} {
		m := newMember(t, "n1", c.args...)
		refused(t, m, exitUsage, c.say)
		if _, err := os.Stat(m.dir); !os.IsNotExist(err) {
			t.Errorf("%v: the data directory was made: %v", c.args, err)
		}
	}
}

func TestAddressInUse(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	m := newMember(t, "n1", "--single")
	m.client = l.Addr().String()
	refused(t, m, 1, m.client, "in use")
	m = newMember(t, "n1", "--single")
	m.peer = l.Addr().String()
	refused(t, m, 1, m.peer, "in use")
}

// A seed that speaks something else is named as such.
func TestSeedIsNoMuster(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: time.Second}
	go func() { _ = web.Serve(l) }() // ends with Close
	defer web.Close()
	m := newMember(t, "n1", "--join-only", "--seeds", l.Addr().String())
	m.start()
	eventually(t, "it says that the seed is no muster", func() bool {
		return strings.Contains(m.why(), l.Addr().String()) && strings.Contains(m.why(), "muster peer")
	})
	out, _ := muster(t, "why", "--endpoint", m.client)
	if !strings.Contains(out, l.Addr().String()) {
		t.Errorf("muster why:\n%s", out)
	}
}

func TestDataDirectoryRefused(t *testing.T) {
	t.Parallel()
	m := newMember(t, "n1", "--single")
	m.start()
	ready(t, m)
	put(t, dial(t, m), "a", "b")

	twin := newMember(t, "n1", "--single")
	twin.dir = m.dir
	refused(t, twin, exitData, m.dir, "stop that node")

	m.term()
	other := newMember(t, "n2", "--single")
	other.dir = m.dir
	refused(t, other, exitData, m.dir, "n1")

	foreign := newMember(t, "n3", "--single")
	if err := os.MkdirAll(foreign.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(foreign.dir, "letter.txt"), []byte("dear"), 0o644); err != nil {
		t.Fatal(err)
	}
	refused(t, foreign, exitData, foreign.dir, "letter.txt")

	m.start()
	ready(t, m)
	if got := get(t, dial(t, m), "a"); got != "b" {
		t.Fatalf("after all that: %q", got)
	}
}

// A flipped bit in the middle of the log: refused with file and offset, and
// nothing is changed.
func TestCorruptLogSegment(t *testing.T) {
	t.Parallel()
	m := newMember(t, "n1", "--single")
	m.start()
	ready(t, m)
	c := dial(t, m)
	for i := range 50 {
		put(t, c, fmt.Sprint("k", i), strings.Repeat("v", 100))
	}
	m.Kill()
	file, at := damage(t, filepath.Join(m.dir, "log"), []byte(strings.Repeat("v", 100)))
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	refused(t, m, exitData, filepath.Base(file), "at byte")
	after, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the damaged segment was changed: %v", err)
	}
	// Mended, it starts, and everything is there.
	after[at] ^= 1
	if err := os.WriteFile(file, after, 0o644); err != nil {
		t.Fatal(err)
	}
	m.start()
	ready(t, m)
	if got := get(t, dial(t, m), "k49"); got == "" {
		t.Error("k49 is gone")
	}
}

// damage flips a bit inside the first occurrence of pattern below dir.
func damage(t *testing.T, dir string, pattern []byte) (string, int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(files)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if i := bytes.Index(b, pattern); i >= 0 {
			b[i+7] ^= 1
			if err := os.WriteFile(f, b, 0o644); err != nil {
				t.Fatal(err)
			}
			return f, i + 7
		}
	}
	t.Fatalf("no file in %s holds the pattern", dir)
	return "", 0
}

// A disk that fills up stops the node with its own exit code; every
// acknowledged write is there once there is room again.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	needRoot(t, "mount")
	m := newMember(t, "n1", "--single")
	disk := t.TempDir()
	run(t, "mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk)
	t.Cleanup(func() {
		m.Kill()
		run(t, "umount", disk)
	})
	m.dir = filepath.Join(disk, "n1")
	m.start()
	ready(t, m)
	l := newLoad(t, 4, m)
	fill := filepath.Join(disk, "fill")
	if err := os.WriteFile(fill, make([]byte, 12<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	big := dial(t, m)
	n := 0
	eventually(t, "the full disk ends it", func() bool {
		tryPut(big, fmt.Sprint("big/", n), strings.Repeat("x", 256<<10))
		n++
		return !m.Running()
	})
	if code := m.exit(); code != exitDisk {
		t.Errorf("exit %d, want %d", code, exitDisk)
	}
	l.end()
	if s := m.Said(); !strings.Contains(s, "no space left") || !strings.Contains(s, "Way out: free some space") || strings.Contains(s, "goroutine ") {
		t.Errorf("it does not say why it stopped, or says too much:\n%s", s)
	}
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	m.start()
	ready(t, m)
	l.check(dial(t, m))
}

// needRoot skips, or in CI fails, a test that needs root and a program.
func needRoot(t *testing.T, programs ...string) {
	t.Helper()
	give := t.Skipf
	if os.Getenv("MUSTER_REQUIRE_ROOT_TESTS") != "" {
		give = t.Fatalf
	}
	if os.Geteuid() != 0 {
		give("needs root (run as root to have it tested)")
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			give("needs the program %s: %v", p, err)
		}
	}
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}
