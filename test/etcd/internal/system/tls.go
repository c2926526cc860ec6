package system

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// credentials are those of a client.
func (k Kind) credentials() (credentials.TransportCredentials, error) {
	if k.tls == nil {
		return insecure.NewCredentials(), nil
	}
	pair, err := tls.LoadX509KeyPair(k.tls.Cert, k.tls.Key)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(k.tls.CA)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate", k.tls.CA)
	}
	return credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots}), nil
}
