package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/musterhq/muster/internal/testproc"
)

// build makes the programs that weren't given. etcd comes from a module of its
// own, etcdserver/go.mod, so that it is built with exactly the dependencies of
// its release and not with newer ones that muster happens to need.
func (s *settings) build(ctx context.Context, dir string) error {
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/musterhq/muster/bench")
	list.Stderr = os.Stderr
	root, err := list.Output()
	if err != nil {
		return fmt.Errorf("find the bench module; run this inside bench/: %w", err)
	}
	for _, name := range s.systems {
		if s.binaries[name] != "" {
			continue
		}
		sys, err := systemOf(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "building %s\n", name)
		out := filepath.Join(dir, name)
		if err := testproc.Build(ctx, filepath.Join(strings.TrimSpace(string(root)), sys.module), out, sys.pkg); err != nil {
			return err
		}
		s.binaries[name] = out
	}
	return nil
}
