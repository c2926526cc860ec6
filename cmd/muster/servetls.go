package main

import (
	"github.com/spf13/pflag"

	"github.com/musterhq/muster"
)

// registerPeerTLS are the flags of serve for what members speak with each other.
func registerPeerTLS(set *pflag.FlagSet, c *muster.PeerTLS) {
	set.StringVar(&c.CertFile, "peer-tls-cert", "", "certificate (PEM) that this member shows to others; with it members speak TLS")
	set.StringVar(&c.KeyFile, "peer-tls-key", "", "key (PEM) of --peer-tls-cert")
	set.StringVar(&c.CAFile, "peer-tls-ca", "", "certificate (PEM) of the authority that signs the members' certificates, and nothing else")
	set.BoolVar(&c.SystemRoots, "peer-tls-system-roots", false, "in place of --peer-tls-ca: members that are dialled prove by the authorities of this system that they are those hosts, and who dials proves nothing; all members, or none")
	set.StringVar(&c.ClientCertFile, "peer-tls-client-cert", "", "certificate (PEM) that this member shows to others when it dials them (default: --peer-tls-cert)")
	set.StringVar(&c.ClientKeyFile, "peer-tls-client-key", "", "key (PEM) of --peer-tls-client-cert")
	set.StringVar(&c.CRLFile, "peer-crl-file", "", "list (PEM or DER) of members' certificates that were revoked")
	set.StringSliceVar(&c.AllowedCNs, "peer-cert-allowed-cn", nil, "members' certificates must have one of these common names")
	set.StringSliceVar(&c.AllowedHostnames, "peer-cert-allowed-hostname", nil, "members' certificates must be for one of these host names or IP addresses")
	set.BoolVar(&c.Auto, "peer-auto-tls", false, "speak TLS with other members by a certificate that each makes itself: it encrypts, and proves nothing; all members, or none")
}

// registerTLS are the flags of serve for the client port, named as those for
// the peers' where etcd has no word of its own that fits.
func (f *serveFlags) registerTLS(set *pflag.FlagSet) {
	c := &f.cfg.TLS
	set.StringVar(&c.CertFile, "tls-cert", "", "certificate (PEM) that this member shows to clients; with it they speak TLS")
	set.StringVar(&c.KeyFile, "tls-key", "", "key (PEM) of --tls-cert")
	set.StringVar(&c.CAFile, "tls-ca", "", "certificate (PEM) of the authority that signs clients' certificates, and those of the members' client ports")
	set.BoolVar(&c.ClientAuth, "tls-client-auth", false, "refuse clients that show no certificate of --tls-ca")
	set.StringVar(&c.ClientCertFile, "tls-client-cert", "", "certificate (PEM) that this member shows on other members' client ports (default: --tls-cert)")
	set.StringVar(&c.ClientKeyFile, "tls-client-key", "", "key (PEM) of --tls-client-cert")
	set.BoolVar(&c.Auto, "auto-tls", false, "speak TLS to clients by a certificate that this member makes itself and keeps in --data-dir: it encrypts, and proves nothing")
	set.StringVar(&c.CRLFile, "client-crl-file", "", "list (PEM or DER) of clients' certificates that were revoked")
	set.StringSliceVar(&c.AllowedHostnames, "client-cert-allowed-hostname", nil, "clients' certificates must be for one of these names")
	set.StringVar(&c.MinVersion, "tls-min-version", "TLS1.2", "oldest version of TLS for clients: TLS1.2 or TLS1.3")
	set.StringVar(&c.MaxVersion, "tls-max-version", "", "newest version of TLS for clients (default: the newest there is)")
	set.StringSliceVar(&c.CipherSuites, "cipher-suites", nil, "cipher suites of TLS 1.2 for clients, such as TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 (default: chosen by Go)")
}
