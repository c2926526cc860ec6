package muster

import (
	"fmt"
	"time"

	"github.com/musterhq/muster/internal/transport"
)

// PeerTLS names three files in PEM: a certificate, its key, and the certificate
// of the authority that has signed those of all members. Whoever shows a
// certificate of that authority is let in to ask, so it must sign for this
// cluster alone; names and addresses in certificates are not looked at, unless
// one of the lists says so. They need the extended key usages for clients and for
// servers. The files are read for each new connection: a renewed certificate
// needs no restart.
type PeerTLS struct {
	CertFile, KeyFile, CAFile string

	// SystemRoots, in place of CAFile, has members that this one dials prove by the
	// authorities which the system trusts that they are the hosts that are dialled:
	// their certificates must be for the names or addresses that they advertise.
	// Who dials this member shows no certificate. So, as without TLS, whoever
	// reaches the peer port is let in: JoinToken says who may. All members have it.
	SystemRoots bool

	// ClientCertFile and ClientKeyFile are shown to members that this one dials,
	// in place of CertFile and KeyFile. Then CertFile needs the usage for servers
	// alone, and this one that for clients. Both or none are given. Default: the same.
	ClientCertFile, ClientKeyFile string

	// Auto, in place of files, has each member make a certificate of its own, in
	// memory. It encrypts, and proves nothing: whoever reaches the peer port is
	// let in as without TLS, and whoever can stand in between can read along.
	Auto bool

	// CRLFile is a list, in PEM or DER, of certificates that were revoked.
	CRLFile string
	// AllowedCNs are common names, AllowedHostnames host names or IP addresses, of
	// which certificates have to be for one. At most one of the two is given. Default: any.
	AllowedCNs, AllowedHostnames []string
}

func (p PeerTLS) files() bool { return p.CertFile != "" || p.KeyFile != "" || p.CAFile != "" }

func (p PeerTLS) faults(fault func(string, ...any)) {
	if p.files() && (p.CertFile == "" || p.KeyFile == "" || p.CAFile == "" && !p.SystemRoots) {
		fault("PeerTLS (--peer-tls-cert, --peer-tls-key, --peer-tls-ca): give all three files, or none; SystemRoots (--peer-tls-system-roots) is in place of the third")
	}
	if p.SystemRoots && (p.CAFile != "" || p.CertFile == "") {
		fault("PeerTLS: SystemRoots (--peer-tls-system-roots) stands beside --peer-tls-cert and --peer-tls-key, in place of --peer-tls-ca")
	}
	if (p.ClientCertFile == "") != (p.ClientKeyFile == "") {
		fault("PeerTLS: ClientCertFile (--peer-tls-client-cert) and ClientKeyFile (--peer-tls-client-key): give both, or none")
	}
	if p.ClientCertFile != "" && !p.files() {
		fault("PeerTLS: ClientCertFile (--peer-tls-client-cert) stands beside --peer-tls-cert, --peer-tls-key and --peer-tls-ca: give those, too")
	}
	if p.Auto && p.files() {
		fault("PeerTLS: both Auto (--peer-auto-tls) and files (--peer-tls-cert, --peer-tls-key, --peer-tls-ca): choose one")
	}
	if !p.files() && (p.CRLFile != "" || len(p.AllowedCNs) > 0 || len(p.AllowedHostnames) > 0) {
		fault("PeerTLS: CRLFile (--peer-crl-file), AllowedCNs (--peer-cert-allowed-cn) and AllowedHostnames (--peer-cert-allowed-hostname) look at members' certificates: give --peer-tls-cert, --peer-tls-key and --peer-tls-ca")
	}
	if len(p.AllowedCNs) > 0 && len(p.AllowedHostnames) > 0 {
		fault("PeerTLS: both AllowedCNs (--peer-cert-allowed-cn) and AllowedHostnames (--peer-cert-allowed-hostname): choose one")
	}
}

// secure is a network as p says.
func (p PeerTLS) secure(n Network) (Network, error) {
	f := transport.TLS{Cert: p.CertFile, Key: p.KeyFile, CA: p.CAFile, System: p.SystemRoots, ClientCert: p.ClientCertFile, ClientKey: p.ClientKeyFile, Revoked: p.CRLFile, CommonNames: p.AllowedCNs, Hostnames: p.AllowedHostnames}
	switch {
	case p.Auto:
		var err error
		if f, err = transport.SelfMade(time.Now()); err != nil {
			return nil, err
		}
	case !p.files():
		return n, nil
	}
	if err := f.Load(); err != nil {
		return nil, configError([]error{fmt.Errorf("PeerTLS: %w", err)})
	}
	return transport.Secure(n, f), nil
}
