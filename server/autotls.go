package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	// autoTLSDir, in the data directory, holds the certificate of Auto.
	autoTLSDir = "client-tls"
	// autoTLSLife is how long such a certificate is valid, as in etcd.
	autoTLSLife = 365 * 24 * time.Hour
	// autoTLSRest is how much of that must be left at a start, or a new one is made.
	autoTLSRest = 30 * 24 * time.Hour
)

// autoTLS names the certificate in the data directory, after making one if none
// is there that is valid for long enough and for all of these hosts.
func autoTLS(dataDir string, hosts []string, now time.Time) (cert, key string, err error) {
	dir := filepath.Join(dataDir, autoTLSDir)
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if stillGood(cert, key, hosts, now) {
		return cert, key, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", "", fmt.Errorf("make a certificate (--auto-tls): %w", err)
	}
	certPEM, keyPEM, err := selfSigned(hosts, now)
	if err != nil {
		return "", "", fmt.Errorf("make a certificate (--auto-tls): %w", err)
	}
	// The key first: until both are there the pair doesn't fit, and is made anew.
	if err := os.WriteFile(key, keyPEM, 0o600); err != nil {
		return "", "", fmt.Errorf("keep the certificate's key (--auto-tls): %w", err)
	}
	if err := os.WriteFile(cert, certPEM, 0o644); err != nil { //nolint:gosec // everybody is shown it
		return "", "", fmt.Errorf("keep the certificate (--auto-tls): %w", err)
	}
	return cert, key, nil
}

func stillGood(cert, key string, hosts []string, now time.Time) bool {
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil || now.Add(autoTLSRest).After(pair.Leaf.NotAfter) {
		return false
	}
	for _, h := range hosts {
		if pair.Leaf.VerifyHostname(h) != nil {
			return false
		}
	}
	return true
}

func selfSigned(hosts []string, now time.Time) (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{Organization: []string{"muster"}},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(autoTLSLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IsCA:        true, BasicConstraintsValid: true, // so that it can be given to clients as their authority
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return nil, nil, err
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), nil
}
