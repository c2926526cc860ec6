package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/internal/certs"
)

// TLS is what the client port shows and asks for. The zero value is plain text.
//
// The files are in PEM and read anew for each handshake: what is renewed needs
// no restart, and open connections go on as they are.
type TLS struct {
	CertFile, KeyFile string // what the server shows
	// ClientCertFile and ClientKeyFile are shown on other members' client ports, in
	// place of CertFile and KeyFile, which then need the usage for servers alone.
	ClientCertFile, ClientKeyFile string
	// Auto has the server make a certificate that it signs itself, and keep it
	// in the data directory: encryption, without a proof of whom one talks to.
	Auto bool

	// CAFile are the authorities that sign the certificates of clients, and those
	// of the other members' client ports.
	CAFile string
	// ClientAuth refuses clients that show no certificate of CAFile.
	ClientAuth bool
	// CRLFile lists certificates of clients that were revoked (X.509, PEM or DER).
	CRLFile string
	// AllowedHostnames: a client's certificate must be for one of these names.
	// Empty: for any.
	AllowedHostnames []string

	MinVersion, MaxVersion string   // TLS1.2 or TLS1.3; default: TLS1.2, and the newest there is
	CipherSuites           []string // of TLS 1.2, by Go's names; default: Go's choice
}

// on says whether there is anything to serve TLS with.
func (f TLS) on() bool { return f.CertFile != "" || f.Auto }

// validate reports what can be seen without the files.
func (f TLS) validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	switch {
	case (f.CertFile == "") != (f.KeyFile == ""):
		fault("--tls-cert and --tls-key: give both, or none")
	case f.Auto && f.CertFile != "":
		fault("both --auto-tls and --tls-cert: choose one")
	case !f.on() && (f.CAFile != "" || f.ClientAuth || f.CRLFile != "" || len(f.AllowedHostnames) > 0):
		fault("--tls-ca, --tls-client-auth and what they ask of clients need TLS: give --tls-cert and --tls-key, or --auto-tls")
	}
	if (f.ClientCertFile == "") != (f.ClientKeyFile == "") {
		fault("--tls-client-cert and --tls-client-key: give both, or none")
	}
	if f.ClientCertFile != "" && !f.on() {
		fault("--tls-client-cert is for when members speak TLS to clients: give --tls-cert and --tls-key, or --auto-tls")
	}
	if f.ClientAuth && f.CAFile == "" {
		fault("--tls-client-auth: name the authority that signs the clients' certificates with --tls-ca")
	}
	if !f.ClientAuth && (f.CRLFile != "" || len(f.AllowedHostnames) > 0) {
		fault("--client-crl-file and --client-cert-allowed-hostname look at clients' certificates: ask for those with --tls-client-auth")
	}
	lo, err := tlsVersion(f.MinVersion)
	if err != nil {
		fault("--tls-min-version %w", err)
	}
	hi, err := tlsVersion(f.MaxVersion)
	if err != nil {
		fault("--tls-max-version %w", err)
	}
	if hi != 0 && lo > hi {
		fault("--tls-min-version %s is above --tls-max-version %s", f.MinVersion, f.MaxVersion)
	}
	ids, err := cipherSuites(f.CipherSuites)
	if err != nil {
		fault("--cipher-suites: %w", err)
	}
	if len(ids) > 0 && lo == tls.VersionTLS13 {
		fault("--cipher-suites is for TLS 1.2, which --tls-min-version TLS1.3 leaves out")
	}
	if len(faults) > 0 {
		return fmt.Errorf("%w: %w", muster.ErrConfig, errors.Join(faults...))
	}
	return nil
}

func tlsVersion(name string) (uint16, error) {
	switch name {
	case "":
		return 0, nil
	case "TLS1.2":
		return tls.VersionTLS12, nil
	case "TLS1.3":
		return tls.VersionTLS13, nil
	}
	return 0, fmt.Errorf("%q: want TLS1.2 or TLS1.3", name)
}

