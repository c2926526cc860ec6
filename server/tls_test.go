package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/internal/testcert"
)

// logged is a log that a test reads while it is written.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// until waits for words in the log.
func (l *logged) until(t *testing.T, words string) {
	t.Helper()
	for began := time.Now(); !strings.Contains(l.String(), words); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > patience {
			t.Fatalf("the log never says %q:\n%s", words, l)
		}
	}
}

// single is a member that is alone, ready, with its log.
func single(t *testing.T, change func(*Config)) (*Server, *logged) {
	t.Helper()
	out := &logged{}
	cfg := Config{Listen: "127.0.0.1:0", Node: muster.Config{
		Name: "n1", DataDir: filepath.Join(t.TempDir(), "d"), PeerListen: "127.0.0.1:0", Single: true,
		HeartbeatInterval: 10 * time.Millisecond, ElectionTimeout: 100 * time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(out, nil)),
	}, Auth: Auth{BcryptCost: 4}} // the race detector makes passwords take seconds
	if change != nil {
		change(&cfg)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := Start(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	return s, out
}

// clientConfig trusts an authority and shows a pair, if any.
func clientConfig(t *testing.T, caFile string, pair *testcert.Pair) *tls.Config {
	t.Helper()
	c := &tls.Config{RootCAs: x509.NewCertPool()}
	b, err := os.ReadFile(caFile)
	if err != nil {
		t.Fatal(err)
	}
	c.RootCAs.AppendCertsFromPEM(b)
	if pair != nil {
		p, err := tls.LoadX509KeyPair(pair.Cert, pair.Key)
		if err != nil {
			t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{p}
	}
	return c
}

// putOver writes a key by etcd's client.
func putOver(t *testing.T, addr string, cfg *tls.Config, within time.Duration) error {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{addr}, TLS: cfg, Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	_, err = c.Put(ctx, "k", "v")
	return err
}

// getOver asks by HTTP.
func getOver(t *testing.T, url string, cfg *tls.Config, h2 bool) (int, string, error) {
	t.Helper()
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: cfg, ForceAttemptHTTP2: h2}, Timeout: patience}
	resp, err := c.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

func TestTLSOnThePort(t *testing.T) {
	ca := testcert.New(t, "ca")
	own := ca.Issue("server", -time.Hour, time.Hour)
	s, log := single(t, func(c *Config) {
		c.TLS = TLS{CertFile: own.Cert, KeyFile: own.Key}
	})
	url := s.ClientAddr()
	if !strings.HasPrefix(url, "https://127.0.0.1:") {
		t.Fatalf("clients are told %s", url)
	}
	cfg := clientConfig(t, ca.File, nil)
	if err := putOver(t, url, cfg, patience); err != nil {
		t.Errorf("put: %v", err)
	}
	// Whether a client offers HTTP/2 (curl, browsers) or not.
	for _, h2 := range []bool{false, true} {
		if code, body, err := getOver(t, url+"/health", cfg.Clone(), h2); err != nil || code != 200 || !strings.Contains(body, `"true"`) {
			t.Errorf("health: %d %s %v", code, body, err)
		}
	}
	if ms := s.Status().Members; ms[0].ClientAddr != url {
		t.Errorf("the others are told %q", ms[0].ClientAddr)
	}

	if code, body, err := getOver(t, "http://"+strings.TrimPrefix(url, "https://")+"/health", nil, false); err != nil || code != 400 || !strings.Contains(body, "https://") {
		t.Errorf("a client in plain text hears %d %q %v", code, body, err)
	}
	log.until(t, "a client speaks plain text, and this port TLS")
	other := testcert.New(t, "another ca")
	if err := putOver(t, url, clientConfig(t, other.File, nil), 300*time.Millisecond); err == nil {
		t.Error("a client that knows another authority writes")
	}
	// The put may have ended before its first handshake did.
	if _, _, err := getOver(t, url+"/health", clientConfig(t, other.File, nil), false); err == nil {
		t.Error("a client that knows another authority reads")
	}
	log.until(t, "a client's TLS handshake failed")

	// Renewed without a restart.
	ca.Renew(own, "renewed", -time.Hour, time.Hour)
	conn, err := tls.Dial("tcp", strings.TrimPrefix(url, "https://"), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := conn.ConnectionState().PeerCertificates[0].Subject.CommonName; got != "renewed" {
		t.Errorf("it shows the certificate of %q", got)
	}
}

func TestTLSOnAPlainPortIsLogged(t *testing.T) {
	s, log := single(t, nil)
	if _, _, err := getOver(t, "https://"+s.ClientAddr()+"/health", nil, false); err == nil {
		t.Error("a plain port answers TLS")
	}
	log.until(t, "a client speaks TLS, and this port plain text")
}

func TestClientCertificates(t *testing.T) {
	ca, other := testcert.New(t, "ca"), testcert.New(t, "another ca")
	own := ca.Issue("server", -time.Hour, time.Hour)
	good, bad, strange := ca.Issue("app", -time.Hour, time.Hour), ca.Issue("revoked", -time.Hour, time.Hour), other.Issue("app", -time.Hour, time.Hour)
	unnamed := ca.Issue("intruder", -time.Hour, time.Hour)
	crl := filepath.Join(t.TempDir(), "crl.pem")
	ca.Revoke(crl, bad)
	s, log := single(t, func(c *Config) {
		c.TLS = TLS{CertFile: own.Cert, KeyFile: own.Key, CAFile: ca.File, ClientAuth: true, CRLFile: crl, AllowedHostnames: []string{"app", "revoked"}}
	})
	if err := putOver(t, s.ClientAddr(), clientConfig(t, ca.File, &good), patience); err != nil {
		t.Errorf("with a good certificate: %v", err)
	}
	for name, tt := range map[string]struct {
		pair *testcert.Pair
	}{
		"none": {nil}, "of another authority": {&strange}, "revoked": {&bad}, "for another name": {&unnamed},
	} {
		cfg := clientConfig(t, ca.File, tt.pair)
		if err := putOver(t, s.ClientAddr(), cfg, 300*time.Millisecond); err == nil {
			t.Errorf("with a certificate that is %s it writes", name)
		}
		if _, _, err := getOver(t, s.ClientAddr()+"/health", cfg, false); err == nil {
			t.Errorf("with a certificate that is %s it reads", name)
		}
	}
	log.until(t, "a client's TLS handshake failed")
	// Revoked while it runs.
	ca.Revoke(crl, bad, good)
	if _, _, err := getOver(t, s.ClientAddr()+"/health", clientConfig(t, ca.File, &good), false); err == nil {
		t.Error("a certificate revoked since the start is taken")
	}
}

func TestAutoTLSKeepsItsCertificate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	var file string
	start := func() (*Server, []byte) {
		s, _ := single(t, func(c *Config) { c.TLS.Auto = true; c.Node.DataDir = dir })
		file = s.cfg.TLS.CertFile
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return s, b
	}
	s, first := start()
	if err := putOver(t, s.ClientAddr(), clientConfig(t, file, nil), patience); err != nil {
		t.Errorf("put: %v", err)
	}
	s.Close()
	s, second := start()
	if !bytes.Equal(first, second) {
		t.Error("a restart makes another certificate, which clients that were given the first don't trust")
	}
	s.Close()
	if _, _, err := autoTLS(dir, []string{"localhost", "127.0.0.1"}, time.Now().Add(autoTLSLife-autoTLSRest+time.Hour)); err != nil {
		t.Fatal(err)
	}
	if third, _ := os.ReadFile(file); bytes.Equal(third, second) {
		t.Error("a certificate that ends soon is kept")
	}
}

// A status of the whole cluster is gathered over the client ports.
func TestMembersAskEachOtherOverTLS(t *testing.T) {
	ca := testcert.New(t, "ca")
	use := func(name string, usages ...x509.ExtKeyUsage) func(*Config) {
		p := ca.Issue(name, -time.Hour, time.Hour, usages...)
		return func(c *Config) {
			c.TLS = TLS{CertFile: p.Cert, KeyFile: p.Key, CAFile: ca.File, ClientAuth: true}
			if len(usages) > 0 {
				mine := ca.Issue(name, -time.Hour, time.Hour, x509.ExtKeyUsageClientAuth)
				c.TLS.ClientCertFile, c.TLS.ClientKeyFile = mine.Cert, mine.Key
			}
		}
	}
	first, _ := single(t, use("n1"))
	second, _ := single(t, func(c *Config) {
		use("n2", x509.ExtKeyUsageServerAuth)(c) // and another certificate for the other way
		c.Node.Name, c.Node.Single, c.Node.JoinOnly = "n2", false, true
		c.Node.Seeds = []string{first.PeerAddr()}
	})
	second.peerTimeout = patience
	st := second.ClusterStatus(t.Context())
	if len(st.Members) != 2 {
		t.Fatalf("%+v", st)
	}
	for _, m := range st.Members {
		if m.Err != "" || m.Term == 0 {
			t.Errorf("%s: %s", m.Name, m.Err)
		}
	}
}

func TestListenOnSeveralAddresses(t *testing.T) {
	ca := testcert.New(t, "ca")
	own := ca.Issue("server", -time.Hour, time.Hour)
	s, _ := single(t, func(c *Config) {
		c.Listen = "127.0.0.1:0,http://127.0.0.1:0"
		c.TLS = TLS{CertFile: own.Cert, KeyFile: own.Key}
	})
	plain := s.port.under[1].Addr().String()
	if code, _, err := getOver(t, "http://"+plain+"/health", nil, false); code != 200 {
		t.Errorf("the plain one: %d %v", code, err)
	}
	if err := putOver(t, plain, nil, patience); err != nil {
		t.Errorf("the plain one: %v", err)
	}
	if err := putOver(t, s.ClientAddr(), clientConfig(t, ca.File, nil), patience); err != nil {
		t.Errorf("the secure one: %v", err)
	}
	taken := s.port.under[0].Addr().String()
	_, err := Start(t.Context(), Config{Listen: "127.0.0.1:0," + taken, Node: muster.Config{DataDir: t.TempDir(), Single: true}})
	if !errors.Is(err, os.ErrExist) && !strings.Contains(err.Error(), taken) {
		t.Errorf("on a port that is taken: %v", err)
	}
}

func TestWrongTLSSettingsAreTold(t *testing.T) {
	for name, c := range map[string]Config{
		"--tls-key":                      {TLS: TLS{CertFile: "c"}},
		"choose one":                     {TLS: TLS{CertFile: "c", KeyFile: "k", Auto: true}},
		"--tls-client-key":               {TLS: TLS{CertFile: "c", KeyFile: "k", ClientCertFile: "c"}},
		"give --tls-cert":                {TLS: TLS{ClientCertFile: "c", ClientKeyFile: "k"}},
		"need TLS":                       {TLS: TLS{CAFile: "ca"}},
		"--tls-ca":                       {TLS: TLS{Auto: true, ClientAuth: true}},
		"ask for those":                  {TLS: TLS{Auto: true, CRLFile: "crl"}},
		"want TLS1.2 or TLS1.3":          {TLS: TLS{Auto: true, MinVersion: "TLS1.1"}},
		"is above":                       {TLS: TLS{Auto: true, MinVersion: "TLS1.3", MaxVersion: "TLS1.2"}},
		"none that is known":             {TLS: TLS{Auto: true, CipherSuites: []string{"TLS_RSA_WITH_RC4_128_SHA"}}},
		"which --tls-min-version TLS1.3": {TLS: TLS{Auto: true, MinVersion: "TLS1.3", CipherSuites: []string{"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"}}},
		"no certificate to speak TLS":    {Listen: "https://127.0.0.1:0"},
	} {
		err := c.withDefaults().validate()
		if !errors.Is(err, muster.ErrConfig) || !strings.Contains(err.Error(), name) {
			t.Errorf("%+v: %v, want something about %q", c, err, name)
		}
	}
	missing := Config{Listen: "127.0.0.1:0", TLS: TLS{CertFile: "nowhere.pem", KeyFile: "nowhere.key"}, Node: muster.Config{DataDir: filepath.Join(t.TempDir(), "d"), Single: true, PeerListen: "127.0.0.1:0"}}
	if _, err := Start(t.Context(), missing); !errors.Is(err, muster.ErrConfig) || !strings.Contains(err.Error(), "nowhere.pem") {
		t.Errorf("files that aren't there: %v", err)
	}
}

func TestTLSVersionsAndCiphers(t *testing.T) {
	ca := testcert.New(t, "ca")
	own := ca.Issue("server", -time.Hour, time.Hour)
	const suite = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
	s, _ := single(t, func(c *Config) {
		c.TLS = TLS{CertFile: own.Cert, KeyFile: own.Key, MaxVersion: "TLS1.2", CipherSuites: []string{suite}}
	})
	conn, err := tls.Dial("tcp", strings.TrimPrefix(s.ClientAddr(), "https://"), clientConfig(t, ca.File, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	st := conn.ConnectionState()
	if st.Version != tls.VersionTLS12 || tls.CipherSuiteName(st.CipherSuite) != suite {
		t.Errorf("%s, %s", tls.VersionName(st.Version), tls.CipherSuiteName(st.CipherSuite))
	}
}

// gRPC hands the services what the client has shown.
func TestHandshakenTellsTheCertificate(t *testing.T) {
	plain, other := net.Pipe()
	defer plain.Close()
	defer other.Close()
	if _, info, err := newHandshaken().ServerHandshake(&peekedConn{Conn: plain}); err != nil || info.AuthType() != "insecure" {
		t.Errorf("plain text: %v %v", info, err)
	}
	secure := tls.Server(plain, &tls.Config{})
	if _, info, err := newHandshaken().ServerHandshake(&peekedConn{Conn: secure}); err != nil || info.AuthType() != "tls" {
		t.Errorf("TLS: %v %v", info, err)
	}
}
