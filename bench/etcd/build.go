package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// build makes the programs that weren't given. etcd comes from a module of its
// own, etcdserver/go.mod, so that it is built with exactly the dependencies of
// its release and not with newer ones that muster happens to need.
func (s *settings) build(ctx context.Context, dir string) error {
	root, err := goOutput(ctx, ".", "list", "-m", "-f", "{{.Dir}}", "github.com/musterhq/muster/bench")
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
		if _, err := goOutput(ctx, filepath.Join(root, sys.module), "build", "-o", out, sys.pkg); err != nil {
			return fmt.Errorf("build %s: %w", name, err)
		}
		s.binaries[name] = out
	}
	return nil
}

func goOutput(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, tail(errs.Bytes(), 5))
	}
	return strings.TrimSpace(out.String()), nil
}

// tail is the last n lines, on one line.
func tail(b []byte, n int) string {
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], " | ")
}
