package server

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"

	"golang.org/x/crypto/bcrypt"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/internal/etcdapi"
)

// authentication is how clients are told apart; byCert: by certificates, too.
func (a Auth) authentication(byCert bool) (etcdapi.Authentication, error) {
	spec := a.Token
	if spec == "" {
		spec = "simple"
	}
	jwt, err := etcdapi.ParseTokenSpec(spec)
	if err != nil {
		return etcdapi.Authentication{}, fmt.Errorf("%w: --auth-token: %w", muster.ErrConfig, err)
	}
	if a.BcryptCost != 0 && (a.BcryptCost < bcrypt.MinCost || a.BcryptCost > bcrypt.MaxCost) {
		return etcdapi.Authentication{}, fmt.Errorf("%w: --bcrypt-cost %d: want %d to %d", muster.ErrConfig, a.BcryptCost, bcrypt.MinCost, bcrypt.MaxCost)
	}
	if a.TokenTTL < 0 {
		return etcdapi.Authentication{}, fmt.Errorf("%w: --auth-token-ttl %v: want a positive time", muster.ErrConfig, a.TokenTTL)
	}
	return etcdapi.Authentication{
		Tokens: etcdapi.NewTokens(a.TokenTTL), JWT: jwt,
		BcryptCost: a.BcryptCost, ClientCertAuth: byCert,
	}, nil
}

// forRoot keeps what changes the cluster, which is all of /v1 that isn't asked
// with GET, for root while authentication is enabled. What only tells stays open
// to all, as etcd's /health is: it shows no keys, and who looks for the cause of
// a fault has it at hand.
func (s *Server) forRoot(serve http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/") && r.Method != http.MethodGet && r.Method != http.MethodHead {
			defer counting(&s.changes)()
			if state, ok := r.Context().Value(connKey{}).(*tls.ConnectionState); ok && r.TLS == nil {
				r.TLS = state // the handshake was over before package http got the connection
			}
			if err := s.api.AdmitHTTP(r); err != nil {
				refuse(w, r, err)
				return
			}
		}
		serve.ServeHTTP(w, r)
	})
}

// refuse answers who may not change the cluster.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	st := status.Convert(err)
	e := Error{Code: "permission_denied", Outcome: DidNotHappen, Message: st.Message() + ": only root may change the cluster while authentication is enabled"}
	code := http.StatusForbidden
	switch st.Code() {
	case codes.Unauthenticated, codes.InvalidArgument:
		e.Code, code = "unauthenticated", http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", `Basic realm="muster"`)
		if e.Message = st.Message(); r.Header.Get("Authorization") == "" {
			e.Message = "authentication is enabled, and nobody said who asks: give --user root"
		}
	case codes.Unavailable:
		e.Code, e.Message, code = "no_leader", "it is not known now who may change the cluster: "+st.Message(), http.StatusServiceUnavailable
	case codes.ResourceExhausted:
		e.Code, e.Message, code = "overloaded", st.Message()+": too many passwords wait to be checked", http.StatusTooManyRequests
	}
	writeJSON(w, code, e)
}
