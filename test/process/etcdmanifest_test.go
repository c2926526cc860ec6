package process

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/musterhq/muster/internal/loopback"
	"github.com/musterhq/muster/internal/testcert"
	"github.com/musterhq/muster/internal/testproc"
)

// readyWords are what test frameworks wait for in etcd's log: its own end-to-end
// tests, jetcd, several of testcontainers.
const readyWords = "ready to serve client requests"

// asProgram starts the member by the program named etcd, which is muster.
func (m *member) asProgram(environ []string, args ...string) {
	m.t.Helper()
	m.prefix = slices.Concat([]string{"env", "MUSTER=" + testproc.Muster(m.t)}, environ, []string{"sh"})
	m.binary = "../../contrib/etcd/etcd"
	m.run(args...)
}

// saysReady waits for the words in the log of what runs now.
func (m *member) saysReady(before int) {
	m.t.Helper()
	eventually(m.t, m.name+" says that it is ready", func() bool { return strings.Contains(m.Said()[before:], readyWords) })
}

// over TLS, with a configuration that may prove something, or nothing.
func dialTLS(t *testing.T, secure *tls.Config, ms ...*member) *clientv3.Client {
	t.Helper()
	var eps []string
	for _, m := range ms {
		eps = append(eps, "https://"+m.client)
	}
	c, err := clientv3.New(clientv3.Config{Endpoints: eps, TLS: secure, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // nothing to learn from it
	return c
}

// Kubernetes' scripts for tests ask the program for its version, give it any port
// for peers, wait for /health, and put over HTTP.
func TestAsKubernetesScripts(t *testing.T) {
	t.Parallel()
	m := newMember(t, "default")
	cmd := exec.Command("sh", "../../contrib/etcd/etcd", "--version")
	cmd.Env = append(os.Environ(), "MUSTER="+testproc.Muster(t))
	out, err := cmd.CombinedOutput()
	if words := strings.Fields(string(out)); err != nil || len(words) < 3 || words[1] != "Version:" || !strings.HasPrefix(words[2], "3.") {
		t.Fatalf("version: %s, %v", out, err)
	}
	url := "http://" + m.client
	m.asProgram([]string{"ETCD_UNSUPPORTED_ARCH=arm"}, "--advertise-client-urls", url, "--data-dir", m.dir, "--listen-client-urls", url, "--listen-peer-urls", "http://localhost:0", "--log-level=warn")
	eventually(t, "it is healthy", func() bool { return strings.Contains(fetch(t, nil, url+"/health"), `"health":"true"`) })
	resp, err := http.Post(url+"/v3/kv/put", "", strings.NewReader(`{"key": "X3Rlc3Q=", "value": ""}`))
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("put: %v, %v", resp, err)
	}
	if err == nil {
		_ = resp.Body.Close()
	}
}

// fetch is what is answered at a URL; "" if it isn't well.
func fetch(t *testing.T, secure *tls.Config, url string) string {
	t.Helper()
	c := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: secure}}
	resp, err := c.Get(url)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return ""
	}
	return string(b)
}

