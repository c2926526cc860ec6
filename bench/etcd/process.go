package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/musterhq/muster/bench/internal/measure"
	"github.com/musterhq/muster/internal/loopback"
	"github.com/musterhq/muster/internal/testproc"
)

// servers are the three processes of one cell. They start with empty
// directories and end with the cell: while one system is measured, no process
// of the other exists that could compact, flush or send heartbeats.
type servers struct {
	system  system
	members []*testproc.Member
	ports   loopback.Ports // theirs
}

const memberCount = 3

// startServers starts all members of one system below dir. On an error none is
// left running.
func startServers(sys system, binary, dir string) (*servers, error) {
	s := &servers{system: sys}
	addrs, err := s.ports.ReserveAny(2 * memberCount)
	if err != nil {
		s.kill()
		return nil, err
	}
	s.members = testproc.Members(dir, addrs, "n1", "n2", "n3")
	for _, m := range s.members {
		if err := m.Start(binary, sys.args(m, s.members)...); err != nil {
			s.kill()
			return nil, fmt.Errorf("start %s %s: %w", sys.name, m.Name, err)
		}
	}
	return s, nil
}

// kill ends every process and returns when they are gone. It doesn't stop them
// gently: nothing of the cell is used afterwards.
func (s *servers) kill() {
	for _, m := range s.members {
		m.Kill()
	}
	s.ports.Release()
}

// usage is what the members have used so far, all together.
func (s *servers) usage() (measure.Usage, error) {
	var sum measure.Usage
	for _, m := range s.members {
		u, err := measure.Process(m.PID())
		if err != nil {
			return sum, errors.Join(err, m.Alive())
		}
		sum.CPU += u.CPU
		sum.RSS += u.RSS
	}
	return sum, nil
}

// waitAlive calls ready until it succeeds, a process ends, or ctx does.
func (s *servers) waitAlive(ctx context.Context, ready func() error) error {
	var ps []*testproc.Process
	for _, m := range s.members {
		ps = append(ps, &m.Process)
	}
	if err := testproc.Await(ctx, ready, ps...); err != nil {
		return fmt.Errorf("%s isn't ready: %w", s.system.name, err)
	}
	return nil
}
