package process

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// copyDir copies the data directory of a member that is down.
func copyDir(t *testing.T, from, to string) {
	t.Helper()
	err := os.RemoveAll(to)
	if err == nil {
		err = os.CopyFS(to, os.DirFS(from))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// untrusted waits for a process to end because its disk is not what it was.
func untrusted(t *testing.T, m *member) {
	t.Helper()
	code, log := m.exit(), m.Said()
	if code != exitData {
		t.Fatalf("%s ended with %d, want %d", m.name, code, exitData)
	}
	for _, words := range []string{"epoch", "older image of its disk", "start " + m.name + " with an empty data directory"} {
		if !strings.Contains(log, words) {
			t.Errorf("%s does not say %q", m.name, words)
		}
	}
}

// A member's directory is put back to an older copy: the others refuse it, it
// ends, and doesn't start again. The cluster goes on, and nothing is lost. A
// copy on another machine is refused as well, while the member goes on.
func TestRestoredBackupOrClonedDisk(t *testing.T) {
	t.Parallel()
	ms := formed(t)
	l := leader(t, ms)
	m := follower(ms, l)
	c := dial(t, l)
	m.Kill()
	image := m.dir + "-image"
	copyDir(t, m.dir, image)
	for i := range 2 {
		m.start()
		ready(t, m)
		put(t, c, fmt.Sprint("boot ", i), "acknowledged")
		same(t, l, m)
		m.Kill()
	}
	m.start()
	ready(t, m)
	same(t, l, m)

	clone := newMember(t, m.name, "--join-only", "--seeds", l.peer)
	copyDir(t, image, clone.dir)
	clone.start()
	untrusted(t, clone)
	time.Sleep(time.Second) // in which the member would hear that it were the copy
	eventually(t, m.name+" goes on, with a leader", func() bool {
		if !m.Running() {
			t.Fatalf("%s has ended, and not its clone alone", m.name)
		}
		s, err := m.status()
		return err == nil && s.Leader != 0
	})

	m.Kill()
	copyDir(t, image, m.dir)
	m.start()
	untrusted(t, m)
	m.start()
	untrusted(t, m)

	put(t, c, "after", "acknowledged")
	for _, key := range []string{"boot 0", "boot 1", "after"} {
		if got := get(t, c, key); got != "acknowledged" {
			t.Errorf("%s is %q", key, got)
		}
	}
	if err := os.RemoveAll(m.dir); err != nil {
		t.Fatal(err)
	}
	m.start()
	ready(t, m)
	same(t, l, m)
}
