package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/mustertest"
)

// It is done only when it is said that it is meant; what is said before and
// after names what is lost, and what comes next.
func TestRecover(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "n1")
	cfg := muster.Config{Name: "n1", DataDir: dir, Cluster: "c", PeerListen: "127.0.0.1:0", Single: true}
	node, err := muster.Start(t.Context(), cfg, new(mustertest.Journal))
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	try := func(want exitCode, says string, args ...string) string {
		t.Helper()
		code, out, errs := runMuster(nil, append([]string{"recover"}, args...)...)
		if code != want || !strings.Contains(out+errs, says) {
			t.Errorf("recover %v: code %d, want %d and %q\n%s%s", args, code, want, says, out, errs)
		}
		return out
	}
	try(exitData, "in use", "inspect", "--data-dir", dir)
	try(exitData, "in use", "force-new", "--data-dir", dir, "--yes")
	if err := node.Close(); err != nil {
		t.Fatal(err)
	}
	try(exitUsage, "--data-dir", "inspect")
	try(exitUsage, "table or json", "inspect", "--data-dir", dir, "-o", "xml")
	try(exitFailed, "no such file", "inspect", "--data-dir", dir+"2")
	try(exitData, "not a muster", "inspect", "--data-dir", t.TempDir())
	try(exitOK, "generation 0, last term", "inspect", "--data-dir", dir)
	try(exitUsage, "nothing was changed", "force-new", "--data-dir", dir)
	try(exitData, `"c", not "d"`, "force-new", "--data-dir", dir, "--cluster", "d")
	var r muster.Inspection
	if err := json.Unmarshal([]byte(try(exitOK, `"generation": 0`, "inspect", "--data-dir", dir, "-o", "json")), &r); err != nil || r.Name != "n1" || r.Cluster != "c" || len(r.Members) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	try(exitOK, "Next:", "force-new", "--data-dir", dir, "--cluster", "c")
	try(exitOK, "It was done before", "force-new", "--data-dir", dir, "--yes")
	try(exitOK, "generation 1", "inspect", "--data-dir", dir)
	if code, out, _ := runMuster(nil, "recover", "--help"); code != exitOK || !strings.Contains(out, "force-new") {
		t.Errorf("help: code %d\n%s", code, out)
	}
}
