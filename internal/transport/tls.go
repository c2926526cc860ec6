package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/musterhq/muster/internal/wire"
)

// Secure is a network whose connections are TLS.
func Secure(n Network, f TLS) Network { return secure{n, f} }

type secure struct {
	Network
	files TLS
}

// Dial implements [Network]; it returns when the handshake is done. In TLS 1.3
// it shows only later whether the acceptor takes this node's certificate.
func (s secure) Dial(ctx context.Context, addr string) (net.Conn, error) {
	own, err := s.files.load(true)
	if err != nil {
		return nil, ownTrouble(wire.RefusedTLSFiles, "this node can't use its TLS files: "+err.Error())
	}
	raw, err := s.Network.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	cfg := own.config()
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		raw.Close()
		return nil, err
	}
	cfg.ServerName = host
	cfg.VerifyConnection = func(s tls.ConnectionState) error { return own.verifyServer(s, host) }
	c := &tlsConn{Conn: tls.Client(raw, cfg), raw: raw, own: own}
	if err := c.HandshakeContext(ctx); err != nil {
		err = c.explain(err)
		raw.Close()
		return nil, err
	}
	return c, nil
}

// Listen implements [Network].
func (s secure) Listen(addr string) (net.Listener, error) {
	l, err := s.Network.Listen(addr)
	if err != nil {
		return nil, err
	}
	return secureListener{l, s.files}, nil
}

type secureListener struct {
	net.Listener
	files TLS
}

// Accept leaves the handshake to the first Read.
func (l secureListener) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &tlsConn{raw: raw, inbound: true}
	c.Conn = tls.Server(raw, &tls.Config{MinVersion: tls.VersionTLS13, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		own, err := l.files.load(false)
		if err != nil {
			return nil, ownTrouble(wire.RefusedTLSFiles, "this node can't use its TLS files: "+err.Error())
		}
		c.own = own
		return own.config(), nil
	}})
	return c, nil
}

// tlsConn says in words what is wrong with certificates.
type tlsConn struct {
	*tls.Conn
	raw     net.Conn
	inbound bool
	own     *proof    // set by the handshake
	parting sync.Once // the last word on a connection that came to nothing
}

func (c *tlsConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	return n, c.explain(err)
}

func (c *tlsConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	return n, c.explain(err)
}

// Close doesn't wait for the other side to take a last word: frames have their
// own ends.
func (c *tlsConn) Close() error { return c.raw.Close() }

// ownTrouble is this node's refusal of a connection.
func ownTrouble(code wire.RefusalCode, reason string) error {
	return &OwnRefusal{&wire.Refusal{Code: code, Reason: reason}}
}

// explain turns what is about certificates into a refusal, by whichever side.
func (c *tlsConn) explain(err error) error {
	var plain tls.RecordHeaderError
	var bad *tls.CertificateVerificationError
	var op *net.OpError
	switch {
	case err == nil, errors.Is(err, io.EOF):
	case errors.As(err, &plain):
		if c.inbound { // it gets the answer in plain text, too
			c.part(&wire.Refusal{Code: wire.RefusedTLSExpected, Reason: "whoever is there speaks TLS, and this node plain text"})
		}
		return ownTrouble(wire.RefusedTLSExpected, "whoever is there speaks plain text (or something else than muster), and this node TLS")
	case errors.As(err, &bad):
		code, why := judgeCertificate(bad, time.Now())
		c.part(nil)
		return ownTrouble(code, why)
	case errors.As(err, &op) && op.Op == "remote error":
		return c.refusedByPeer(op.Err, err)
	}
	return err
}

// part lets the other side read the last word, an alert or this one.
func (c *tlsConn) part(word *wire.Refusal) {
	c.parting.Do(func() {
		_ = c.raw.SetDeadline(time.Now().Add(500 * time.Millisecond))
		if word != nil {
			_ = wire.WriteOpening(c.raw, wire.Hello{}, word)
		}
		closeGently(c.raw)
	})
}

// judgeCertificate says what is wrong with a peer's certificate.
func judgeCertificate(bad *tls.CertificateVerificationError, now time.Time) (wire.RefusalCode, string) {
	var leaf *x509.Certificate
	who := "its certificate "
	if len(bad.UnverifiedCertificates) > 0 {
		leaf = bad.UnverifiedCertificates[0]
		who += fmt.Sprintf("(of %s) ", leaf.Subject)
	}
	var invalid x509.CertificateInvalidError
	var authority x509.UnknownAuthorityError
	var judged *judgedError
	switch {
	case errors.As(bad.Err, &judged):
		return wire.RefusedTLSCertificate, judged.Error()
	case errors.As(bad.Err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		if code, why := span(invalid.Cert, now); code != "" {
			return code, who + why
		}
	case errors.As(bad.Err, &authority):
		return wire.RefusedTLSAuthority, who + "is signed by an authority that this node doesn't know: " + leaf.Issuer.String()
	}
	return wire.RefusedTLSCertificate, who + "is not accepted: " + bad.Err.Error()
}

// span says whether now lies outside a certificate's life; "" when it doesn't.
func span(c *x509.Certificate, now time.Time) (wire.RefusalCode, string) {
	switch {
	case now.After(c.NotAfter):
		return wire.RefusedTLSExpired, "expired at " + c.NotAfter.UTC().Format(time.RFC3339)
	case now.Before(c.NotBefore):
		return wire.RefusedTLSNotYet, "becomes valid at " + c.NotBefore.UTC().Format(time.RFC3339) + "; or a clock is wrong"
	}
	return "", ""
}

// Alerts (RFC 8446 §6) by which a peer turns a certificate down.
const (
	alertBadCertificate tls.AlertError = 42
	alertExpired        tls.AlertError = 45
	alertUnknown        tls.AlertError = 46
	alertUnknownCA      tls.AlertError = 48
)

// refusedByPeer says what a peer may have against this node's certificate. An
// alert says little; this node knows more of its own certificate. Package tls
// gives no alert's number of a plain connection, only its text.
func (c *tlsConn) refusedByPeer(alert, err error) error {
	said := func(a tls.AlertError) bool { return alert.Error() == a.Error() }
	if c.own == nil || !said(alertBadCertificate) && !said(alertExpired) && !said(alertUnknown) && !said(alertUnknownCA) {
		return err
	}
	leaf, file := c.own.cert.Leaf, c.own.name
	if code, why := span(leaf, time.Now()); code != "" {
		return &wire.Refusal{Code: code, Reason: fmt.Sprintf("this node's own certificate, %s, %s", file, why)}
	}
	if said(alertUnknownCA) {
		return &wire.Refusal{Code: wire.RefusedTLSAuthority, Reason: fmt.Sprintf("it doesn't know the authority that signed this node's certificate, %s: %s", file, leaf.Issuer)}
	}
	return &wire.Refusal{Code: wire.RefusedTLSCertificate, Reason: fmt.Sprintf("it doesn't take this node's certificate, %s (%s): there it shows why", file, alert)}
}
