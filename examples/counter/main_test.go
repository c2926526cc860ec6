package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/internal/loopback"
	"github.com/musterhq/muster/statemachine"
)

// asCounter is set where the test's own program is to be the counter.
const asCounter = "RUN_AS_COUNTER"

func TestMain(m *testing.M) {
	if os.Getenv(asCounter) != "" {
		main()
		return
	}
	m.Run()
}

// TestThreeCount does what the README says: three processes of this program
// form a cluster; each counts, and each then reads what all counted, also
// after one was killed and started again.
func TestThreeCount(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	peers, https := loopback.Addrs(t, 3), loopback.Addrs(t, 3)
	dir := t.TempDir()
	start := func(i int) *process {
		return startCounter(t, fail, "-dir", filepath.Join(dir, fmt.Sprint(i)),
			"-http", https[i], "-peer", peers[i], "-seeds", strings.Join(peers, ","))
	}
	var nodes []*process
	for i := range 3 {
		nodes = append(nodes, start(i))
	}
	counted := 0
	for range 3 {
		for _, at := range https {
			counted++
			eventually(ctx, t, http.MethodPost, at, fmt.Sprint(counted))
		}
	}
	for _, at := range https {
		eventually(ctx, t, http.MethodGet, at, "9")
	}

	nodes[1].end(t, syscall.SIGKILL)
	nodes[1] = start(1)
	for _, at := range https {
		eventually(ctx, t, http.MethodGet, at, "9")
	}
	for i, n := range nodes {
		if code := n.end(t, syscall.SIGTERM); code != 0 {
			t.Errorf("%d ended with %d when asked to stop", i, code)
		}
	}
}

// process is one running counter.
type process struct {
	cmd   *exec.Cmd
	asked atomic.Bool   // to end
	done  chan struct{} // closed when it has
}

// startCounter runs the program; fail is told if it ends unasked. What it
// logs is in the test's output.
func startCounter(t *testing.T, fail context.CancelCauseFunc, args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(self, args...), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), asCounter+"=1")
	p.cmd.Stderr = t.Output()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		err := p.cmd.Wait()
		if !p.asked.Load() {
			fail(fmt.Errorf("counter %v ended by itself: %w", args, err))
		}
	}()
	t.Cleanup(func() { p.end(t, syscall.SIGKILL) })
	return p
}

// end sends a signal and waits for the end. The answer is the exit code.
func (p *process) end(t *testing.T, sig syscall.Signal) int {
	t.Helper()
	p.asked.Store(true)
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	<-p.done
	return p.cmd.ProcessState.ExitCode()
}

// eventually asks until the answer is 200; what was not counted may be asked
// for again, what may have been must not be.
func eventually(ctx context.Context, t *testing.T, method, at, want string) {
	t.Helper()
	for {
		code, body, err := ask(ctx, method, "http://"+at+"/")
		switch {
		case err == nil && code == http.StatusOK:
			if body != want {
				t.Fatalf("%s at %s: %q, want %q", method, at, body, want)
			}
			return
		case err == nil && code == http.StatusGatewayTimeout && method == http.MethodPost:
			t.Fatalf("%s at %s: %s", method, at, body)
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%v; %s at %s: last answer %d %q, %v", context.Cause(ctx), method, at, code, body, err)
		case <-time.After(50 * time.Millisecond): // not up yet, or no leader yet: ask again
		}
	}
}

func ask(ctx context.Context, method, url string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, strings.TrimSpace(string(body)), err
}

// TestAnswers: the three answers are never blurred.
func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
		text string
	}{
		{nil, 200, "7"},
		{fmt.Errorf("propose: %w", muster.ErrUnknownOutcome), 504, "it may have counted, or not"},
		{fmt.Errorf("propose: %w", muster.ErrNotLeader), 503, "it did not count"},
	} {
		w := httptest.NewRecorder()
		answer(w, statemachine.Result(int64(7)), c.err)
		if w.Code != c.code || !strings.HasPrefix(w.Body.String(), c.text) {
			t.Errorf("%v: %d %q, want %d %q", c.err, w.Code, w.Body, c.code, c.text)
		}
	}
}

func TestSaveAndLoad(t *testing.T) {
	var a, b counter
	for range 3 {
		a.Apply(nil)
	}
	var image bytes.Buffer
	if err := a.Save(&image); err != nil {
		t.Fatal(err)
	}
	if err := b.Load(&image); err != nil || b.n.Load() != 3 {
		t.Errorf("loaded %d, %v; want 3", b.n.Load(), err)
	}
}
