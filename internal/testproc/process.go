// Package testproc is for tests and benchmarks that run servers as processes of
// their own: it builds muster, starts a program, waits until it is ready, reads
// what it says, and kills or stops it.
//
// It knows how muster and etcd are told where they are, and nothing of what they
// answer: whether one is ready, its caller asks. Processes run on this machine,
// print into files, get no configuration from the environment of whoever runs the
// test, and on Linux end with it at the latest. No server that people run imports
// this.
package testproc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Process is a program that is started, ends, and may be started again. One
// goroutine at a time starts it; the others may ask and signal while it runs.
type Process struct {
	Log string   // file; what it prints, in all its runs
	Env []string // its own, beside what CleanEnv leaves of ours

	cmd  *exec.Cmd     // of the last run; nil before the first
	done chan struct{} // closed when that has ended
}

// Start runs the program, and returns when it runs. The run before has ended.
func (p *Process) Start(program string, args ...string) error {
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the process has its own copy
	cmd, done := exec.Command(program, args...), make(chan struct{})
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(CleanEnv(os.Environ()), p.Env...)
	cmd.SysProcAttr = attributes()
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd, p.done = cmd, done
	go func() {
		_ = cmd.Wait() // how it ended is its exit code, and in its log
		close(done)
	}()
	return nil
}

// CleanEnv drops what would configure a server, or its Go runtime, beside its
// flags.
func CleanEnv(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(e string) bool {
		name, _, _ := strings.Cut(e, "=")
		return strings.HasPrefix(name, "ETCD_") || strings.HasPrefix(name, "MUSTER_") ||
			name == "GOGC" || name == "GOMEMLIMIT" || name == "GODEBUG"
	})
}

// Done is closed when the process has ended; nil before its first run.
func (p *Process) Done() <-chan struct{} { return p.done }

// Running: it was started and has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return p.done != nil
	}
}

// PID is that of the last run, which there was.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// ExitCode is how the last run ended: -1 by a signal, and while it goes on or
// where there was none.
func (p *Process) ExitCode() int {
	if p.cmd == nil || p.Running() {
		return -1
	}
	return p.cmd.ProcessState.ExitCode()
}

// Signal does nothing to one that doesn't run.
func (p *Process) Signal(s os.Signal) {
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(s) // it may have ended already
	}
}

// Kill ends the process as kill -9 does, and returns when it is gone.
func (p *Process) Kill() {
	if p.cmd != nil {
		p.Signal(syscall.SIGKILL)
		<-p.done
	}
}

// Stop asks the process to end (SIGTERM), and returns when it has. It is an
// error, and the process goes on, if that takes longer than it may.
func (p *Process) Stop(within time.Duration) error {
	if !p.Running() {
		return nil
	}
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return nil
	case <-time.After(within):
		return fmt.Errorf("process %d goes on, %v after SIGTERM", p.PID(), within)
	}
}

// Said is all that it has printed, in all its runs.
func (p *Process) Said() string {
	b, _ := os.ReadFile(p.Log) // without a log it has said nothing
	return string(b)
}

// LastWords are at most so many lines of the log: from where a run panicked or
// gave up, else the last.
func (p *Process) LastWords(lines int) string {
	all := strings.Split(strings.TrimSpace(p.Said()), "\n")
	from := slices.IndexFunc(all, func(l string) bool {
		return strings.HasPrefix(l, "panic: ") || strings.Contains(l, `"level":"fatal"`) || strings.Contains(l, `"level":"panic"`)
	})
	if from < 0 {
		from = max(0, len(all)-lines)
	}
	return strings.Join(all[from:min(len(all), from+lines)], "\n")
}

// Alive is an error with its last words if the process has ended.
func (p *Process) Alive() error {
	if p.Running() {
		return nil
	}
	return fmt.Errorf("the process of %s ended by itself: %s", p.Log, p.LastWords(10))
}

// Await asks until ready returns nil. It gives up, with the error of why, when
// one of the processes ends or ctx does.
func Await(ctx context.Context, ready func() error, ps ...*Process) error {
	for {
		err := ready()
		if err == nil {
			return nil
		}
		for _, p := range ps {
			if dead := p.Alive(); dead != nil {
				return dead
			}
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(10 * time.Millisecond): // a poll: ready decides
		}
	}
}
