package certs_test

import (
	"crypto/tls"
	"crypto/x509"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/internal/certs"
	"github.com/musterhq/muster/internal/testcert"
)

func leaf(t *testing.T, p testcert.Pair) []*x509.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(p.Cert, p.Key)
	if err != nil {
		t.Fatal(err)
	}
	return []*x509.Certificate{pair.Leaf}
}

func TestJudge(t *testing.T) {
	ca := testcert.New(t, "ca")
	a, b := ca.Issue("a", -time.Hour, time.Hour), ca.Issue("b", -time.Hour, time.Hour)
	file := filepath.Join(t.TempDir(), "crl.pem")
	ca.Revoke(file, b)
	crl, err := certs.ReadRevoked(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		judge certs.Judge
		of    testcert.Pair
		want  string // "": taken
	}{
		{"nothing is asked", certs.Judge{}, a, ""},
		{"not revoked", certs.Judge{Revoked: crl}, a, ""},
		{"revoked", certs.Judge{Revoked: crl, RevokedFile: "list"}, b, "was revoked (list)"},
		{"one of the common names", certs.Judge{CommonNames: []string{"x", "a"}}, a, ""},
		{"another common name", certs.Judge{CommonNames: []string{"x", "a"}}, b, "none of the common names that are allowed (x, a)"},
		{"the end of a common name", certs.Judge{CommonNames: []string{""}}, a, "none of the common names"},
		{"one of the hosts", certs.Judge{Hostnames: []string{"x", "b"}}, b, ""},
		{"an address of it", certs.Judge{Hostnames: []string{"127.0.0.1"}}, b, ""},
		{"another host", certs.Judge{Hostnames: []string{"x"}}, b, "for none of the names that are allowed (x)"},
	} {
		switch err := tt.judge.Check(leaf(t, tt.of)); {
		case tt.want == "" && err != nil, tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	for _, file := range []string{a.Cert, filepath.Join(t.TempDir(), "nowhere")} {
		if _, err := certs.ReadRevoked(file); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestSelfSigned(t *testing.T) {
	now := time.Now()
	cert, key, err := certs.SelfSigned([]string{"localhost", "::1"}, now, now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	if pair.Leaf.VerifyHostname("::1") != nil || pair.Leaf.VerifyHostname("localhost") != nil {
		t.Errorf("for %v, %v", pair.Leaf.DNSNames, pair.Leaf.IPAddresses)
	}
}
