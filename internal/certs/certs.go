// Package certs is what members do with certificates beyond what package tls
// does: they look for them in revocation lists, hold them against names, and make
// some that are signed by nobody else.
//
// It knows neither files' flags nor connections; package server calls it for the
// client port, package transport for the peer port.
package certs

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Judge says more of certificates than that an authority has signed them. The
// zero value takes all.
type Judge struct {
	Revoked     *x509.RevocationList // nil: none are
	RevokedFile string               // where that is from, for errors
	CommonNames []string             // one of them is the subject's; none: any
	Hostnames   []string             // for one of them, or any with none, names or IP addresses
}

// Check judges a chain whose first certificate is the peer's own. Any in it may
// have been revoked.
func (j Judge) Check(chain []*x509.Certificate) error {
	if len(chain) == 0 {
		return nil // whether there has to be one is not said here
	}
	for _, c := range chain {
		if j.Revoked != nil && slices.ContainsFunc(j.Revoked.RevokedCertificateEntries, func(r x509.RevocationListEntry) bool {
			return r.SerialNumber.Cmp(c.SerialNumber) == 0
		}) {
			return fmt.Errorf("the certificate of %s, serial number %s, was revoked (%s)", c.Subject, c.SerialNumber, j.RevokedFile)
		}
	}
	own := chain[0]
	if len(j.CommonNames) > 0 && !slices.Contains(j.CommonNames, own.Subject.CommonName) {
		return fmt.Errorf("the certificate of %s has none of the common names that are allowed (%s)", own.Subject, strings.Join(j.CommonNames, ", "))
	}
	if len(j.Hostnames) > 0 && !slices.ContainsFunc(j.Hostnames, func(name string) bool { return own.VerifyHostname(name) == nil }) {
		return fmt.Errorf("the certificate of %s is for none of the names that are allowed (%s)", own.Subject, strings.Join(j.Hostnames, ", "))
	}
	return nil
}

// ReadRevoked reads a list of revoked certificates, in PEM or DER. As in etcd,
// neither its signature nor its age is looked at.
func ReadRevoked(path string) (*x509.RevocationList, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("revoked certificates: %w", err)
	}
	if block, _ := pem.Decode(b); block != nil {
		b = block.Bytes
	}
	crl, err := x509.ParseRevocationList(b)
	if err != nil {
		return nil, fmt.Errorf("revoked certificates: %s: %w", path, err)
	}
	return crl, nil
}
