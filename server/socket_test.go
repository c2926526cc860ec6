package server

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// shortDir is a directory whose files may be sockets: their names are at most some
// hundred bytes long.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "m")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // nothing to learn from it
	return dir
}

// Clients come through a socket as through a port, with TLS and without; they are
// told of it; and the file is gone when the server is.
func TestClientsThroughSockets(t *testing.T) {
	for _, scheme := range []string{"unix", "unixs"} {
		t.Run(scheme, func(t *testing.T) {
			file := filepath.Join(shortDir(t), "s")
			if l, err := net.Listen("unix", file); err == nil { // left by one that was killed
				l.(*net.UnixListener).SetUnlinkOnClose(false)
				_ = l.Close()
			}
			s, _ := single(t, func(c *Config) {
				c.Listen = scheme + "://" + file
				c.TLS.Auto = scheme == "unixs"
			})
			cfg := clientv3.Config{Endpoints: []string{scheme + "://" + file}, Logger: zap.NewNop()}
			if scheme == "unixs" {
				cfg.TLS = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // it proves nothing
			}
			client, err := clientv3.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if _, err := client.Put(ctx, "a", "b"); err != nil {
				t.Fatal(err)
			}
			all, err := client.MemberList(ctx)
			if err != nil || len(all.Members) != 1 || len(all.Members[0].ClientURLs) != 1 || all.Members[0].ClientURLs[0] != scheme+"://"+file {
				t.Errorf("%v, %v", all, err)
			}
			url, dial := overSocket(s.ClientAddr())
			web := http.Client{Transport: &http.Transport{DialContext: dial, TLSClientConfig: cfg.TLS, DisableKeepAlives: true}}
			resp, err := web.Get(url + "/health")
			if err != nil || resp.StatusCode != http.StatusOK {
				t.Errorf("over HTTP: %v, %v", resp, err)
			}
			if err == nil {
				_ = resp.Body.Close()
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(file); !os.IsNotExist(err) {
				t.Errorf("the file is still there: %v", err)
			}
		})
	}
}

func TestSocketsThatCantBeHad(t *testing.T) {
	dir := shortDir(t)
	busy, file := filepath.Join(dir, "busy"), filepath.Join(dir, "file")
	l, err := net.Listen("unix", busy)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]string{"unix://" + busy: "somebody listens there", "unix://" + file: "which is no socket"} {
		if _, err := (Config{Listen: addr}).listen(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", addr, err)
		}
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "x" {
		t.Errorf("the file is now %q, %v", b, err)
	}
	for addr, want := range map[string]string{"unix://": "names no file", "unixs://x": "no certificate", "ftp://x:1": "unix://"} {
		if err := (Config{Listen: addr}).validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", addr, err)
		}
	}
}
