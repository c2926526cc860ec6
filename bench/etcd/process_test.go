package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/bench/internal/measure"
	"github.com/musterhq/muster/internal/testproc"
)

// script is a "server" that runs the given shell lines.
func script(t *testing.T, lines string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "server")
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"+lines+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestKillEndsEveryProcess(t *testing.T) {
	sys, err := systemOf("muster")
	if err != nil {
		t.Fatal(err)
	}
	s, err := startServers(sys, script(t, "exec sleep 600"), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	u, err := s.usage()
	if err != nil || u.RSS == 0 {
		t.Errorf("usage %+v, %v", u, err)
	}
	s.kill()
	for _, m := range s.members {
		if m.Running() {
			t.Errorf("process %d still runs", m.PID())
		}
	}
	if _, err := s.usage(); err == nil {
		t.Error("usage of dead processes is no error")
	}
}

func TestDeadServerIsToldWithItsLog(t *testing.T) {
	sys, err := systemOf("etcd")
	if err != nil {
		t.Fatal(err)
	}
	s, err := startServers(sys, script(t, "echo disk on fire >&2; exit 3"), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.kill()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = s.waitAlive(ctx, func() error { return errors.New("not yet") })
	if err == nil || !strings.Contains(err.Error(), "disk on fire") {
		t.Errorf("got %v, want the end of the log", err)
	}
}

func TestSpread(t *testing.T) {
	all := []*testproc.Member{{Name: "n1"}, {Name: "n2"}, {Name: "n3"}}
	for _, c := range []struct {
		target  string
		clients int
		want    string
	}{
		{toLeader, 1, "n2"},
		{toLeader, 100, "n2 n2 n2 n2"},
		{toAll, 1, "n1 n2 n3"},
		{toAll, 100, "n1 n2 n3 n1"},
	} {
		var got []string
		for _, m := range (settings{conns: 4}).spread(all, 1, &measure.Sample{Target: c.target, Clients: c.clients}) {
			got = append(got, m.Name)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%d clients to %s: %v, want %s", c.clients, c.target, got, c.want)
		}
	}
}
