package process

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// All founders lose their disks and keep their flags; one of them has a pin.
// No second cluster comes of it, and `muster why` names the pin. With the pin
// deleted they found one.
func TestAllDisksWipedButAPin(t *testing.T) {
	t.Parallel()
	ms := founders(t, 3)
	pin := filepath.Join(t.TempDir(), "pin")
	ms[1].args = append(ms[1].args, "--pin-file", pin)
	for _, m := range ms {
		m.start()
	}
	id := ready(t, ms...)
	for _, m := range ms {
		m.Kill()
		m.wipe()
		m.start()
	}
	says(t, "pinned", ms[1])
	says(t, "seed_pinned", ms[0], ms[2])
	inNoCluster(t, ms...)
	out, code := muster(t, "why", "--endpoint", ms[1].client)
	words := strings.Join(strings.Fields(out), " ") // lines are folded
	if code != 0 || !strings.Contains(words, id.String()) || !strings.Contains(words, "delete "+pin) {
		t.Fatalf("muster why: code %d\n%s", code, out)
	}
	ms[1].Kill()
	if err := os.Remove(pin); err != nil {
		t.Fatal(err)
	}
	ms[1].start()
	if again := ready(t, ms...); again == id {
		t.Fatalf("cluster %s came back from empty disks", id)
	}
}

// A pin that can't be believed, or can't be written, ends the start; each has an
// exit code of its own.
func TestPinRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pin := filepath.Join(dir, "pin")
	if err := os.WriteFile(pin, []byte("not a pin"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := newMember(t, "n1", "--single")
	m.start("--pin-file", pin)
	if code := m.exit(); code != exitData || !strings.Contains(m.Said(), pin) || !strings.Contains(m.Said(), "delete it") {
		t.Fatalf("a damaged pin: exit %d\n%s", code, m.Said())
	}
	m.start("--pin-file", filepath.Join(dir, "missing", "pin"))
	if code := m.exit(); code != exitUsage || !strings.Contains(m.Said(), "mount its disk") {
		t.Fatalf("no place for a pin: exit %d\n%s", code, m.Said())
	}
}
