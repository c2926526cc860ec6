package system

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/musterhq/muster/internal/testproc"
)

// Root is the repository's root directory.
func Root() string {
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		panic("system: no caller information: built with -trimpath?")
	}
	return filepath.Join(filepath.Dir(file), "../../../..")
}

// Build makes a program below bin/ of the repository, or takes the one that is
// there if it is up to date, and returns its path. Module is the directory of
// the module to build in, from the root. Processes that build at the same time
// wait for each other.
func Build(name, module, pkg string) (string, error) {
	bin := filepath.Join(Root(), "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(filepath.Join(bin, ".compat.lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	out := filepath.Join(bin, "compat-"+name)
	return out, testproc.Build(context.Background(), filepath.Join(Root(), module), out, pkg)
}

func lock(name string) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", name, err), f.Close())
	}
	return func() { _ = f.Close() }, nil // closing gives the lock up
}
