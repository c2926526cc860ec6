package apiserver

import (
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// member is one of three as kubeadm's static pod starts it.
type member struct {
	*process
	name, client, peer, probes string // addresses
}

// members are the cluster under the server.
type members struct {
	t   *testing.T
	ca  *authority
	all []*member
}

func startMembers(t *testing.T) *members {
	ms := &members{t: t, ca: newAuthority(t, "etcd-ca")}
	program := []string{*etcd}
	if *etcd == "" {
		program = []string{buildMuster(t), "serve", "--etcd-flags"}
	}
	ports := addrs(t, 9)
	var list []string
	for i, name := range []string{"cp1", "cp2", "cp3"} {
		m := &member{name: name, client: ports[3*i], peer: ports[3*i+1], probes: ports[3*i+2]}
		ms.all, list = append(ms.all, m), append(list, name+"=https://"+m.peer)
	}
	for _, m := range ms.all {
		own, peer := ms.ca.issue(t, m.name), ms.ca.issue(t, m.name+"-peer")
		m.process = newProcess(t, m.name, append(program, // as in getEtcdCommand of kubeadm 1.37
			"--advertise-client-urls=https://"+m.client, "--cert-file="+own.cert, "--client-cert-auth=true",
			"--data-dir="+filepath.Join(t.TempDir(), "etcd"), "--feature-gates=InitialCorruptCheck=true",
			"--initial-advertise-peer-urls=https://"+m.peer, "--initial-cluster="+strings.Join(list, ","),
			"--key-file="+own.key, "--listen-client-urls=https://"+m.client, "--listen-metrics-urls=http://"+m.probes,
			"--listen-peer-urls=https://"+m.peer, "--name="+m.name, "--peer-cert-file="+peer.cert,
			"--peer-client-cert-auth=true", "--peer-key-file="+peer.key, "--peer-trusted-ca-file="+ms.ca.file,
			"--snapshot-count=10000", "--trusted-ca-file="+ms.ca.file, "--watch-progress-notify-interval=5s")...)
		m.start()
	}
	for _, m := range ms.all {
		m.ready()
	}
	return ms
}

func buildMuster(t *testing.T) string {
	out := filepath.Join(t.TempDir(), "muster")
	cmd := exec.Command("go", "build", "-trimpath", "-o", out, "./cmd/muster")
	cmd.Dir = "../../.."
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build muster: %v\n%s", err, text)
	}
	return out
}

var probe = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// ready waits as kubelet does.
func (m *member) ready() {
	eventually(m.t, m.name+" is ready", 2*time.Minute, func() bool {
		_, ok := fetch(probe, "http://"+m.probes+"/readyz")
		return ok
	})
}

// metric is the value of one of a member's metrics.
func (m *member) metric(name string) string {
	text, _ := fetch(probe, "http://"+m.probes+"/metrics")
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// leader waits until there is one.
func (ms *members) leader() *member {
	var is *member
	eventually(ms.t, "there is a leader", time.Minute, func() bool {
		for _, m := range ms.all {
			if m.cmd != nil && m.metric("etcd_server_is_leader") == "1" {
				is = m
				return true
			}
		}
		return false
	})
	return is
}

// restart ends some members and starts them again.
func (ms *members) restart(how syscall.Signal, some ...*member) {
	for _, m := range some {
		m.end(how)
	}
	for _, m := range some {
		m.start()
	}
	for _, m := range some {
		m.ready()
	}
}

// urls are those for the server's --etcd-servers.
func (ms *members) urls() string {
	var out []string
	for _, m := range ms.all {
		out = append(out, "https://"+m.client)
	}
	return strings.Join(out, ",")
}
