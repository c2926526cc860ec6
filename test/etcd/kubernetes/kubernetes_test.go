package kubernetes

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var (
	against = flag.String("against", "muster", "what the tests run on: muster, or etcd for reference")
	only    = flag.String("only", "", "which of Kubernetes' tests to run, as go test's -run")
)

// packages are those whose tests are run: what reads and writes etcd, and what
// keeps a copy of it up to date by watches. With -short the first alone.
var packages = []string{"k8s.io/apiserver/pkg/storage/etcd3", "k8s.io/apiserver/pkg/storage/cacher"}

// elsewhere are tests that are not about the server: they take most of the
// time, or look into the etcd that they expect in their own process.
const elsewhere = "^(TestPrepareKey|TestCompactorAndLeaseManagerMetrics)$"

// TestStorage runs the tests of Kubernetes' storage layer.
func TestStorage(t *testing.T) {
	args := []string{"test", "-trimpath", "-count=1", "-timeout=20m", "-skip=" + elsewhere, "-run=" + *only}
	served := filepath.Join(t.TempDir(), "served")
	env := append(os.Environ(), "COMPAT_MUSTER="+build(t), "COMPAT_SERVED="+served)
	if *against == "muster" {
		args = append(args, "-modfile="+patched(t))
	}
	tested := packages
	if testing.Short() {
		tested = packages[:1]
	}
	for _, pkg := range tested {
		cmd := exec.Command("go", append(args, pkg)...)
		cmd.Env = env
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%v\n%s", err, out)
			continue
		}
		t.Logf("%s", out)
		if *against == "muster" {
			servedByMuster(t, pkg, served)
		}
	}
}

// servedByMuster fails unless musters have answered the tests' calls: a test
// that ran on another server would say nothing about muster. It removes the
// notes, which recordServed takes.
func servedByMuster(t *testing.T, pkg, notes string) {
	text, err := os.ReadFile(notes)
	if err != nil {
		t.Errorf("no test of %s ended a muster: %v", pkg, err)
		return
	}
	musters, calls := 0, 0
	for line := range strings.Lines(string(text)) {
		var name string
		var n int
		if _, err := fmt.Sscan(line, &name, &n); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		musters, calls = musters+1, calls+n
	}
	t.Logf("%s: %d musters answered %d calls", pkg, musters, calls)
	if *only == "" && (musters < 50 || calls < 1000) {
		t.Errorf("%s: %d musters answered %d calls: too few to have served these tests", pkg, musters, calls)
	}
	if err := os.Remove(notes); err != nil {
		t.Fatal(err)
	}
}

func build(t *testing.T) string {
	out := filepath.Join(t.TempDir(), "muster")
	cmd := exec.Command("go", "build", "-o", out, "./cmd/muster")
	cmd.Dir = "../../.."
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build muster: %v\n%s", err, text)
	}
	return out
}

// patched returns a go.mod by which k8s.io/apiserver is a copy in which our
// server is in the place of theirs.
func patched(t *testing.T) string {
	list, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/apiserver").Output()
	if err != nil {
		t.Fatalf("find k8s.io/apiserver: %v", err)
	}
	dir := t.TempDir()
	tree := filepath.Join(dir, "apiserver")
	if err := os.CopyFS(tree, os.DirFS(strings.TrimSpace(string(list)))); err != nil {
		t.Fatal(err)
	}
	theirs := filepath.Join(tree, "pkg/storage/etcd3/testserver/test_server.go")
	if err := os.Remove(theirs); err != nil { // it is there, and read-only
		t.Fatal(err)
	}
	copyFile(t, "testserver/muster.go", theirs)
	mod := filepath.Join(dir, "go.mod")
	copyFile(t, "go.mod", mod)
	copyFile(t, "go.sum", filepath.Join(dir, "go.sum"))
	if text, err := exec.Command("go", "mod", "edit", "-replace=k8s.io/apiserver="+tree, mod).CombinedOutput(); err != nil {
		t.Fatalf("edit go.mod: %v\n%s", err, text)
	}
	return mod
}

func copyFile(t *testing.T, from, to string) {
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, text, 0o644); err != nil {
		t.Fatal(err)
	}
}
