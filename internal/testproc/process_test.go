package testproc

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// shell runs a line of shell as the process.
func shell(t *testing.T, line string) *Process {
	t.Helper()
	p := &Process{Log: filepath.Join(t.TempDir(), "log"), Env: []string{"MUSTER_OWN=own"}}
	if p.Running() || p.ExitCode() != -1 || p.Stop(time.Hour) != nil {
		t.Error("it runs before it is started")
	}
	p.Kill()
	if err := p.Start("sh", "-c", line); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

// says waits for a word in its log.
func says(t *testing.T, p *Process, word string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return Await(ctx, func() error {
		if !strings.Contains(p.Said(), word) {
			return errors.New("it doesn't say " + word)
		}
		return nil
	}, p)
}

func TestKill(t *testing.T) {
	p := shell(t, "exec sleep 600")
	if err := p.Alive(); err != nil || syscall.Kill(p.PID(), 0) != nil {
		t.Errorf("it doesn't run: %v", err)
	}
	for range 2 {
		p.Kill()
		if p.Running() || p.ExitCode() != -1 || syscall.Kill(p.PID(), 0) == nil {
			t.Error("it runs on")
		}
	}
}

func TestStop(t *testing.T) {
	p := shell(t, `trap "echo asked; exit 7" TERM; echo up; while :; do sleep 0.01; done`)
	if err := says(t, p, "up"); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(time.Minute); err != nil || p.ExitCode() != 7 || p.Said() != "up\nasked\n" {
		t.Errorf("%v, code %d, says %q", err, p.ExitCode(), p.Said())
	}
	deaf := shell(t, `trap "" TERM; echo up; exec sleep 600`)
	if err := says(t, deaf, "up"); err != nil {
		t.Fatal(err)
	}
	if err := deaf.Stop(time.Millisecond); err == nil || !deaf.Running() {
		t.Errorf("one that doesn't listen: %v", err)
	}
}

func TestEndedByItself(t *testing.T) {
	t.Setenv("MUSTER_OTHER", "other")
	p := shell(t, "echo $MUSTER_OWN$MUSTER_OTHER; echo disk on fire >&2; exit 3")
	if err := says(t, p, "nothing of the kind"); err == nil || !strings.HasSuffix(err.Error(), "own\ndisk on fire") {
		t.Errorf("got %v, want its log", err)
	}
	if err := p.Start("sh", "-c", "echo panic: no water; for i in 1 2 3; do echo $i; done; exit 4"); err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if got := p.LastWords(2); got != "panic: no water\n1" || p.ExitCode() != 4 || !strings.HasPrefix(p.Said(), "own\n") {
		t.Errorf("%q, code %d, of %q", got, p.ExitCode(), p.Said())
	}
}

func TestCleanEnv(t *testing.T) {
	got := CleanEnv([]string{"HOME=/h", "ETCD_NAME=x", "MUSTER_NAME=y", "GOGC=1", "GOGCX=1"})
	if strings.Join(got, " ") != "HOME=/h GOGCX=1" {
		t.Errorf("kept %v", got)
	}
}
