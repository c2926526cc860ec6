package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// demoReadyTime bounds how long --exit-after-ready waits.
const demoReadyTime = time.Minute

type demoFlags struct {
	members        int
	dataDir        string
	exitAfterReady bool
}

func (a *app) demoCommand() *cobra.Command {
	f := &demoFlags{}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a whole cluster on this machine, to try things out",
		Long: `Run a cluster of real members, each with its own port and directory, in this
one process, and show how it is doing. Members can be stopped, killed and
started again by typing that. Ctrl-C ends it. With --data-dir the cluster is
kept, and comes back when demo is run on the same directory.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.members < 1 || f.members > 9 {
				return usage("--members %d: want 1 to 9", f.members)
			}
			return a.demo(cmd.Context(), f)
		},
	}
	cmd.Flags().IntVar(&f.members, "members", 3, "how many members")
	cmd.Flags().StringVar(&f.dataDir, "data-dir", "", "where the members keep their data (default: a temporary directory, deleted at the end)")
	cmd.Flags().BoolVar(&f.exitAfterReady, "exit-after-ready", false, "end as soon as every member is ready, for scripts")
	return cmd
}

// demo runs the cluster until it is told to end.
func (a *app) demo(ctx context.Context, f *demoFlags) (err error) {
	stop, forget := a.stopSignals()
	defer forget()
	dir, kept, err := demoDir(f.dataDir)
	if err != nil {
		return err
	}
	if !kept {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	c, err := openDemo(dir, f.members)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.closeAll()) }()
	if err := c.startAll(ctx); err != nil {
		return err
	}
	d := &demoRun{cluster: c, intro: demoIntro{dir: dir, kept: kept, program: programName()}, began: time.Now()}
	if f.exitAfterReady {
		return d.untilReady(ctx, a.out, stop)
	}
	if in, out, ok := terminals(a.in, a.out); ok {
		return d.interactive(in, out, stop)
	}
	return d.plain(a.out, stop, nil)
}

// demoDir is the directory to use, and whether it is kept.
func demoDir(given string) (dir string, kept bool, err error) {
	if given == "" {
		dir, err = os.MkdirTemp("", "muster-demo-")
		if err != nil {
			return "", false, fmt.Errorf("make a temporary directory: %w", err)
		}
		return dir, false, nil
	}
	if err := os.MkdirAll(given, 0o750); err != nil {
		return "", false, fmt.Errorf("make the data directory (--data-dir): %w", err)
	}
	return given, true, nil
}

// terminals says whether both ends are one.
func terminals(in io.Reader, out io.Writer) (*os.File, *os.File, bool) {
	i, ok1 := in.(*os.File)
	o, ok2 := out.(*os.File)
	if !ok1 || !ok2 || os.Getenv("TERM") == "dumb" {
		return nil, nil, false
	}
	return i, o, term.IsTerminal(int(i.Fd())) && term.IsTerminal(int(o.Fd()))
}

// programName is what to type to run this program again.
func programName() string {
	exe, err := os.Executable()
	if err == nil && strings.Contains(filepath.ToSlash(exe), "/go-build") {
		return "go run ./cmd/muster"
	}
	return "muster"
}

// demoRun is a running demo and how it is shown.
type demoRun struct {
	cluster *demoCluster
	intro   demoIntro
	began   time.Time
	ready   time.Duration // from the start until every member was ready; 0: not yet
	brief   bool          // it ends then: there is nothing to try next
}

// look reads everything that is shown, once.
func (d *demoRun) look() demoView {
	v := d.cluster.view()
	if d.ready == 0 && v.ready() {
		d.ready = time.Since(d.began)
	}
	v.readyAfter = d.ready
	return v
}

// untilReady is --exit-after-ready.
func (d *demoRun) untilReady(ctx context.Context, out io.Writer, stop <-chan struct{}) error {
	d.brief = true
	ctx, cancel := context.WithTimeout(ctx, demoReadyTime)
	defer cancel()
	ready := make(chan error, 1)
	go func() { ready <- d.cluster.waitReady(ctx) }()
	var result error
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case result = <-ready:
		case <-stop:
			result = errors.New("told to stop before the cluster was ready")
		}
	}()
	if err := d.plain(out, done, nil); err != nil {
		return err
	}
	return result
}
