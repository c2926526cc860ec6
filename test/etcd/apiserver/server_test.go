package apiserver

import (
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// server is a kube-apiserver on the members, and clients of it.
type server struct {
	*process
	config  *rest.Config
	client  *kubernetes.Clientset
	dynamic *dynamic.DynamicClient
	http    *http.Client
}

// What kube-apiserver is started with so that a test sees its end: a manifest of
// kubeadm leaves all three at their defaults of minutes and hours.
const (
	compaction = 10 * time.Second
	eventTTL   = 10 * time.Second
)

func startServer(t *testing.T, ms *members) *server {
	ca, addr := newAuthority(t, "kubernetes"), addrs(t, 1)[0]
	own, accounts, admin := ca.issue(t, "kube-apiserver"), ca.issue(t, "sa"), ca.issue(t, "kubernetes-admin", "system:masters")
	app := ms.ca.issue(t, "kube-apiserver-etcd-client")
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{process: newProcess(t, "kube-apiserver", buildServer(t),
		"--etcd-servers="+ms.urls(), "--etcd-cafile="+ms.ca.file, "--etcd-certfile="+app.cert, "--etcd-keyfile="+app.key,
		"--etcd-compaction-interval="+compaction.String(), "--etcd-db-metric-poll-interval=5s", "--event-ttl="+eventTTL.String(),
		"--advertise-address=192.0.2.1", "--bind-address=127.0.0.1", "--secure-port="+port, // nobody dials the address (RFC 5737)
		"--allow-privileged=true", "--authorization-mode=Node,RBAC", "--client-ca-file="+ca.file, "--enable-admission-plugins=NodeRestriction",
		"--enable-bootstrap-token-auth=true", "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file="+accounts.cert, "--service-account-signing-key-file="+accounts.key,
		"--service-cluster-ip-range=10.96.0.0/12", "--tls-cert-file="+own.cert, "--tls-private-key-file="+own.key)}
	s.config = &rest.Config{
		Host: "https://" + addr, QPS: -1,
		TLSClientConfig: rest.TLSClientConfig{CAFile: ca.file, CertFile: admin.cert, KeyFile: admin.key},
	}
	if s.client, err = kubernetes.NewForConfig(s.config); err != nil {
		t.Fatal(err)
	}
	if s.dynamic, err = dynamic.NewForConfig(s.config); err != nil {
		t.Fatal(err)
	}
	if s.http, err = rest.HTTPClientFor(s.config); err != nil {
		t.Fatal(err)
	}
	s.http.Timeout = 20 * time.Second
	s.start()
	s.ready()
	return s
}

// buildServer builds the release, with its version, by which it chooses what it does.
func buildServer(t *testing.T) string {
	list, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes").Output()
	if err != nil {
		t.Fatal(err)
	}
	version := strings.TrimSpace(string(list))
	part := strings.Split(strings.TrimPrefix(version, "v"), ".")
	flags := "-w"
	for name, value := range map[string]string{"gitVersion": version, "gitMajor": part[0], "gitMinor": part[1]} {
		flags += " -X k8s.io/component-base/version." + name + "=" + value
	}
	out := filepath.Join(t.TempDir(), "kube-apiserver")
	if *binary != "" {
		return *binary
	}
	if text, err := exec.Command("go", "build", "-trimpath", "-ldflags="+flags, "-o", out, "k8s.io/kubernetes/cmd/kube-apiserver").CombinedOutput(); err != nil {
		t.Fatalf("build kube-apiserver: %v\n%s", err, text)
	}
	return out
}

func (s *server) get(path string) (string, bool) { return fetch(s.http, s.config.Host+path) }

func (s *server) ready() {
	eventually(s.t, "kube-apiserver is ready", 3*time.Minute, func() bool {
		_, ok := s.get("/readyz")
		return ok
	})
}

// metric is the sum of those of the server's metrics whose line begins so and has
// all of the labels.
func (s *server) metric(name string, labels ...string) float64 {
	text, ok := s.get("/metrics")
	if !ok {
		s.t.Fatalf("metrics: %s", text)
	}
	sum := 0.0
line:
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || !strings.HasPrefix(rest, "{") && !strings.HasPrefix(rest, " ") {
			continue
		}
		for _, l := range labels {
			if !strings.Contains(rest, l) {
				continue line
			}
		}
		words := strings.Fields(rest)
		v, err := strconv.ParseFloat(words[len(words)-1], 64)
		if err != nil {
			s.t.Fatal(err)
		}
		sum += v
	}
	return sum
}
