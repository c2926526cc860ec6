package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"
)

// clientTLS are the flags of those that ask a member whose client port speaks
// TLS, under etcdctl's names.
type clientTLS struct {
	caFile, certFile, keyFile string
	insecure                  bool
}

func (f *clientTLS) register(set *pflag.FlagSet) {
	set.StringVar(&f.caFile, "cacert", "", "TLS: certificate (PEM) of the authority that signed the member's (default: those that the system trusts; env MUSTER_CACERT)")
	set.StringVar(&f.certFile, "cert", "", "TLS: certificate (PEM) to show to the member (env MUSTER_CERT)")
	set.StringVar(&f.keyFile, "key", "", "TLS: key (PEM) of --cert (env MUSTER_KEY)")
	set.BoolVar(&f.insecure, "insecure-skip-tls-verify", false, "TLS: take any certificate, so that somebody in between goes unnoticed")
}

// fromEnvironment fills in what the command line left out.
func (f *clientTLS) fromEnvironment(set *pflag.FlagSet, environ []string) {
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		for variable, flag := range map[string]string{"MUSTER_CACERT": "cacert", "MUSTER_CERT": "cert", "MUSTER_KEY": "key"} {
			if name == variable && value != "" && !set.Changed(flag) {
				_ = set.Set(flag, value) // a string takes any
			}
		}
	}
}

// wanted says whether any of the flags asks for TLS.
func (f *clientTLS) wanted() bool { return f.caFile != "" || f.certFile != "" || f.insecure }

// config reads the files.
func (f *clientTLS) config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: f.insecure} //nolint:gosec // as asked for
	if (f.certFile == "") != (f.keyFile == "") {
		return nil, usage("--cert and --key: give both, or none")
	}
	if f.certFile != "" {
		pair, err := tls.LoadX509KeyPair(f.certFile, f.keyFile)
		if err != nil {
			return nil, usage("--cert %s with --key %s: %v", f.certFile, f.keyFile, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if f.caFile != "" {
		b, err := os.ReadFile(f.caFile)
		if err != nil {
			return nil, usage("--cacert: %v", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(b) {
			return nil, usage("--cacert: %s holds no certificate in PEM", f.caFile)
		}
	}
	return c, nil
}

// isSecure tells the kinds of endpoint, and gives its HOST:PORT.
func isSecure(endpoint string) (addr string, secure bool) {
	return strings.CutPrefix(endpoint, "https://")
}

// tlsTrouble puts a handshake that failed into words; nil: that is not what failed.
func tlsTrouble(endpoint string, err error) error {
	var plain tls.RecordHeaderError
	var bad *tls.CertificateVerificationError
	var alert tls.AlertError
	switch {
	case errors.As(err, &plain) || err != nil && strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return &hinted{fmt.Errorf("what answers at %s speaks no TLS", endpoint), "Name it with http:// in front, or with neither --cacert nor --cert."}
	case errors.As(err, &bad):
		return &hinted{fmt.Errorf("the certificate shown at %s is not to be trusted: %w", endpoint, bad.Err), "Name the authority that signed it with --cacert FILE, or say --insecure-skip-tls-verify."}
	case errors.As(err, &alert) || err != nil && strings.Contains(err.Error(), "remote error: tls: "):
		_, why, _ := strings.Cut(err.Error(), "remote error: ")
		return &hinted{fmt.Errorf("the member at %s ended the handshake: %s", endpoint, why), "If it asks for a certificate of its clients, give --cert FILE and --key FILE; its log says more."}
	}
	return nil
}