// A control plane as kubeadm starts it, probed as kubelet does.
func TestAsKubeadmStarts(t *testing.T) {
	t.Parallel()
	ca, m, probes := testcert.New(t, "etcd-ca"), newMember(t, "cp1"), loopback.Addrs(t, 1)[0]
	own, peer, app := ca.Issue("cp1", -time.Hour, time.Hour), ca.Issue("cp1", -time.Hour, time.Hour), ca.Issue("kube-apiserver-etcd-client", -time.Hour, time.Hour)
	m.asProgram(nil, "--advertise-client-urls=https://"+m.client, "--cert-file="+own.Cert, "--client-cert-auth=true", "--data-dir="+m.dir,
		"--feature-gates=InitialCorruptCheck=true", "--initial-advertise-peer-urls=https://"+m.peer, "--initial-cluster=cp1=https://"+m.peer,
		"--key-file="+own.Key, "--listen-client-urls=https://"+m.client, "--listen-metrics-urls=http://"+probes, "--listen-peer-urls=https://"+m.peer,
		"--name=cp1", "--peer-cert-file="+peer.Cert, "--peer-client-cert-auth=true", "--peer-key-file="+peer.Key, "--peer-trusted-ca-file="+ca.File,
		"--snapshot-count=10000", "--trusted-ca-file="+ca.File, "--watch-progress-notify-interval=5s")
	m.saysReady(0)
	for _, path := range []string{"/livez", "/readyz", "/health"} {
		eventually(t, path+" is well", func() bool { return fetch(t, nil, "http://"+probes+path) != "" })
	}
	pair, err := tls.LoadX509KeyPair(app.Cert, app.Key)
	if err != nil {
		t.Fatal(err)
	}
	c := dialTLS(t, &tls.Config{Certificates: []tls.Certificate{pair}, InsecureSkipVerify: true}, m) //nolint:gosec // what is asked of the client is of interest
	put(t, c, "/registry/a", "b")
	all := ask(t, c, "the list", func(ctx context.Context) (*clientv3.MemberListResponse, error) { return c.MemberList(ctx) }).Members
	if len(all) != 1 || !slices.Equal(all[0].PeerURLs, []string{"https://" + m.peer}) || !slices.Equal(all[0].ClientURLs, []string{"https://" + m.client}) {
		t.Errorf("listed: %v", all)
	}
}

// The command of etcd's releases for Docker, which says 0.0.0.0 where others are
// to be told something.
func TestAsInDocker(t *testing.T) {
	t.Parallel()
	m := newMember(t, "s1")
	any := func(addr string) string { return "http://0.0.0.0" + addr[strings.LastIndex(addr, ":"):] }
	args := []string{
		"--name", "s1", "--data-dir", m.dir, "--listen-client-urls", any(m.client), "--advertise-client-urls", any(m.client), "--listen-peer-urls", any(m.peer),
		"--initial-advertise-peer-urls", any(m.peer), "--initial-cluster", "s1=" + any(m.peer), "--initial-cluster-token", "tkn", "--initial-cluster-state", "new",
		"--log-level", "info", "--logger", "zap", "--log-outputs", "stderr",
	}
	for range 2 {
		before := len(m.Said())
		m.asProgram(nil, args...)
		m.saysReady(before)
		put(t, dial(t, m), "a", "b")
		if code := m.term(); code != 0 {
			t.Fatalf("exit %d", code)
		}
	}
}

// Three members as etcd's end-to-end tests start them with certificates that they
// make themselves, for clients and for each other.
func TestAsEndToEndTestsWithAutoTLS(t *testing.T) {
	t.Parallel()
	ms := named(t, 3)
	list := strings.ReplaceAll(initialCluster(ms...), "http://", "https://")
	start := func(m *member) {
		m.asProgram([]string{"ETCD_VERIFY=all"}, "--name="+m.name, "--listen-client-urls=https://"+m.client, "--advertise-client-urls=https://"+m.client, "--listen-peer-urls=https://"+m.peer, "--initial-advertise-peer-urls=https://"+m.peer,
			"--initial-cluster-token=new", "--data-dir="+m.dir, "--snapshot-count=10000", "--auto-tls", "--peer-auto-tls", "--initial-cluster="+list, "--initial-cluster-state=new")
	}
	for _, m := range ms {
		start(m)
	}
	for _, m := range ms {
		m.saysReady(0)
		if !strings.Contains(m.Said(), "nobody proves there who it is") {
			t.Errorf("%s doesn't say what --peer-auto-tls is worth: %s", m.name, m.Said())
		}
	}
	c := dialTLS(t, &tls.Config{InsecureSkipVerify: true}, ms...) //nolint:gosec // there is nothing to verify it by
	put(t, c, "a", "1")
	all := ask(t, c, "the list", func(ctx context.Context) (*clientv3.MemberListResponse, error) { return c.MemberList(ctx) }).Members
	for _, x := range all {
		if !strings.HasPrefix(x.PeerURLs[0], "https://") {
			t.Errorf("listed: %v", x)
		}
	}
	before := len(ms[0].Said())
	ms[0].Kill()
	start(ms[0])
	ms[0].saysReady(before)
	if v := get(t, dialTLS(t, &tls.Config{InsecureSkipVerify: true}, ms[0]), "a"); v != "1" { //nolint:gosec // as above
		t.Errorf("a is %q", v)
	}
	plain := newMember(t, "n4", "--join-only", "--seeds", ms[0].peer)
	plain.start()
	eventually(t, "one that speaks plain text stays out", func() bool { return strings.Contains(plain.why(), "tls_expected") })
}

