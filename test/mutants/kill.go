package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// outcome is what a killer came to.
type outcome struct {
	layer  string
	killed bool
	by     string // the test or the seed; or what went wrong
	took   time.Duration
}

// try lets the killers at the mutant, until one has killed it or all have been
// tried, and returns what each came to that counts: the one that killed it, or
// all when every one is wanted or none did.
func (m *mutant) try(ctx context.Context, opt options) []outcome {
	dir, err := os.MkdirTemp("", "mutant-")
	if err != nil {
		return []outcome{{layer: "-", by: err.Error()}}
	}
	defer func() { _ = os.RemoveAll(dir) }() // it lies among the temporary files
	overlay, err := m.overlay(dir)
	if err != nil {
		return []outcome{{layer: "-", by: err.Error()}}
	}
	var out []outcome
	for _, k := range m.killers {
		begun := time.Now()
		o := outcome{layer: k.layer}
		o.by, err = k.run(ctx, dir, overlay, opt.verbose)
		o.killed, o.took = err == nil, time.Since(begun)
		if err != nil {
			o.by = err.Error()
		}
		if o.killed && !opt.all {
			return []outcome{o}
		}
		out = append(out, o)
	}
	return out
}

// overlay writes the edited files, and the file that tells the Go command of them.
func (m *mutant) overlay(dir string) (string, error) {
	root, err := os.Getwd()
	if err != nil {
		return "", err
	}
	files, err := m.apply(root)
	if err != nil {
		return "", err
	}
	var o struct{ Replace map[string]string }
	o.Replace = map[string]string{}
	for file, text := range files {
		name := filepath.Join(dir, strconv.Itoa(len(o.Replace))+".go")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return "", err
		}
		o.Replace[filepath.Join(root, file)] = name
	}
	b, err := json.Marshal(o)
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "overlay.json")
	return name, os.WriteFile(name, b, 0o600)
}

var errSurvived = errors.New("SURVIVED")

// run says by what the mutant was killed; the error is errSurvived, or why
// that can't be told.
func (k killer) run(ctx context.Context, dir, overlay string, verbose bool) (by string, err error) {
	if k.layer == "sim" {
		return k.simulate(ctx, dir, overlay, verbose)
	}
	args := append([]string{"test", "-json", "-count=1", "-timeout=4m", "-overlay=" + overlay}, k.args...)
	out, _ := execute(ctx, verbose, "go", args...)
	r := readTests(out)
	switch {
	case r.build != "":
		return "", fmt.Errorf("does not compile: %s", r.build)
	case r.ran == 0:
		return "", fmt.Errorf("no test was run: %s", strings.TrimSpace(lastLine(out)))
	case r.timedOut && k.hangs:
		return "hangs in " + r.failed, nil
	case r.timedOut:
		return "", fmt.Errorf("timed out in %s, which is not what should kill it", r.failed)
	case r.failed == "":
		return "", fmt.Errorf("%w %s", errSurvived, strings.Join(k.args, " "))
	}
	return clip(r.failed), nil
}

// tests is what a run of go test -json came to.
type tests struct {
	build    string // what the compiler says; "" if it says nothing
	ran      int
	failed   string // the first test that failed; else the panic, or the package
	timedOut bool
}

func readTests(out []byte) (r tests) {
	var build strings.Builder
	pkg, panicked := "", ""
	for line := range bytes.Lines(out) {
		var e struct{ Action, Package, Test, Output string }
		if json.Unmarshal(line, &e) != nil {
			continue
		}
		switch e.Action {
		case "build-output":
			build.WriteString(e.Output)
		case "run":
			r.ran++
		case "output":
			if strings.HasPrefix(e.Output, "panic: ") && panicked == "" {
				panicked = strings.TrimSpace(e.Output)
				r.timedOut = strings.HasPrefix(panicked, "panic: test timed out after")
			}
		case "fail":
			if e.Test == "" {
				pkg = e.Package
			} else if r.failed == "" {
				r.failed = e.Test
			}
		}
	}
	r.build = strings.Join(strings.Fields(build.String()), " ")
	if r.failed == "" && pkg != "" {
		r.failed = cmp.Or(panicked, pkg)
	}
	return r
}

// simFailed is how cmd/mustersim names the first seed that fails.
var simFailed = regexp.MustCompile(`(?m)\bFAIL seed (\d+): (.*)$`)

// simulate runs as many seeds as the killer may need, one after the other, so
// that it comes out the same each time.
func (k killer) simulate(ctx context.Context, dir, overlay string, verbose bool) (by string, err error) {
	sim := filepath.Join(dir, "mustersim")
	if out, err := execute(ctx, verbose, "go", "build", "-overlay="+overlay, "-o", sim, "./cmd/mustersim"); err != nil {
		return "", fmt.Errorf("does not compile: %s", strings.Join(strings.Fields(string(out)), " "))
	}
	out, err := execute(ctx, verbose, sim, append([]string{"-procs", "1", "-shrink", "0", "-seeds"}, k.args...)...)
	if err == nil {
		return "", fmt.Errorf("%w %s seeds", errSurvived, k.args[0])
	}
	failed := simFailed.FindSubmatch(out)
	if failed == nil {
		return "", fmt.Errorf("the simulator failed without a seed: %s", strings.TrimSpace(lastLine(out)))
	}
	return clip(fmt.Sprintf("%s seeds: %s", failed[1], failed[2])), nil
}

// width is that of the column that says by what a mutant was killed.
const width = 56

func clip(s string) string { return s[:min(len(s), width)] }

// execute returns what a command printed, on either stream.
func execute(ctx context.Context, verbose bool, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var out bytes.Buffer
	cmd.Stdout = &out
	if verbose {
		cmd.Stdout = io.MultiWriter(&out, os.Stderr)
	}
	cmd.Stderr = cmd.Stdout
	err := cmd.Run()
	return out.Bytes(), err
}

func lastLine(out []byte) string {
	last := ""
	for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
		if s.Text() != "" {
			last = s.Text()
		}
	}
	return last
}
