// Package testserver takes the place of the package of the same name of
// k8s.io/apiserver, and has what the tests use of it: RunEtcd starts a muster.
// It is compiled there and nowhere else (see TestStorage).
package testserver

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	storagetesting "k8s.io/apiserver/pkg/storage/testing"
)

// NewTestConfig returns a configuration in which the tests set what they need
// otherwise than it is by default.
func NewTestConfig(testing.TB) *embed.Config { return embed.NewConfig() }

// RunEtcd returns a client of a muster of one member that ends with the test.
// Of cfg it takes how often watches are told of progress.
func RunEtcd(t testing.TB, cfg *embed.Config) *kubernetes.Client {
	t.Helper()
	dir := t.TempDir()
	args := []string{"serve", "--single", "--name=n1", "--data-dir=" + filepath.Join(dir, "data"),
		"--listen=127.0.0.1:0", "--peer-listen=127.0.0.1:0"}
	if cfg != nil && cfg.WatchProgressNotifyInterval != 0 {
		args = append(args, "--watch-progress-notify-interval="+cfg.WatchProgressNotifyInterval.String())
	}
	logName := filepath.Join(dir, "log")
	log, err := os.Create(logName)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Getenv("COMPAT_MUSTER"), args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		recordServed(t, logName)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if text, err := os.ReadFile(logName); err == nil && t.Failed() {
			t.Logf("muster said:\n%s", text)
		}
	})
	client, err := kubernetes.New(clientv3.Config{
		Endpoints: []string{"http://" + clientAddr(t, logName)}, DialTimeout: 10 * time.Second, Logger: zap.NewNop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, err = client.KV.Get(ctx, "ready"); err != nil; _, err = client.KV.Get(ctx, "ready") {
		if ctx.Err() != nil {
			t.Fatalf("muster isn't ready: %v", err)
		}
	}
	recorder := storagetesting.NewKubernetesRecorder(client.Kubernetes)
	client.KV = storagetesting.NewKVRecorder(client.KV, recorder)
	client.Kubernetes = recorder
	return client
}

// served matches muster's counters of the calls that it has carried out.
var served = regexp.MustCompile(`(?m)^grpc_server_handled_total\{.*\} ([0-9]+)$`)

// recordServed adds a line to the file COMPAT_SERVED: the test, and how many
// calls its muster says that it has answered, the last before it is ended.
func recordServed(t testing.TB, logName string) {
	resp, err := http.Get("http://" + clientAddr(t, logName) + "/metrics")
	if err != nil {
		t.Errorf("ask muster what it served: %v", err)
		return
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("ask muster what it served: %v", err)
		return
	}
	calls := 0
	for _, m := range served.FindAllSubmatch(text, -1) {
		n, _ := strconv.Atoi(string(m[1])) // digits
		calls += n
	}
	f, err := os.OpenFile(os.Getenv("COMPAT_SERVED"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Errorf("note what muster served: %v", err)
		return
	}
	defer f.Close()
	if _, err := fmt.Fprintf(f, "%s %d\n", t.Name(), calls); err != nil {
		t.Errorf("note what muster served: %v", err)
	}
}

// clientAddr waits for the address that muster logs.
func clientAddr(t testing.TB, logName string) string {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		text, _ := os.ReadFile(logName)
		if _, rest, ok := strings.Cut(string(text), " client_addr="); ok {
			addr, _, _ := strings.Cut(rest, " ")
			return strings.TrimSpace(addr)
		}
	}
	t.Fatal("muster didn't say where it listens for clients")
	return ""
}
