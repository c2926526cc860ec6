package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/musterhq/muster/bench/internal/measure"
	"github.com/musterhq/muster/internal/loopback"
)

// servers are the three processes of one cell. They start with empty
// directories and end with the cell: while one system is measured, no process
// of the other exists that could compact, flush or send heartbeats.
type servers struct {
	system  system
	members []member
	procs   []*process
	ports   loopback.Ports // theirs
}

// process is a started member. done is closed when it has ended.
type process struct {
	cmd  *exec.Cmd
	log  string // file
	done chan struct{}
}

const memberCount = 3

// startServers starts all members of one system below dir. On an error none is
// left running.
func startServers(sys system, binary, dir string) (*servers, error) {
	s := &servers{system: sys}
	addrs, err := s.ports.ReserveAny(2 * memberCount)
	if err != nil {
		return nil, errors.Join(err, s.kill())
	}
	for i := range memberCount {
		name := fmt.Sprintf("n%d", i+1)
		s.members = append(s.members, member{name: name, dir: filepath.Join(dir, name), client: addrs[2*i], peer: addrs[2*i+1]})
	}
	for _, m := range s.members {
		p, err := startProcess(binary, sys.args(m, s.members), m.dir+".log")
		if err != nil {
			return nil, errors.Join(fmt.Errorf("start %s %s: %w", sys.name, m.name, err), s.kill())
		}
		s.procs = append(s.procs, p)
	}
	return s, nil
}

func startProcess(binary string, args []string, logName string) (*process, error) {
	log, err := os.Create(logName)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the child has its own copy
	cmd := exec.Command(binary, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = cleanEnv(os.Environ())
	// A group of its own: Ctrl-C at the terminal reaches the benchmark alone,
	// which then ends its members itself.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, log: logName, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(p.done)
	}()
	return p, nil
}

// cleanEnv drops what would configure one system and not the other.
func cleanEnv(env []string) []string {
	kept := make([]string, 0, len(env))
	for _, e := range env {
		switch name, _, _ := strings.Cut(e, "="); {
		case strings.HasPrefix(name, "ETCD_"), strings.HasPrefix(name, "MUSTER_"),
			name == "GOGC", name == "GOMEMLIMIT", name == "GODEBUG":
		default:
			kept = append(kept, e)
		}
	}
	return kept
}

// kill ends every process and returns when they are gone. It doesn't stop them
// gently: nothing of the cell is used afterwards.
func (s *servers) kill() error {
	var errs []error
	for _, p := range s.procs {
		if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			errs = append(errs, err)
			continue
		}
		<-p.done
	}
	s.ports.Release()
	return errors.Join(errs...)
}

// alive is an error that holds the end of the log of a process that ended.
func (s *servers) alive() error {
	for i, p := range s.procs {
		select {
		case <-p.done:
			log, _ := os.ReadFile(p.log) // an empty tail says as much
			return fmt.Errorf("%s %s ended by itself: %s", s.system.name, s.members[i].name, tail(log, 3))
		default:
		}
	}
	return nil
}

// usage is what the members have used so far, all together.
func (s *servers) usage() (measure.Usage, error) {
	var sum measure.Usage
	for _, p := range s.procs {
		u, err := measure.Process(p.cmd.Process.Pid)
		if err != nil {
			return sum, errors.Join(err, s.alive())
		}
		sum.CPU += u.CPU
		sum.RSS += u.RSS
	}
	return sum, nil
}

// waitAlive calls ready until it succeeds, a process ends, or ctx does.
func (s *servers) waitAlive(ctx context.Context, ready func() error) error {
	for {
		err := ready()
		if err == nil {
			return nil
		}
		if dead := s.alive(); dead != nil {
			return dead
		}
		if pauseErr := pause(ctx, retryPause); pauseErr != nil {
			return fmt.Errorf("%s isn't ready: %w", s.system.name, err)
		}
	}
}
