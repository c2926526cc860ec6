package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// serving is a `muster serve` in this process.
type serving struct {
	t       *testing.T
	client  string // address
	signals chan struct{}
	exited  chan struct{}
	code    exitCode     // set when exited is closed
	stderr  bytes.Buffer // read it after exited is closed
}

func startServe(t *testing.T, client string, args ...string) *serving {
	t.Helper()
	s := &serving{t: t, client: client, signals: make(chan struct{}, 2), exited: make(chan struct{})}
	a := &app{in: strings.NewReader(""), out: &bytes.Buffer{}, err: &s.stderr, signals: s.signals}
	go func() {
		defer close(s.exited)
		s.code = a.run(append([]string{"serve", "--listen", client}, args...))
	}()
	t.Cleanup(func() {
		s.signals <- struct{}{}
		s.wait()
	})
	return s
}

// wait returns when serve has ended.
func (s *serving) wait() exitCode {
	s.t.Helper()
	select {
	case <-s.exited:
		return s.code
	case <-time.After(30 * time.Second):
		s.t.Fatal("serve does not end")
		return 0
	}
}

// eventually runs a client command until its output has what is wanted.
func eventually(t *testing.T, want string, args ...string) {
	t.Helper()
	var out, stderr string
	for began := time.Now(); time.Since(began) < 30*time.Second; time.Sleep(20 * time.Millisecond) {
		if _, out, stderr = runMuster(nil, args...); strings.Contains(out, want) {
			return
		}
	}
	t.Fatalf("muster %s never said %q; the last was %q, %q", strings.Join(args, " "), want, out, stderr)
}

func TestServeStopRestart(t *testing.T) {
	dir, client, peer := filepath.Join(t.TempDir(), "d"), nobody(t), nobody(t)
	first := startServe(t, client, "--name", "n1", "--single", "--data-dir", dir, "--peer-listen", peer)
	eventually(t, "written", "put", "a", "b", "--endpoint", client)

	code, _, stderr := runMuster(nil, "serve", "--name", "n1", "--data-dir", dir, "--listen", nobody(t), "--peer-listen", nobody(t))
	if code != exitData || !strings.Contains(stderr, dir) {
		t.Errorf("a second node in the same directory: exit %d, %s", code, stderr)
	}
	code, _, stderr = runMuster(nil, "serve", "--name", "n2", "--single", "--data-dir", dir+"2", "--listen", client, "--peer-listen", nobody(t))
	if code != exitFailed || !strings.Contains(stderr, client) || !strings.Contains(stderr, "--listen") {
		t.Errorf("a second node on the same port: exit %d, %s", code, stderr)
	}

	first.signals <- struct{}{}
	if code := first.wait(); code != exitOK {
		t.Fatalf("stopped with exit %d: %s", code, first.stderr.String())
	}
	// A directory that is a member's needs neither --single nor --seeds.
	again := startServe(t, client, "--name", "n1", "--data-dir", dir, "--peer-listen", peer, "--log-format", "json")
	eventually(t, `"value": "b"`, "get", "a", "--output", "json", "--endpoint", client)
	if code, _, stderr := runMuster(nil, "leave", "--endpoint", client); code != exitFailed {
		t.Errorf("the last member leaves: exit %d, %s", code, stderr)
	}
	again.signals <- struct{}{}
	if code := again.wait(); code != exitOK || !strings.HasPrefix(again.stderr.String(), `{"time":`) {
		t.Errorf("exit %d, %s", code, again.stderr.String())
	}
}

func TestServeWithoutAWayToACluster(t *testing.T) {
	code, _, stderr := runMuster(nil, "serve", "--data-dir", filepath.Join(t.TempDir(), "d"), "--listen", nobody(t))
	if code != exitUsage || !strings.Contains(stderr, "--seeds") || !strings.Contains(stderr, "--single") || !strings.Contains(stderr, "--join-only") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	code, _, stderr = runMuster([]string{"MUSTER_EXPECT=1"}, "serve", "--seeds", nobody(t), "--data-dir", filepath.Join(t.TempDir(), "d"), "--listen", nobody(t))
	if code != exitUsage || !strings.Contains(stderr, "--single") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	code, _, stderr = runMuster(nil, "serve", "--single", "--data-dir", filepath.Join(t.TempDir(), "d"), "--listen", "0.0.0.0:0")
	if code != exitUsage || !strings.Contains(stderr, "--advertise") {
		t.Errorf("exit %d, %s", code, stderr)
	}
}

func TestNodeThatLeftEndsWith3AndStaysOut(t *testing.T) {
	dir, p1 := t.TempDir(), nobody(t)
	c1, c2 := nobody(t), nobody(t)
	startServe(t, c1, "--name", "n1", "--single", "--data-dir", filepath.Join(dir, "1"), "--peer-listen", p1)
	leaver := []string{"--name", "n2", "--join-only", "--seeds", p1, "--data-dir", filepath.Join(dir, "2"), "--peer-listen", nobody(t)}
	second := startServe(t, c2, leaver...)
	eventually(t, `"name": "n2"`, "members", "--output", "json", "--endpoint", c1)
	eventually(t, "has left the cluster", "leave", "--endpoint", c2)
	if code := second.wait(); code != exitRemoved || !strings.Contains(second.stderr.String(), "start with an empty one") {
		t.Errorf("exit %d, %s", code, second.stderr.String())
	}
	if code := startServe(t, c2, leaver...).wait(); code != exitRemoved {
		t.Errorf("started again: exit %d", code)
	}
}

func TestDemoComesUpAndComesBack(t *testing.T) {
	three, one := t.TempDir(), t.TempDir()
	for _, run := range []struct{ dir, members string }{
		{three, "3"}, {three, "3"},
		{one, "1"}, {one, "1"}, {one, "3"}, {one, "3"},
	} {
		code, out, stderr := runMuster(nil, "demo", "--exit-after-ready", "--data-dir", run.dir, "--members", run.members)
		if code != exitOK || !strings.Contains(out, "every member was ready") || strings.Contains(out, "Try next") {
			t.Errorf("%s: exit %d, %s%s", run, code, out, stderr)
		}
	}
}
