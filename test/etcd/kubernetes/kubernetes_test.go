package kubernetes

import (
	"flag"
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

// storage is the package whose tests are run.
const storage = "k8s.io/apiserver/pkg/storage/etcd3"

// elsewhere are tests that are not about the server: they take most of the
// time, or look into the etcd that they expect in their own process.
const elsewhere = "^(TestPrepareKey|TestCompactorAndLeaseManagerMetrics)$"

// TestStorage runs the tests of Kubernetes' storage layer.
func TestStorage(t *testing.T) {
	args := []string{"test", "-trimpath", "-count=1", "-timeout=20m", "-skip=" + elsewhere, "-run=" + *only}
	if *against == "muster" {
		args = append(args, "-modfile="+patched(t))
	}
	cmd := exec.Command("go", append(args, storage)...)
	cmd.Env = append(os.Environ(), "COMPAT_MUSTER="+build(t))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
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
