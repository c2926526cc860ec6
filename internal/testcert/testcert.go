// Package testcert makes certificates for tests: an authority, and what it signs,
// as files in the test's own directory.
//
// It is no way to make certificates for anything else: the authority's key is
// gone with the test. Any package's tests may call it, in a synctest bubble too:
// times count from what the test takes for the present.
package testcert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority signs.
type Authority struct {
	File string // its certificate, in PEM

	t    testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	next int64
}

// New makes an authority that is valid for a century.
func New(t testing.TB, name string) *Authority {
	t.Helper()
	a := &Authority{t: t, dir: t.TempDir(), next: 2}
	a.key = a.newKey()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-50 * 365 * 24 * time.Hour), NotAfter: time.Now().Add(50 * 365 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der := a.sign(tmpl, tmpl, a.key)
	var err error
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.File = filepath.Join(a.dir, "ca.pem")
	a.write(a.File, "CERTIFICATE", der)
	return a
}

// Pair are the files of a certificate and its key.
type Pair struct{ Cert, Key string }

// Issue writes a certificate for a member on this machine, valid from and to so long after the
// present; the times may be negative. Without usages it has those for servers
// and for clients.
func (a *Authority) Issue(name string, from, to time.Duration, usages ...x509.ExtKeyUsage) Pair {
	a.t.Helper()
	base := filepath.Join(a.dir, fmt.Sprint(name, "-", a.next))
	p := Pair{Cert: base + ".pem", Key: base + ".key"}
	a.Renew(p, name, from, to, usages...)
	return p
}

// Renew writes another certificate over one.
func (a *Authority) Renew(p Pair, name string, from, to time.Duration, usages ...x509.ExtKeyUsage) {
	a.t.Helper()
	if len(usages) == 0 {
		usages = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}
	key := a.newKey()
	a.next++
	der := a.sign(&x509.Certificate{
		SerialNumber: big.NewInt(a.next), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(from), NotAfter: time.Now().Add(to),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: usages,
		DNSNames: []string{name, "localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}, a.cert, key)
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	// The key first: until both are there the pair doesn't fit, which is told.
	a.write(p.Key, "PRIVATE KEY", raw)
	a.write(p.Cert, "CERTIFICATE", der)
}

// Revoke writes a list that revokes the certificates of the pairs.
func (a *Authority) Revoke(file string, pairs ...Pair) {
	a.t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(a.next), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour)}
	a.next++
	for _, p := range pairs {
		b, err := os.ReadFile(p.Cert)
		if err != nil {
			a.t.Fatal(err)
		}
		block, _ := pem.Decode(b)
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			a.t.Fatal(err)
		}
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(file, "X509 CRL", der)
}

func (a *Authority) newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	return key
}

func (a *Authority) sign(tmpl, parent *x509.Certificate, key *ecdsa.PrivateKey) []byte {
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return der
}

func (a *Authority) write(name, kind string, der []byte) {
	a.t.Helper()
	// As a whole, as whoever renews certificates should.
	tmp := name + ".new"
	if err := os.WriteFile(tmp, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	if err := os.Rename(tmp, name); err != nil {
		a.t.Fatal(err)
	}
}
