package transport

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/musterhq/muster/internal/certs"
)

// TLS names the files, in PEM, by which peers prove to each other that they
// belong together. Both sides show a certificate that the authority has signed,
// for clients and servers. What name it is for is not looked at unless CommonNames
// or Hostnames says so: members move, and who a node is its Hello says. So the
// authority has to be the cluster's own.
//
// The files are read anew for each handshake: what is renewed needs no restart,
// and open connections go on as they are.
type TLS struct {
	Cert, Key, CA string

	// System, in place of CA, has who dials believe the authorities that the
	// system trusts, which sign for everybody: so the certificate has to be for the
	// host that was dialled. Who dials is not asked for one, and proves nothing.
	System bool

	// ClientCert and ClientKey are shown in place of Cert and Key by who dials;
	// "": the same. With them each certificate needs the usage of one side alone.
	ClientCert, ClientKey string

	// Revoked is a list, in PEM or DER, of certificates that are not taken; "": none.
	Revoked string
	// CommonNames and Hostnames, of which at most one is given, are what a
	// certificate has to be for, one of them, at both ends; none: any.
	CommonNames, Hostnames []string

	made  *tls.Certificate // in place of all files; see SelfMade
	roots *x509.CertPool   // for tests: what System trusts
}

// SelfMade is TLS with a certificate that this node makes itself, and keeps in
// memory alone. It encrypts. Nobody is asked for a certificate, nor is what the
// acceptor shows looked at: to prove anything peers need an authority in common.
func SelfMade(now time.Time) (TLS, error) {
	// It says nothing, so there is nothing in it that could become untrue.
	certPEM, keyPEM, err := certs.SelfSigned(nil, now.Add(-time.Hour), now.AddDate(10, 0, 0))
	if err != nil {
		return TLS{}, fmt.Errorf("make a certificate for peers: %w", err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	return TLS{Cert: "which it has made itself", made: &pair}, err
}

// Load reads the files once, to see that they can be.
func (f TLS) Load() error {
	_, err := f.load(false)
	if err == nil {
		_, err = f.load(true)
	}
	return err
}

// proof is what the files hold.
type proof struct {
	name  string // of the file that cert is in
	cert  tls.Certificate
	pool  *x509.CertPool // nil: nothing is asked of who dials
	roots *x509.CertPool // in place of pool, for who is dialled; nil: the system's
	asks  bool           // of who is dialled
	judge certs.Judge
}

// load reads the files for one connection.
func (f TLS) load(dialling bool) (*proof, error) {
	if f.made != nil {
		return &proof{name: f.Cert, cert: *f.made}, nil
	}
	name, key := f.Cert, f.Key
	if dialling && f.ClientCert != "" {
		name, key = f.ClientCert, f.ClientKey
	}
	cert, err := tls.LoadX509KeyPair(name, key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", name, key, err)
	}
	var pool *x509.CertPool
	if !f.System {
		if pool, err = readAuthority(f.CA); err != nil {
			return nil, err
		}
	}
	p := &proof{name, cert, pool, f.roots, true, certs.Judge{RevokedFile: f.Revoked, CommonNames: f.CommonNames, Hostnames: f.Hostnames}}
	if f.Revoked != "" {
		if p.judge.Revoked, err = certs.ReadRevoked(f.Revoked); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func readAuthority(file string) (*x509.CertPool, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		block, _ := pem.Decode(b)
		return nil, fmt.Errorf("authority: %s holds no certificate in PEM (any PEM at all: %v)", file, block != nil)
	}
	return pool, nil
}

// config is for one handshake. Sessions are not resumed: each connection proves
// itself by the certificates of today.
func (p *proof) config() *tls.Config {
	c := &tls.Config{
		Certificates: []tls.Certificate{p.cert},
		// Also one that the acceptor's authorities have not signed: it is to say so.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &p.cert, nil },
		MinVersion:           tls.VersionTLS13, SessionTicketsDisabled: true,
		// Of the standard checks of a server only that of its name is left out, but
		// for System; VerifyConnection does the others, always.
		InsecureSkipVerify: true, //nolint:gosec // see above
	}
	if p.pool != nil {
		c.ClientAuth, c.ClientCAs, c.VerifyConnection = tls.RequireAndVerifyClientCert, p.pool, p.judged
	}
	return c
}

// judged is what is asked of a certificate, at either end, beyond the standard
// checks.
func (p *proof) judged(s tls.ConnectionState) error {
	if err := p.judge.Check(s.PeerCertificates); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: s.PeerCertificates, Err: &judgedError{err}}
	}
	return nil
}

// judgedError says in whole what is wrong with a certificate.
type judgedError struct{ error }

// verifyServer is the check of the acceptor's certificate, but for its name if
// there is an authority of the cluster's own.
func (p *proof) verifyServer(s tls.ConnectionState, host string) error {
	if !p.asks {
		return nil
	}
	if len(s.PeerCertificates) == 0 {
		return errors.New("it shows no certificate")
	}
	opt := x509.VerifyOptions{Roots: p.pool, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for _, c := range s.PeerCertificates[1:] {
		opt.Intermediates.AddCert(c)
	}
	if p.pool == nil {
		opt.Roots, opt.DNSName = p.roots, host
	}
	if _, err := s.PeerCertificates[0].Verify(opt); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: s.PeerCertificates, Err: err}
	}
	return p.judged(s)
}