// A configuration file as k3s writes it, with several addresses for peers.
func TestAsK3sStarts(t *testing.T) {
	t.Parallel()
	ca, m, more := testcert.New(t, "ca"), newMember(t, "k3s-1"), loopback.Addrs(t, 2)
	p := ca.Issue("k3s-1", -time.Hour, time.Hour)
	file := filepath.Join(t.TempDir(), "config")
	security := func(section string) string {
		return fmt.Sprintf("%s:\n  cert-file: %s\n  client-cert-auth: true\n  key-file: %s\n  trusted-ca-file: %s\n", section, p.Cert, p.Key, ca.File)
	}
	text := fmt.Sprintf(`advertise-client-urls: https://%[1]s
data-dir: %[3]s
election-timeout: 5000
experimental-initial-corrupt-check: true
experimental-watch-progress-notify-interval: 5000000000
heartbeat-interval: 500
initial-advertise-peer-urls: https://%[2]s
initial-cluster: k3s-1=https://%[2]s
initial-cluster-state: new
listen-client-http-urls: https://%[4]s
listen-client-urls: https://%[1]s
listen-peer-urls: https://%[2]s,https://%[5]s
log-outputs:
- stderr
logger: zap
name: k3s-1
snapshot-count: 10000
`, m.client, m.peer, m.dir, more[0], more[1])
	if err := os.WriteFile(file, []byte(text+security("client-transport-security")+security("peer-transport-security")), 0o600); err != nil {
		t.Fatal(err)
	}
	m.asProgram(nil, "--config-file="+file)
	m.saysReady(0)
	pair, err := tls.LoadX509KeyPair(p.Cert, p.Key)
	if err != nil {
		t.Fatal(err)
	}
	secure := &tls.Config{Certificates: []tls.Certificate{pair}, InsecureSkipVerify: true} //nolint:gosec // as above
	put(t, dialTLS(t, secure, m), "a", "b")
	if got := fetch(t, secure, "https://"+more[0]+"/health"); !strings.Contains(got, "true") {
		t.Errorf("over HTTP: %s", got)
	}
}

// The variables of the Helm chart whose pods are told "existing" after the first
// start.
func TestAsHelmChart(t *testing.T) {
	t.Parallel()
	ms := named(t, 3)
	start := func(m *member, state string) {
		m.asProgram([]string{
			"ALLOW_NONE_AUTHENTICATION=yes", "ETCD_ON_K8S=yes", "ETCD_NAME=" + m.name, "ETCD_DATA_DIR=" + m.dir, "ETCD_LOG_LEVEL=info", "ETCD_AUTO_TLS=false",
			"ETCD_ADVERTISE_CLIENT_URLS=http://" + m.client + ",http://etcd.default.svc.cluster.local:2379", "ETCD_LISTEN_CLIENT_URLS=http://" + m.client,
			"ETCD_INITIAL_ADVERTISE_PEER_URLS=http://" + m.peer, "ETCD_LISTEN_PEER_URLS=http://" + m.peer, "ETCD_INITIAL_CLUSTER_TOKEN=etcd-cluster-k8s",
			"ETCD_INITIAL_CLUSTER_STATE=" + state, "ETCD_INITIAL_CLUSTER=" + initialCluster(ms...), "ETCD_CLUSTER_DOMAIN=etcd-headless.default.svc.cluster.local",
		})
	}
	for _, m := range ms {
		start(m, "new")
	}
	ready(t, ms...)
	fill(t, dial(t, ms...), "a", 3)
	for _, m := range ms { // one after the other, as a StatefulSet
		m.term()
		start(m, "existing")
		ready(t, m)
	}
	full(t, dial(t, ms...), "a", 3)
	if !strings.Contains(ms[0].Said(), "mean nothing to etcd were passed over: ETCD_ON_K8S") {
		t.Errorf("a variable that is none of etcd's is passed over: %s", ms[0].Said())
	}
}
