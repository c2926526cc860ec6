package main

import (
	"crypto/tls"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/musterhq/muster/internal/testcert"
)

func TestCommandsOverTLS(t *testing.T) {
	ca := testcert.New(t, "ca")
	own, app := ca.Issue("n1", -time.Hour, time.Hour), ca.Issue("app", -time.Hour, time.Hour)
	client := nobody(t)
	startServe(t, client, "--name", "n1", "--single", "--data-dir", filepath.Join(t.TempDir(), "d"), "--peer-listen", nobody(t),
		"--tls-cert", own.Cert, "--tls-key", own.Key, "--tls-ca", ca.File, "--tls-client-auth")
	with := []string{"--endpoint", client, "--cacert", ca.File, "--cert", app.Cert, "--key", app.Key}
	eventually(t, "written", append([]string{"put", "a", "b"}, with...)...)
	eventually(t, "https://"+client, append([]string{"status"}, with...)...)
	eventually(t, "n1 at https://"+client, append([]string{"why"}, with...)...)
	env := []string{"MUSTER_ENDPOINT=https://" + client, "MUSTER_CACERT=" + ca.File, "MUSTER_CERT=" + app.Cert, "MUSTER_KEY=" + app.Key}
	if code, out, stderr := runMuster(env, "get", "a"); code != exitOK || !strings.Contains(out, "b") {
		t.Errorf("by the environment: exit %d, %s%s", code, out, stderr)
	}

	for _, tt := range []struct {
		want string
		args []string
	}{
		{"no muster answers", []string{"--endpoint", "https://" + nobody(t), "--cacert", ca.File}},
		{"is not to be trusted", []string{"--endpoint", "https://" + client, "--cert", app.Cert, "--key", app.Key}},
		{"give --cert FILE", []string{"--endpoint", client, "--cacert", ca.File}},
		{"give both, or none", []string{"--endpoint", client, "--cert", app.Cert}},
		{"holds no certificate", []string{"--endpoint", client, "--cacert", app.Key}},
	} {
		for _, what := range [][]string{{"get", "a"}, {"status"}} {
			if code, _, stderr := runMuster(nil, append(what, tt.args...)...); code == exitOK || !strings.Contains(stderr, tt.want) {
				t.Errorf("%s %s: exit %d, %s; want something with %q", what, tt.args, code, stderr, tt.want)
			}
		}
	}
	if code, _, stderr := runMuster(nil, "get", "a", "--endpoint", "https://"+client, "--insecure-skip-tls-verify", "--cert", app.Cert, "--key", app.Key); code != exitOK {
		t.Errorf("without a look at the certificate: exit %d, %s", code, stderr)
	}
}

func TestTLSToAPlainPort(t *testing.T) {
	client := nobody(t)
	startServe(t, client, "--name", "n1", "--single", "--data-dir", filepath.Join(t.TempDir(), "d"), "--peer-listen", nobody(t))
	eventually(t, "written", "put", "a", "b", "--endpoint", client)
	for _, what := range [][]string{{"get", "a"}, {"status"}} {
		if code, _, stderr := runMuster(nil, append(what, "--endpoint", "https://"+client)...); code == exitOK || !strings.Contains(stderr, "speaks no TLS") {
			t.Errorf("%s: exit %d, %s", what, code, stderr)
		}
	}
}

// refusing takes nothing and has words to say.
type refusing struct {
	net.Conn
	words chan error
}

func (r *refusing) Read([]byte) (int, error)  { return 0, <-r.words }
func (r *refusing) Write([]byte) (int, error) { return 0, syscall.EPIPE }

// Who is refused for its certificate may see its next write fail before it has
// read why; and gRPC reads once more after that.
func TestWhyAHandshakeFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var last atomic.Pointer[error]
		other := &refusing{words: make(chan error)}
		conn := &notingConn{Conn: other, last: &last, readEnded: make(chan struct{})}
		go func() {
			time.Sleep(lastWord / 2)
			other.words <- tls.AlertError(42)
			other.words <- net.ErrClosed
		}()
		read := make(chan struct{})
		go func() {
			_, _ = conn.Read(nil)
			_, _ = conn.Read(nil)
			close(read)
		}()
		if _, err := conn.Write([]byte("a")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("write: %v", err)
		}
		if err := last.Load(); err == nil || !errors.As(*err, new(tls.AlertError)) {
			t.Errorf("known when the write has failed: %v", err)
		}
		<-read
		if err := last.Load(); !errors.As(*err, new(tls.AlertError)) {
			t.Errorf("known at the end: %v", *err)
		}
	})
}
