package testproc

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// programs is the directory in which muster is built, while RunTests runs.
var programs string

// RunTests runs a package's tests, some of which call Muster, and returns the
// code to exit with: TestMain calls it.
func RunTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "testproc")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }() // what is left there nobody needs
	programs = dir
	return m.Run()
}

// Muster is the path of this tree's muster, for tests in a directory two below
// the module's root. It is built when the first test asks, with the race detector
// if the test is.
func Muster(t testing.TB) string {
	t.Helper()
	if err := buildMuster(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(programs, "muster")
}

// buildMuster reads the command's sources, and who calls Muster imports package
// server, which lies below them: so go test knows when a result that it has kept
// is of another program. (It doesn't see what is read before a test runs.)
var buildMuster = sync.OnceValue(func() error {
	const source = "../../cmd/muster"
	files, err := filepath.Glob(source + "/*.go")
	if err != nil {
		return err
	}
	for _, f := range files {
		if _, err := os.ReadFile(f); err != nil {
			return err
		}
	}
	return Build(context.Background(), ".", filepath.Join(programs, "muster"), source)
})
