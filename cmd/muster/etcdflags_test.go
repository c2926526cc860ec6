package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/internal/testcert"
)

// asServe is what serve would be told by etcd's flags.
func asServe(t *testing.T, environ []string, args ...string) (*etcdCommand, *serveFlags, error) {
	t.Helper()
	c, err := parseEtcd(args, environ)
	if err != nil {
		return nil, nil, err
	}
	f := &serveFlags{}
	set := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	f.register(set)
	return c, f, c.apply(set)
}

func TestEtcdsDefaultsAreAClusterOfOne(t *testing.T) {
	c, f, err := asServe(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !f.cfg.Node.Single || f.cfg.Node.JoinOnly || len(f.cfg.Node.Seeds) > 0 || f.cfg.Node.Name != "default" || f.cfg.Node.DataDir != "default.etcd" || f.cfg.Node.Cluster != "etcd-cluster" ||
		f.cfg.Listen != "http://localhost:2379" || f.cfg.Node.PeerListen != "localhost:2380" || f.cfg.Node.PeerAdvertise != "localhost:2380" || len(c.idle)+len(c.notes) > 0 {
		t.Errorf("%+v, %+v", f, c)
	}
}

// Being alone and being one of several are told apart by the list; by the state
// nothing is, but that a node which is said to join founds no cluster of one.
func TestInitialClusterIsTheSeeds(t *testing.T) {
	one := []string{"-name=a", "--initial-advertise-peer-urls", "http://h1:2380", "--listen-peer-urls=http://0.0.0.0:2380"}
	three := append(slices.Clip(one), "--initial-cluster", "c=http://h3:2380,b=http://h2:2380,a=http://h1:2380,b=http://h2:7001")
	for name, tt := range map[string]struct {
		args           []string
		single, nobody bool
		seeds          string
	}{
		"alone":                       {one, true, false, ""},
		"alone in the list":           {append(slices.Clip(one), "--initial-cluster=a=http://h1:2380"), true, false, ""},
		"three":                       {three, false, false, "h1:2380,h2:2380,h3:2380"},
		"three, said to be new":       {append(slices.Clip(three), "--initial-cluster-state", "new"), false, false, "h1:2380,h2:2380,h3:2380"},
		"three, said to exist":        {append(slices.Clip(three), "--initial-cluster-state", "existing"), false, false, "h1:2380,h2:2380,h3:2380"},
		"itself alone, said to exist": {append(slices.Clip(one), "--initial-cluster-state", "existing"), false, true, ""},
	} {
		c, f, err := asServe(t, nil, tt.args...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if f.cfg.Node.Single != tt.single || f.cfg.Node.JoinOnly || c.nobody != tt.nobody || strings.Join(f.cfg.Node.Seeds, ",") != tt.seeds || f.cfg.Node.PeerListen != "0.0.0.0:2380" || f.cfg.Node.PeerAdvertise != "h1:2380" {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// Of a member's several addresses for peers all are listened on, and one is told
// to the others: the one that they have, in the form that they have it in.
func TestSeveralPeerURLs(t *testing.T) {
	for name, tt := range map[string]struct {
		args        []string
		listen, own string // own without an asterisk; with one: of some address of this machine
		seeds, note string
	}{
		"two are listened on":        {[]string{"--listen-peer-urls=http://10.0.0.1:1,http://127.0.0.1:2"}, "10.0.0.1:1,127.0.0.1:2", "10.0.0.1:1", "", ""},
		"two are advertised":         {[]string{"--initial-advertise-peer-urls=http://h1:1,http://h2:1"}, "localhost:2380", "h1:1", "", "told one of"},
		"the second is listed":       {[]string{"--initial-advertise-peer-urls=http://h1:1,http://h2:1", "--initial-cluster=b=http://h3:1,default=http://h2:1,default=http://h1:1"}, "localhost:2380", "h2:1", "h3:1,h2:1", "told one of"},
		"the list alone says it":     {[]string{"--listen-peer-urls=http://0.0.0.0:2380", "--initial-cluster=default=http://localhost:2380"}, "0.0.0.0:2380", "localhost:2380", "", ""},
		"the loopback interface's":   {[]string{"--initial-cluster=default=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://LOCALHOST:2380"}, "localhost:2380", "127.0.0.1:2380", "", ""},
		"every address of a machine": {[]string{"--initial-cluster=default=http://0.0.0.0:2380", "--initial-advertise-peer-urls=http://0.0.0.0:2380"}, "localhost:2380", "*:2380", "", "is no address"},
	} {
		c, f, err := asServe(t, nil, tt.args...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		n := f.cfg.Node
		own := n.PeerAdvertise == tt.own
		if port, any := strings.CutPrefix(tt.own, "*"); any {
			own = strings.HasSuffix(n.PeerAdvertise, port) && !strings.HasPrefix(n.PeerAdvertise, "0.0.0.0")
		}
		if notes := strings.Join(c.notes, "\n"); n.PeerListen != tt.listen || !own || strings.Join(n.Seeds, ",") != tt.seeds || n.Single != (tt.seeds == "") || !strings.Contains(notes, tt.note) || tt.note == "" && notes != "" {
			t.Errorf("%s: %q, %q, %q, %q", name, n.PeerListen, n.PeerAdvertise, n.Seeds, notes)
		}
	}
}

func TestEtcdsFlagsBecomeOurs(t *testing.T) {
	c, f, err := asServe(t, []string{"ETCD_NAME=n", "ETCD_HEARTBEAT_INTERVAL=50", "ETCD_PORT=tcp://1.2.3.4", "ETCD_ELECTION_TIMEOUT=9"},
		"--listen-client-urls=https://10.0.0.1:2379,http://127.0.0.1:2379", "--listen-client-http-urls=http://127.0.0.1:2381", "--advertise-client-urls=https://a.example:2379,https://b.example:2379",
		"--election-timeout=700", "--initial-cluster-token=t", "--log-level=panic", "--log-format=json",
		"--cert-file=c", "--key-file=k", "--trusted-ca-file=ca", "--client-cert-file=cc", "--client-key-file=ck", "--auto-tls", "--tls-min-version=TLS1.3", "--client-cert-allowed-hostname=x,y",
		"--listen-peer-urls=https://127.0.0.1:2380", "--peer-cert-file=pc", "--peer-key-file=pk", "--peer-trusted-ca-file=pca", "--peer-client-cert-auth", "--peer-auto-tls",
		"--snapshot-count=10000", "--pre-vote=true", "--experimental-warning-apply-duration=1s", "--force-new-cluster=false")
	if err != nil {
		t.Fatal(err)
	}
	if f.cfg.Node.Name != "n" || f.cfg.Node.DataDir != "n.etcd" || f.cfg.Node.Cluster != "t" || f.cfg.Node.HeartbeatInterval != 50*time.Millisecond || f.cfg.Node.ElectionTimeout != 700*time.Millisecond ||
		f.cfg.Listen != "https://10.0.0.1:2379,http://127.0.0.1:2379,http://127.0.0.1:2381" || f.cfg.Advertise != "https://a.example:2379,https://b.example:2379" ||
		f.logLevel != "error" || f.logFormat != "json" {
		t.Errorf("%+v", f)
	}
	if f.cfg.TLS.CertFile != "c" || f.cfg.TLS.KeyFile != "k" || f.cfg.TLS.ClientCertFile != "cc" || f.cfg.TLS.ClientKeyFile != "ck" || f.cfg.TLS.CAFile != "ca" || !f.cfg.TLS.ClientAuth || f.cfg.TLS.Auto || f.cfg.TLS.MinVersion != "TLS1.3" || len(f.cfg.TLS.AllowedHostnames) != 2 ||
		f.cfg.Node.PeerTLS.CertFile != "pc" || f.cfg.Node.PeerTLS.KeyFile != "pk" || f.cfg.Node.PeerTLS.CAFile != "pca" {
		t.Errorf("%+v, %+v", f.cfg.TLS, f.cfg.Node.PeerTLS)
	}
	if got := strings.Join(c.idle, " "); got != "--snapshot-count --pre-vote --peer-client-cert-auth --warning-apply-duration" {
		t.Errorf("said to mean nothing: %s", got)
	}
	if notes := strings.Join(c.notes, "\n"); len(c.notes) != 1 || !strings.Contains(notes, "ETCD_PORT") {
		t.Errorf("%q", notes)
	}
}

func TestEtcdsFlagsThatCantBeHad(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "member", "wal"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		want string
		args []string
	}{
		{"-nonsense", []string{"--nonsense"}},
		{"\"gateway\" is not a flag", []string{"gateway", "start"}},
		{"--discovery can't be had", []string{"--discovery=http://d"}},
		{"recover force-new", []string{"--force-new-cluster"}},
		{"or --peer-auto-tls", []string{"--listen-peer-urls=https://127.0.0.1:1"}},
		{"with --peer-trusted-ca-file", []string{"--listen-peer-urls=https://127.0.0.1:1", "--peer-cert-file=c", "--peer-key-file=k", "--peer-client-cert-auth"}},
		{"--trusted-ca-file", []string{"--cert-file=c", "--key-file=k", "--client-cert-auth"}},
		{"not both", []string{"--listen-peer-urls=http://127.0.0.1:1,https://127.0.0.1:2"}},
		{"don't reach each other through sockets", []string{"--listen-peer-urls=unix://localhost:1"}},
		{"want http://HOST:PORT", []string{"--listen-client-urls=localhost:2379"}},
		{"must have b=http://localhost:2380 in it", []string{"--name=b", "--initial-cluster=a=http://localhost:2380"}},
		{"want new or existing", []string{"--initial-cluster-state=old"}},
		{"holds data of etcd's", []string{"--data-dir", dir}},
		{"--heartbeat-interval \"often\"", []string{"--heartbeat-interval=often"}},
		{"no such file", []string{"--config-file", filepath.Join(dir, "nowhere.yml")}},
	} {
		if _, _, err := asServe(t, nil, tt.args...); err == nil || !strings.Contains(err.Error(), tt.want) || codeOf(err) != exitUsage {
			t.Errorf("%s: %v, want %q", tt.args, err, tt.want)
		}
	}
	// Both faults at once.
	if _, _, err := asServe(t, nil, "--discovery=d", "--initial-cluster-state=old"); err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("%v", err)
	}
}

func TestEtcdsConfigurationFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "etcd.conf.yml")
	if err := os.WriteFile(file, []byte(`
name: 'a'
data-dir:
heartbeat-interval: 200
election-timeout: 2000
initial-cluster: a=http://localhost:2380,b=http://localhost:2480
log-outputs: [stderr]
client-transport-security:
  cert-file: c
  key-file: k
  client-cert-auth: true
  trusted-ca-file: ca
  allowed-hostname: [x]
peer-transport-security:
  client-cert-auth: true
`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, environ := range [][]string{{"ETCD_CONFIG_FILE=" + file, "ETCD_NAME=b"}, nil} {
		args := []string{"--name=c"} // the file takes the place of all else
		if environ == nil {
			args = append(args, "--config-file", file)
		}
		c, f, err := asServe(t, environ, args...)
		if err != nil {
			t.Fatal(err)
		}
		if f.cfg.Node.Name != "a" || f.cfg.Node.DataDir != "a.etcd" || f.cfg.Node.HeartbeatInterval != 200*time.Millisecond || len(f.cfg.Node.Seeds) != 2 || !f.cfg.TLS.ClientAuth || f.cfg.TLS.CertFile != "c" || len(f.cfg.TLS.AllowedHostnames) != 1 ||
			strings.Join(c.idle, " ") != "--peer-client-cert-auth" {
			t.Errorf("%+v, %s", f, c.idle)
		}
	}
}

// What etcd's file has that etcd doesn't know is passed over, and named with what
// may have been meant. The last of two wins; nothing else counts beside the file.
func TestUnknownKeysOfEtcdsFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "etcd.conf.yml")
	parse := func(text string) (*etcdCommand, *serveFlags, error) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return asServe(t, []string{"ETCD_PORT=tcp://1.2.3.4:5", "ETCD_LOG_LEVEL=debug"}, "--name=c", "--config-file", file)
	}
	c, f, err := parse(`data-dri: a
colours: {of: [x, {y: z}]}
1: 2
Heartbeat-Interval: 200
name: a
name: b
client-transport-security: {cert: c, key-fiel: k, allowed-cn: []}
socket-options: {reuse-port: true, linger: 1}
discovery-config: {token: "", client: {endpoints: []}}
`)
	if err != nil {
		t.Fatal(err)
	}
	if f.cfg.Node.Name != "b" || f.cfg.Node.HeartbeatInterval != 200*time.Millisecond || f.cfg.TLS.CertFile != "" || f.logLevel != "info" {
		t.Errorf("%+v", f)
	}
	want := []string{
		"--config-file takes the place of all flags and variables of etcd's; not looked at: --log-level --name",
		"--config-file " + file + " has keys that mean nothing to etcd, and they were passed over: data-dri (line 1; did you mean data-dir?), colours (line 2), 1 (line 3), " +
			"client-transport-security.cert (line 7), client-transport-security.key-fiel (line 7; did you mean key-file?), socket-options.linger (line 8)",
	}
	if !slices.Equal(c.notes, want) || strings.Join(c.idle, " ") != "--socket-reuse-port" {
		t.Errorf("%q\n%q\n%q", c.notes, want, c.idle)
	}
	for text, want := range map[string]string{
		"name: {a: b}\n":                 ":1: name: want a value",
		"- name\n":                       ":1: the file is to have lines",
		"peer-transport-security: [a]\n": ":1: peer-transport-security is to have lines",
		"a: *b\n":                        "unknown anchor",
		"discovery-config: {client: {endpoints: [h:1]}}\n":                                               "--discovery-endpoints can't be had",
		"name: a\nclient-transport-security:\n  allowed-cn: [a]\n":                                       ":3: client-transport-security.allowed-cn can't be had",
		"client-transport-security: {cert-file: c, key-file: k, client-cert-auth: true, trusted-ca: ca}": "--trusted-ca-file",
	} {
		if _, _, err := parse(text); err == nil || !strings.Contains(err.Error(), want) || codeOf(err) != exitUsage {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if _, f, err := parse("name: a\nx: &x {name: b, heartbeat-interval: 50}\n<<: *x\n"); err != nil || f.cfg.Node.HeartbeatInterval != 50*time.Millisecond {
		t.Errorf("what is merged in: %v", err)
	}
}

// Variables that etcd doesn't know are passed over, all in one line.
func TestUnknownVariablesOfEtcds(t *testing.T) {
	c, _, err := asServe(t, []string{"ETCD_PORT=tcp://1.2.3.4:5", "ETCD_DATADIR=a", "ETCD_UNSUPPORTED_ARCH=arm64", "ETCDCTL_API=3"})
	want := []string{"environment variables that mean nothing to etcd were passed over: ETCD_PORT, ETCD_DATADIR (did you mean ETCD_DATA_DIR?)"}
	if err != nil || !slices.Equal(c.notes, want) {
		t.Errorf("%v, %q", err, c.notes)
	}
}

// startEtcd runs `serve --etcd-flags`.
func startEtcd(t *testing.T, args ...string) *serving {
	t.Helper()
	s := &serving{t: t, signals: make(chan struct{}, 2), exited: make(chan struct{})}
	a := &app{in: strings.NewReader(""), out: &bytes.Buffer{}, err: &s.stderr, signals: s.signals}
	go func() {
		defer close(s.exited)
		s.code = a.run(append([]string{"serve", "--etcd-flags"}, args...))
	}()
	t.Cleanup(func() {
		s.signals <- struct{}{}
		s.wait()
	})
	return s
}

// What a manifest for three members of etcd with TLS says starts a cluster, and
// starts it again; a fourth joins.
func TestClusterByEtcdsFlags(t *testing.T) {
	dir, ca, peers := t.TempDir(), testcert.New(t, "ca"), testcert.New(t, "peers")
	const members = 4
	var client, peer [members]string
	var list []string
	for i := range members {
		client[i], peer[i] = nobody(t), nobody(t)
		list = append(list, fmt.Sprintf("m%d=https://%s", i, peer[i]))
	}
	start := func(i int, more ...string) *serving {
		own, pair := ca.Issue("own", -time.Hour, time.Hour), peers.Issue("peer", -time.Hour, time.Hour)
		return startEtcd(t, append([]string{
			"--name", fmt.Sprint("m", i), "--data-dir", filepath.Join(dir, fmt.Sprint(i)),
			"--listen-client-urls", "https://" + client[i], "--advertise-client-urls=https://" + client[i],
			"--listen-peer-urls=https://" + peer[i], "--initial-advertise-peer-urls=https://" + peer[i],
			"--cert-file", own.Cert, "--key-file", own.Key, "--trusted-ca-file", ca.File, "--client-cert-auth=true",
			"--peer-cert-file", pair.Cert, "--peer-key-file", pair.Key, "--peer-trusted-ca-file", peers.File, "--peer-client-cert-auth",
			"--snapshot-count=10000", "--initial-cluster-token=t",
		}, more...)...)
	}
	founders := "--initial-cluster=" + strings.Join(list[:3], ",")
	first := start(0, founders)
	start(1, founders)
	start(2, founders)
	app := ca.Issue("app", -time.Hour, time.Hour)
	ask := func(i int, args ...string) []string {
		return append(args, "--endpoint", client[i], "--cacert", ca.File, "--cert", app.Cert, "--key", app.Key)
	}
	eventually(t, "written", ask(0, "put", "a", "b")...)
	first.signals <- struct{}{}
	if code := first.wait(); code != exitOK || !strings.Contains(first.stderr.String(), "mean nothing here: --snapshot-count") {
		t.Fatalf("exit %d, %s", code, first.stderr.String())
	}
	start(0, founders)
	eventually(t, "b", ask(0, "get", "a")...)
	fourth := start(3, "--initial-cluster="+strings.Join(list, ","), "--initial-cluster-state=existing")
	eventually(t, "b", ask(3, "get", "a")...)
	fourth.signals <- struct{}{}
	if code := fourth.wait(); code != exitOK || !strings.Contains(fourth.stderr.String(), "--initial-cluster-state (MUSTER_JOIN_ONLY=true") {
		t.Fatalf("exit %d, %s", code, fourth.stderr.String())
	}
}

// What members speak with each other is as in etcd: by the listener's scheme, and
// by files before what they make themselves.
func TestEtcdsPeerSecurity(t *testing.T) {
	secure := []string{"--listen-peer-urls=https://127.0.0.1:1"}
	files := []string{"--peer-cert-file=c", "--peer-key-file=k", "--peer-trusted-ca-file=ca"}
	for name, tt := range map[string]struct {
		args []string
		want muster.PeerTLS
		note string
	}{
		"plain":                   {nil, muster.PeerTLS{}, ""},
		"their own":               {append(secure, "--peer-auto-tls"), muster.PeerTLS{Auto: true}, ""},
		"their own, and more":     {append(secure, "--peer-auto-tls", "--peer-client-cert-auth", "--peer-crl-file=x"), muster.PeerTLS{Auto: true}, "not used: --peer-client-cert-auth --peer-crl-file"},
		"their own, plain":        {[]string{"--peer-auto-tls"}, muster.PeerTLS{}, "plain text"},
		"files, plain":            {append(files, "--peer-cert-allowed-cn=a"), muster.PeerTLS{}, "plain text"},
		"files":                   {append(slices.Clone(files), secure...), muster.PeerTLS{CertFile: "c", KeyFile: "k", CAFile: "ca"}, ""},
		"files before their own":  {append(slices.Clone(files), "--peer-auto-tls", secure[0]), muster.PeerTLS{CertFile: "c", KeyFile: "k", CAFile: "ca"}, ""},
		"files, names and a list": {append(slices.Clone(files), "--peer-crl-file=x", "--peer-cert-allowed-cn=a,b", secure[0]), muster.PeerTLS{CertFile: "c", KeyFile: "k", CAFile: "ca", CRLFile: "x", AllowedCNs: []string{"a", "b"}}, ""},
		"files without authority": {append(slices.Clone(files[:2]), "--peer-client-cert-auth=false", secure[0]), muster.PeerTLS{CertFile: "c", KeyFile: "k", SystemRoots: true}, ""},
		"files for each side":     {append(slices.Clone(files), "--peer-client-cert-file=cc", "--peer-client-key-file=ck", secure[0]), muster.PeerTLS{CertFile: "c", KeyFile: "k", CAFile: "ca", ClientCertFile: "cc", ClientKeyFile: "ck"}, ""},
		"files and hosts":         {append(slices.Clone(files), "--peer-cert-allowed-hostname=a", secure[0]), muster.PeerTLS{CertFile: "c", KeyFile: "k", CAFile: "ca", AllowedHostnames: []string{"a"}}, ""},
	} {
		c, f, err := asServe(t, nil, tt.args...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if notes := strings.Join(c.notes, "\n"); fmt.Sprint(f.cfg.Node.PeerTLS) != fmt.Sprint(tt.want) || len(c.notes) > 1 || !strings.Contains(notes, tt.note) || tt.note == "" && notes != "" {
			t.Errorf("%s: %+v, %q", name, f.cfg.Node.PeerTLS, notes)
		}
	}
}

// The table is shown in the documentation as it is in the code.
func TestEtcdFlagsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/etcd-compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	want := "| etcd | `muster serve` |\n|---|---|\n"
	var idle []string
	for _, f := range etcdFlags {
		switch {
		case (f.kind == pointless || f.kind == ignored) && f.note != "":
			idle = append(idle, fmt.Sprintf("`--%s` (%s)", f.name, f.note))
		case f.kind == pointless:
			idle = append(idle, "`--"+f.name+"`")
		default:
			want += fmt.Sprintf("| `--%s` | %s |\n", f.name, f.becomes())
		}
	}
	want += "\nThese mean nothing here, are accepted, and named in one line of the log: " + strings.Join(idle, ", ") + ".\n"
	if !strings.Contains(string(page), want) {
		t.Errorf("the section Flags of docs/etcd-compatibility.md doesn't hold this:\n%s", want)
	}
}

func TestEtcdHelpAndVersion(t *testing.T) {
	if code, out, _ := runMuster(nil, "serve", "--etcd-flags", "-h"); code != exitOK || !strings.Contains(out, "--initial-cluster-state") {
		t.Errorf("help: exit %d, %s", code, out)
	}
	if code, out, _ := runMuster(nil, "serve", "--etcd-flags", "--version"); code != exitOK || !strings.HasPrefix(out, "etcd Version: 3.7.3-muster.") {
		t.Errorf("version: exit %d, %s", code, out)
	}
	if code, _, stderr := runMuster([]string{"MUSTER_ETCD_FLAGS=true"}, "serve", "--single"); code != exitUsage || !strings.Contains(stderr, "command line") {
		t.Errorf("by the environment: exit %d, %s", code, stderr)
	}
}

func TestProgramNamedEtcd(t *testing.T) {
	cmd := exec.Command("sh", "../../contrib/etcd/etcd", "--name", "a b")
	cmd.Env = append(os.Environ(), "MUSTER=echo")
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "serve --etcd-flags --name a b\n" {
		t.Errorf("%s, %v", out, err)
	}
}
