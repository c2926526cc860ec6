package process

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/internal/testcert"
)

// Three members by a file for etcd that names certificates and no authority: they
// believe those of the system. One whose system knows another authority stays out.
// The file has keys that etcd doesn't know, and a log of its own.
func TestCertificatesOfAPublicAuthority(t *testing.T) {
	ca, ms, dir := testcert.New(t, "public"), named(t, 3), t.TempDir()
	list := strings.ReplaceAll(initialCluster(ms...), "http://", "https://")
	start := func(m *member, list string) {
		p, file := ca.Issue(m.name, -time.Hour, time.Hour), filepath.Join(dir, m.name+".yml")
		text := "name: " + m.name + "\ndata-dir: " + m.dir + "\nlisten-client-urls: http://" + m.client + "\nadvertise-client-urls: http://" + m.client +
			"\nlisten-peer-urls: https://" + m.peer + "\ninitial-advertise-peer-urls: https://" + m.peer + "\ninitial-cluster: " + list +
			"\nenable-pprof: true\nlog-outputs: [stderr, " + filepath.Join(dir, m.name+".log") + "]\nno-key-of-etcds: 1" +
			"\npeer-transport-security:\n  cert-file: " + p.Cert + "\n  key-file: " + p.Key + "\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		m.asProgram([]string{"SSL_CERT_FILE=" + ca.File}, "--config-file", file)
	}
	for _, m := range ms {
		start(m, list)
	}
	for _, m := range ms {
		m.saysReady(0)
		for _, words := range []string{"no-key-of-etcds (line 10)", "members that dial show no certificates"} {
			if !strings.Contains(m.Said(), words) {
				t.Errorf("%s doesn't say %q: %s", m.name, words, m.Said())
			}
		}
		if b, err := os.ReadFile(filepath.Join(dir, m.name+".log")); err != nil || !strings.Contains(string(b), readyWords) {
			t.Errorf("the log of %s in its file: %s, %v", m.name, b, err)
		}
	}
	put(t, dial(t, ms...), "a", "1")
	if body := fetch(t, nil, "http://"+ms[0].client+"/debug/pprof/goroutine?debug=1"); !strings.HasPrefix(body, "goroutine profile:") {
		t.Errorf("%.100s", body)
	}

	// Nobody's system trusts what this one shows, nor does its own trust the others.
	foreign := testcert.New(t, "foreign")
	n4 := newMember(t, "n4")
	p := foreign.Issue("n4", -time.Hour, time.Hour)
	n4.prefix = []string{"env", "SSL_CERT_FILE=" + foreign.File}
	n4.run("serve", "--name", "n4", "--data-dir", n4.dir, "--cluster", "etcd-cluster", "--listen", n4.client, "--peer-listen", n4.peer, "--join-only", "--seeds", ms[0].peer,
		"--peer-tls-cert", p.Cert, "--peer-tls-key", p.Key, "--peer-tls-system-roots")
	eventually(t, "it says that it doesn't trust the others", func() bool { return strings.Contains(n4.why(), "tls_unknown_authority") })
}
