package server

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/musterhq/muster/internal/certs"
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
	certPEM, keyPEM, err := certs.SelfSigned(hosts, now.Add(-time.Hour), now.Add(autoTLSLife))
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
