package server

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// handshaken are gRPC's credentials for connections whose handshake is over by
// the time that gRPC gets them: it learns what the client has shown.
type handshaken struct {
	credentials.TransportCredentials
}

func newHandshaken() handshaken { return handshaken{insecure.NewCredentials()} }

// ServerHandshake implements credentials.TransportCredentials.
func (h handshaken) ServerHandshake(c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	if state := tlsState(c); state != nil {
		return c, credentials.TLSInfo{
			State:          *state,
			CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
		}, nil
	}
	return h.TransportCredentials.ServerHandshake(c)
}

// Clone implements credentials.TransportCredentials.
func (h handshaken) Clone() credentials.TransportCredentials { return newHandshaken() }

// tlsState is what a connection from the splitter has negotiated; nil: plain text.
func tlsState(c net.Conn) *tls.ConnectionState {
	if p, ok := c.(*peekedConn); ok {
		c = p.Conn
	}
	if t, ok := c.(*tls.Conn); ok {
		s := t.ConnectionState()
		return &s
	}
	return nil
}

// complaints logs, now and then, which clients come with the wrong words. Its
// methods may be called by many goroutines.
type complaints struct {
	log   *slog.Logger
	plain rate.Sometimes // plain text where TLS is spoken
	tls   rate.Sometimes // TLS where plain text is
	other rate.Sometimes
}

// SpeaksTLS begins what a client port with TLS answers to plain HTTP.
const SpeaksTLS = "This port speaks TLS"

// complaintEvery is how often one kind of complaint is logged.
const complaintEvery = 10 * time.Second

func newComplaints(log *slog.Logger) *complaints {
	often := func() rate.Sometimes { return rate.Sometimes{Interval: complaintEvery} }
	return &complaints{log: log, plain: often(), tls: often(), other: often()}
}

// failed is told why a connection came to nothing before its protocol was known.
func (p *complaints) failed(c net.Conn, err error) {
	secure, ok := c.(*tls.Conn)
	if !ok || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || isTimeout(err) {
		return // who says nothing is a probe of a load balancer, as a rule
	}
	from := c.RemoteAddr().String()
	var plain tls.RecordHeaderError
	var own *ownFilesError
	switch {
	case errors.As(err, &plain):
		p.plain.Do(func() {
			p.log.Warn("a client speaks plain text, and this port TLS: it is to use https://", "from", from, "addr", c.LocalAddr().String())
		})
		if speaksHTTP(plain.RecordHeader) {
			_, _ = io.WriteString(secure.NetConn(), "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\n\r\n"+SpeaksTLS+": use https://\n")
		}
	case errors.As(err, &own):
		p.other.Do(func() { p.log.Error("clients are turned away: this server can't use its TLS files", "err", own.error) })
	default:
		p.other.Do(func() { p.log.Warn("a client's TLS handshake failed", "from", from, "err", err) })
	}
}

// began is told what a connection in plain text began with.
func (p *complaints) began(c net.Conn, head []byte) {
	if len(head) >= 2 && head[0] == 0x16 && head[1] == 3 { // a TLS record that holds a handshake
		if tlsState(c) == nil {
			p.tls.Do(func() {
				p.log.Warn("a client speaks TLS, and this port plain text: it is to use http://, or give this server --tls-cert and --tls-key", "from", c.RemoteAddr().String(), "addr", c.LocalAddr().String())
			})
		}
	}
}

// speaksHTTP says whether the first bytes are those of a request in HTTP/1.
func speaksHTTP(head [5]byte) bool {
	switch string(head[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "DELET", "OPTIO":
		return true
	}
	return false
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}
