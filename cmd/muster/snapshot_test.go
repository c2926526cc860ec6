package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/server"
)

// alone is a cluster of one on a directory, and where it serves.
func alone(t *testing.T, name, dir string) (addr string, stop func()) {
	t.Helper()
	s, err := server.Start(t.Context(), server.Config{
		Listen: "127.0.0.1:0",
		Node:   muster.Config{Name: name, DataDir: dir, PeerListen: "127.0.0.1:0", Single: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := s.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(stop)
	return s.ClientAddr(), stop
}

// TestSnapshotAndRestore: what is saved of one cluster is what another begins
// with; what can't be done leaves nothing, and says why.
func TestSnapshotAndRestore(t *testing.T) {
	tmp := t.TempDir()
	file := filepath.Join(tmp, "backup")
	try := func(want exitCode, says, line string) string {
		t.Helper()
		code, out, errs := runMuster(nil, strings.Fields(line)...)
		if code != want || !strings.Contains(out+errs, says) {
			t.Errorf("muster %s: code %d, want %d and %q\n%s%s", line, code, want, says, out, errs)
		}
		return out
	}
	addr, stop := alone(t, "n1", filepath.Join(tmp, "n1"))
	try(exitOK, "", "put a 1 --endpoint "+addr)
	try(exitOK, "", "put a 2 --endpoint "+addr)
	try(exitOK, "checksum right", "snapshot save "+file+" --endpoint "+addr)
	try(exitUsage, "is there already", "snapshot save "+file+" --endpoint "+addr)
	try(exitFailed, "no muster answers", "snapshot save "+file+"2 --endpoint "+nobody(t))
	if left, err := filepath.Glob(file + "2*"); err != nil || len(left) != 0 {
		t.Errorf("a snapshot that could not be saved left %v, %v", left, err)
	}
	try(exitOK, "", "put b 3 --endpoint "+addr) // is not in it
	stop()

	try(exitOK, "REVISION", "snapshot status "+file)
	var st server.SnapshotStatus
	if err := json.Unmarshal([]byte(try(exitOK, "", "snapshot status -o json "+file)), &st); err != nil || st.Revision != 3 || st.Keys != 1 || st.Versions != 2 {
		t.Errorf("%+v, %v", st, err)
	}
	r1 := filepath.Join(tmp, "r1")
	try(exitUsage, "on one", "restore "+file+" --data-dir "+r1+" --initial-cluster a=http://a:1,b=http://b:1")
	try(exitUsage, "never fall", "restore "+file+" --data-dir "+r1+" --bump-revision -1")
	try(exitFailed, "no such file", "restore "+file+"9 --data-dir "+r1)
	damagedFile(t, file, file+"3")
	try(exitFailed, "damaged backup", "snapshot status "+file+"3")
	try(exitFailed, "damaged backup", "restore "+file+"3 --data-dir "+r1)
	try(exitOK, "Start it:", "restore "+file+" --data-dir "+r1+" --name r1")
	try(exitData, "not empty", "restore "+file+" --data-dir "+r1+" --name r1")

	addr, _ = alone(t, "r1", r1)
	try(exitOK, `"value": "2"`, "get a --output json --endpoint "+addr)
	try(exitOK, `"revision": 4`, "put b 1 --output json --endpoint "+addr)
}

func damagedFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
