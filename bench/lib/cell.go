package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/musterhq/muster/bench/internal/measure"
)

// cellSpec is one window of one system. Each runs in a process of its own, so
// that neither the heap nor the garbage collector nor a panic of one system
// reaches the other, and CPU time is that of this system (and of its
// proposers) alone.
type cellSpec struct {
	System    string
	Proposers int
	Bytes     int // of one command
	Dir       string
	WarmUp    time.Duration
	Duration  time.Duration
}

// startTimeout is how long a cluster may take to elect a leader.
const startTimeout = 20 * time.Second

// proposeTimeout bounds one proposal.
const proposeTimeout = 5 * time.Second

// spawn runs the cell in a child process and returns its window. It returns
// when the child has ended, and removes what the child wrote.
func (s cellSpec) spawn(ctx context.Context) (measure.Window, error) {
	dir, err := os.MkdirTemp(s.Dir, "cell-")
	if err != nil {
		return measure.Window{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	s.Dir = dir
	spec, err := json.Marshal(s)
	if err != nil {
		return measure.Window{}, err
	}
	exe, err := os.Executable()
	if err != nil {
		return measure.Window{}, fmt.Errorf("find own program: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout+s.WarmUp+s.Duration+2*proposeTimeout)
	defer cancel()
	var out, errs bytes.Buffer
	child := exec.CommandContext(ctx, exe, "-cell", string(spec))
	child.Stdout, child.Stderr = &out, &errs
	if err := child.Run(); err != nil {
		return measure.Window{}, fmt.Errorf("%w: %s", err, firstLines(errs.String(), 3))
	}
	var w measure.Window
	if err := json.Unmarshal(out.Bytes(), &w); err != nil {
		return measure.Window{}, fmt.Errorf("read the cell's result: %w", err)
	}
	return w, nil
}

// run is the child: it prints its window as JSON.
func (s cellSpec) run(ctx context.Context) error {
	start, err := startOf(s.System)
	if err != nil {
		return err
	}
	startCtx, cancel := context.WithTimeout(ctx, startTimeout)
	c, err := start(startCtx, filepath.Clean(s.Dir))
	cancel()
	if err != nil {
		return fmt.Errorf("start %s: %w", s.System, err)
	}
	command := randomBytes(s.Bytes)
	w, err := measure.Run(ctx, measure.Plan{
		Workers: s.Proposers, WarmUp: s.WarmUp, Duration: s.Duration, Timeout: proposeTimeout,
	}, func(ctx context.Context, _, _ int) error { return c.Propose(ctx, command) }, measure.Self)
	if err != nil {
		return err
	}
	if applied := c.Applied(); applied < uint64(w.Ops) {
		return fmt.Errorf("%s acknowledged %d commands and applied %d", s.System, w.Ops, applied)
	}
	if err := c.Close(); err != nil {
		return fmt.Errorf("close %s: %w", s.System, err)
	}
	return json.NewEncoder(os.Stdout).Encode(w)
}

// randomBytes can't be compressed, so no system gains by trying.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

func firstLines(s string, n int) string {
	lines := strings.SplitN(strings.TrimSpace(s), "\n", n+1)
	return strings.Join(lines[:min(n, len(lines))], " | ")
}