// cipherSuites are those of TLS 1.2 that package tls holds for secure, by name.
func cipherSuites(names []string) (ids []uint16, err error) {
	for _, name := range names {
		i := slices.IndexFunc(tls.CipherSuites(), func(c *tls.CipherSuite) bool { return c.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("%q is none that is known and secure", name)
		}
		ids = append(ids, tls.CipherSuites()[i].ID)
	}
	return ids, nil
}

// tlsFiles is what the files hold.
type tlsFiles struct {
	cert tls.Certificate
	pool *x509.CertPool // nil: no CAFile
	crl  *x509.RevocationList
}

func (f TLS) load() (*tlsFiles, error) {
	cert, err := tls.LoadX509KeyPair(f.CertFile, f.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", f.CertFile, f.KeyFile, err)
	}
	out := &tlsFiles{cert: cert}
	if f.CAFile != "" {
		b, err := os.ReadFile(f.CAFile)
		if err != nil {
			return nil, fmt.Errorf("authority of clients: %w", err)
		}
		out.pool = x509.NewCertPool()
		if !out.pool.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("authority of clients: %s holds no certificate in PEM", f.CAFile)
		}
	}
	if f.CRLFile != "" {
		if out.crl, err = certs.ReadRevoked(f.CRLFile); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// try reads the files once, to see that they can be.
func (f TLS) try() error {
	if f.CertFile == "" {
		return nil // Auto has none yet
	}
	_, err := f.load()
	if err == nil {
		_, err = f.client()
	}
	if err != nil {
		return fmt.Errorf("%w: TLS for clients: %w", muster.ErrConfig, err)
	}
	return nil
}

// server is the configuration of the client port.
func (f TLS) server() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			files, err := f.load()
			if err != nil {
				return nil, &ownFilesError{err}
			}
			return f.handshake(files, hello), nil
		},
	}
}

// ownFilesError: it is this server's files that are at fault, not the client.
type ownFilesError struct{ error }

// Unwrap gives the fault of the file.
func (e *ownFilesError) Unwrap() error { return e.error }

// handshake is for one client. Sessions are not resumed: each connection proves
// itself by the files of today.
func (f TLS) handshake(files *tlsFiles, hello *tls.ClientHelloInfo) *tls.Config {
	lo, _ := tlsVersion(f.MinVersion) // validate has seen to them
	hi, _ := tlsVersion(f.MaxVersion)
	suites, _ := cipherSuites(f.CipherSuites)
	c := &tls.Config{
		Certificates: []tls.Certificate{files.cert},
		MinVersion:   max(lo, tls.VersionTLS12), MaxVersion: hi, CipherSuites: suites,
		SessionTicketsDisabled: true,
		NextProtos:             []string{"h2"},
	}
	// HTTP/2 on this port is gRPC. Its clients offer nothing else; whoever would
	// take HTTP/1.1 as well (curl, a browser) wants JSON.
	if slices.Contains(hello.SupportedProtos, "http/1.1") {
		c.NextProtos = []string{"http/1.1"}
	}
	if f.ClientAuth {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, files.pool
		c.VerifyConnection = func(s tls.ConnectionState) error { return f.checkClient(files, s.PeerCertificates) }
	}
	return c
}

// checkClient judges a certificate that an authority of CAFile has signed.
func (f TLS) checkClient(files *tlsFiles, chain []*x509.Certificate) error {
	if len(chain) == 0 {
		return errors.New("the client shows no certificate")
	}
	return certs.Judge{Revoked: files.crl, RevokedFile: f.CRLFile, Hostnames: f.AllowedHostnames}.Check(chain)
}

// client is the configuration for asking another member's client port what it
// knows, which is shown to people and decides nothing. The other must show a
// certificate of CAFile, whatever its name: members move. Without CAFile the
// connection is encrypted only.
func (f TLS) client() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true} //nolint:gosec // VerifyConnection
	if !f.on() {
		return c, nil
	}
	shown := f
	if f.ClientCertFile != "" {
		shown.CertFile, shown.KeyFile = f.ClientCertFile, f.ClientKeyFile
	}
	files, err := shown.load()
	if err != nil {
		return nil, fmt.Errorf("this member can't use its TLS files: %w", err)
	}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &files.cert, nil }
	if files.pool != nil {
		c.VerifyConnection = func(s tls.ConnectionState) error { return verifyChain(files.pool, s.PeerCertificates) }
	}
	return c, nil
}

func verifyChain(pool *x509.CertPool, chain []*x509.Certificate) error {
	if len(chain) == 0 {
		return errors.New("it shows no certificate")
	}
	opt := x509.VerifyOptions{Roots: pool, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for _, c := range chain[1:] {
		opt.Intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(opt)
	return err
}

// openDoor warns of TLS between members by which who comes in proves nothing.
func openDoor(n muster.Config) string {
	const door = ": whoever reaches the peer port may come in"
	switch {
	case n.PeerTLS.Auto:
		return "connections between members are encrypted, and nobody proves there who it is (--peer-auto-tls)" + door
	case n.PeerTLS.SystemRoots && n.JoinToken == "":
		return "members that dial show no certificates, as there is no authority of the cluster's own (--peer-tls-ca)" + door + "; --join-token-file says who may"
	}
	return ""
}

// secured is a listener whose connections are TLS. The handshake is left to the
// first Read.
type secured struct {
	net.Listener
	cfg *tls.Config
}

// Accept implements net.Listener.
func (l secured) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return tls.Server(c, l.cfg), nil
}
