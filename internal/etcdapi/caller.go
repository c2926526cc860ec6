package etcdapi

import (
	"context"
	"crypto/subtle"
	"net/http"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/musterhq/muster/kv"
)

// Authentication is how callers are told apart. The zero value knows nobody by
// a token.
type Authentication struct {
	Tokens *Tokens // those given by way of the log; nil if JWT is set
	JWT    *JWT    // signed ones, in place of Tokens
	// BcryptCost is how hard passwords are to guess, from 4 to 31; each step
	// doubles the time that checking one takes. 0: 10, as in etcd.
	BcryptCost int
	// ClientCertAuth says that clients without a token are who their
	// certificate, which was verified, says by its common name.
	ClientCertAuth bool
}

// caller is who sent the request that ctx belongs to: by its token or by the
// client's certificate. It is the zero Caller if the request doesn't say, or
// while authentication is not enabled. A token that is none is refused.
func (s *Server) caller(ctx context.Context) (kv.Caller, error) {
	auth := s.cfg.Store.Auth()
	if !auth.Enabled() {
		return kv.Caller{}, nil
	}
	md, _ := metadata.FromIncomingContext(ctx)
	token := md.Get(rpctypes.TokenFieldNameGRPC)
	if len(token) == 0 {
		token = md.Get(rpctypes.TokenFieldNameSwagger)
	}
	if len(token) > 0 {
		return s.callerByToken(ctx, strings.TrimPrefix(token[0], "Bearer "))
	}
	if name, ok := s.trusted(md); ok {
		return kv.Caller{Name: name, Revision: auth.Revision()}, nil
	}
	// What the JSON gateway forwards comes with the certificate of this
	// server, not of the client.
	if s.cfg.Auth.ClientCertAuth && len(md.Get("grpcgateway-accept")) == 0 {
		if name := commonName(ctx); name != "" {
			return kv.Caller{Name: name, Revision: auth.Revision()}, nil
		}
	}
	return kv.Caller{}, nil
}

func (s *Server) callerByToken(ctx context.Context, token string) (kv.Caller, error) {
	if s.cfg.Auth.JWT != nil {
		return s.cfg.Auth.JWT.caller(token)
	}
	if s.cfg.Auth.Tokens == nil {
		return kv.Caller{}, rpctypes.ErrGRPCInvalidAuthToken
	}
	// The revision comes first: a token that was taken back since is then one of
	// an old revision.
	revision := s.cfg.Store.Auth().Revision()
	user, ok := s.cfg.Auth.Tokens.user(token)
	if index, given := indexOf(token); !ok && given && index > s.cfg.Proposer.Status().Applied {
		// Another member gave it, and this one has not heard of it yet.
		if err := s.confirm(ctx); err != nil {
			return kv.Caller{}, err
		}
		revision = s.cfg.Store.Auth().Revision()
		user, ok = s.cfg.Auth.Tokens.user(token)
	}
	if !ok {
		return kv.Caller{}, rpctypes.ErrGRPCInvalidAuthToken
	}
	return kv.Caller{Name: user, Revision: revision}, nil
}

// commonName is the client's, by the certificate that the server verified.
func commonName(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return ""
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return ""
	}
	for _, chain := range info.State.VerifiedChains {
		if len(chain) > 0 {
			return chain[0].Subject.CommonName
		}
	}
	return ""
}

// onBehalfKey names the metadata by which this process vouches for the user of a
// request that it sends to itself.
const onBehalfKey = "muster-on-behalf-bin"

// OnBehalf makes of the context of a request one for requests to this same
// server, over whatever connection, that are made for the same caller. Who has a
// token goes by it; for who is known by a certificate the server vouches, with a
// secret of this process.
func (s *Server) OnBehalf(ctx context.Context) context.Context {
	md, _ := metadata.FromIncomingContext(ctx)
	out := metadata.MD{}
	for _, key := range []string{rpctypes.TokenFieldNameGRPC, rpctypes.TokenFieldNameSwagger, rpctypes.MetadataRequireLeaderKey} {
		if v := md.Get(key); len(v) > 0 {
			out.Set(key, v...)
		}
	}
	if len(md.Get(rpctypes.TokenFieldNameGRPC)) == 0 && len(md.Get(rpctypes.TokenFieldNameSwagger)) == 0 {
		if c, err := s.caller(ctx); err == nil && c.Name != "" {
			out.Set(onBehalfKey, s.secret, c.Name)
		}
	}
	return metadata.NewOutgoingContext(ctx, out)
}

// trusted is the user that this process vouches for.
func (s *Server) trusted(md metadata.MD) (name string, ok bool) {
	v := md.Get(onBehalfKey)
	if len(v) != 2 || subtle.ConstantTimeCompare([]byte(v[0]), []byte(s.secret)) != 1 {
		return "", false
	}
	return v[1], true
}

// readAs has read done if the caller may, and takes back what was read if users
// or roles changed in the meantime: it may be what the caller may no longer
// see.
func (s *Server) readAs(ctx context.Context, may func(*kv.Auth, kv.Caller) error, read func() error) error {
	c, err := s.caller(ctx)
	if err != nil {
		return err
	}
	auth := s.cfg.Store.Auth()
	if err := may(auth, c); err != nil {
		return err
	}
	if err := read(); err != nil {
		return err
	}
	now := s.cfg.Store.Auth()
	known := c == (kv.Caller{}) || c.Revision == now.Revision() // who reads nothing may be nobody
	if now.Enabled() && !(known && auth.Enabled() && auth.Revision() == now.Revision()) {
		return rpctypes.ErrGRPCAuthOldRevision
	}
	return nil
}

// AdmitHTTP says whether a request over plain HTTP may change the cluster:
// anybody's may while authentication is not enabled, and then root's, by
// name and password (Basic), by a token, or by the client's certificate. A browser
// sends the first and the last by itself, also for a page from elsewhere, which is
// for the caller to have kept out. The errors are etcd's.
func (s *Server) AdmitHTTP(r *http.Request) error {
	auth, err := s.authNow(r.Context())
	if err != nil || !auth.Enabled() {
		return err
	}
	name, password, basic := r.BasicAuth()
	token := r.Header.Get("Authorization")
	if basic {
		if err := s.checkPassword(r.Context(), auth, name, password); err != nil {
			return err
		}
		return auth.MayAdminister(kv.Caller{Name: name, Revision: auth.Revision()})
	}
	ctx := r.Context()
	if r.TLS != nil {
		ctx = peer.NewContext(ctx, &peer.Peer{AuthInfo: credentials.TLSInfo{State: *r.TLS}})
	}
	md := metadata.MD{}
	if token != "" {
		md.Set(rpctypes.TokenFieldNameSwagger, token)
	}
	c, err := s.caller(metadata.NewIncomingContext(ctx, md))
	if err != nil {
		return s.toGRPC(err)
	}
	return auth.MayAdminister(c)
}
