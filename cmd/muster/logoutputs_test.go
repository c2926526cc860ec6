package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The log goes everywhere it was told to, once, and is appended to what is there.
func TestLogOutputs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(file, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	w, closeAll, err := openLog([]string{"stderr", file, "stdout", file, "stderr"}, &stdout, &stderr)
	if err != nil {
		t.Fatal(err)
	}
	log, err := newLogger(w, "info", "text")
	if err != nil {
		t.Fatal(err)
	}
	log.Info("a")
	log.Info("b")
	closeAll()
	written, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(written), "before\n") || string(written) != "before\n"+stderr.String() || stdout.String() != stderr.String() || strings.Count(stderr.String(), "\n") != 2 {
		t.Errorf("file %q, stdout %q, stderr %q", written, &stdout, &stderr)
	}
	for _, outputs := range [][]string{nil, {"stderr", filepath.Join(file, "below")}} {
		if _, _, err := openLog(outputs, &stdout, &stderr); err == nil || codeOf(err) != exitUsage || !strings.Contains(err.Error(), "--log-outputs") {
			t.Errorf("%q: %v", outputs, err)
		}
	}
}

// etcd's words for its outputs.
func TestEtcdsLogOutputs(t *testing.T) {
	for given, want := range map[string][]string{
		"": {"stderr"}, "default": {"stderr"}, "stdout,/var/log/default": {"stdout", "/var/log/default"}, "systemd/journal": {"stderr"},
	} {
		_, f, err := asServe(t, nil, "--log-outputs="+given)
		if err != nil || !slices.Equal(f.logOutputs, want) {
			t.Errorf("%q: %v, %q", given, err, f.logOutputs)
		}
	}
}
