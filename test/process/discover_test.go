package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Nodes that are told of a file find each other when it is written, found a
// cluster as soon as enough are there, and let in whoever comes later. The file
// names the node itself, one that is long gone, and not everybody.
func TestDiscoveryByFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "peers")
	var ms []*member
	for i := range 3 {
		ms = append(ms, newMember(t, fmt.Sprint("n", i+1), "--discover", "file:"+file, "--expect", "3"))
	}
	ms[0].start()
	ms[1].start()
	says(t, "discovery_failed", ms[:2]...)
	write(t, file, "127.0.0.1:1", ms[0].peer, ms[1].peer)
	says(t, "too_few_eligible", ms[:2]...)
	inNoCluster(t, ms[:2]...)
	ms[2].start() // which is in no file, and finds the others
	id := ready(t, ms...)
	put(t, dial(t, ms...), "k", "v")

	late := newMember(t, "n4", "--discover", "file:"+file, "--join-only")
	late.start()
	if got := ready(t, late); got != id {
		t.Fatalf("n4 is in cluster %s, want %s", got, id)
	}
	if got := get(t, dial(t, late), "k"); got != "v" {
		t.Fatalf("n4 has %q", got)
	}
}

// A source that can't be understood is told with the forms that can.
func TestDiscoverSpec(t *testing.T) {
	t.Parallel()
	out, code := muster(t, "serve", "--data-dir", t.TempDir(), "--expect", "3", "--discover", "carrier-pigeon:coop")
	if code != 2 || !strings.Contains(out, `"carrier-pigeon:coop"`) || !strings.Contains(out, "dns:NAME[:PORT]") {
		t.Fatalf("exit %d:\n%s", code, out)
	}
}

// write replaces a file by another with these lines.
func write(t *testing.T, file string, lines ...string) {
	t.Helper()
	next := file + ".next"
	if err := os.WriteFile(next, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, file); err != nil {
		t.Fatal(err)
	}
}
