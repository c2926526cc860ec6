package testproc

import (
	"context"
	"fmt"
	"os/exec"
	"strings"

	"github.com/musterhq/muster/internal/race"
)

// Build makes the program out, an absolute path, of the main package pkg, as go
// build in the directory dir does; with the race detector if it is on here.
func Build(ctx context.Context, dir, out, pkg string, flags ...string) error {
	args := append([]string{"build", "-o", out}, flags...)
	if race.Enabled {
		args = append(args, "-race")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, pkg)...)
	cmd.Dir = dir
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %s", pkg, err, strings.TrimSpace(string(said)))
	}
	return nil
}
