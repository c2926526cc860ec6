package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/musterhq/muster"
)

// access is what every HTTP request passes first: which hosts and which web
// sites it may come from. It looks at nothing else; that is TLS's and auth's.
type access struct {
	cors  []string                    // origins; "*": all
	hosts []string                    // as named by requests in plain text; "*": all
	sites *http.CrossOriginProtection // those of cors may change things; nil: all
	next  http.Handler
}

// changers are the web sites whose pages may change things outside of /v1/: those
// that may read there, and no others. A browser sends a POST of plain text without
// asking first, whether or not the page may read the answer, and from inside of a
// network that nobody else can reach. nil: all.
func changers(cors []string) (*http.CrossOriginProtection, error) {
	if slices.Contains(cors, "*") {
		return nil, nil
	}
	p := http.NewCrossOriginProtection()
	for _, origin := range cors {
		if err := p.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("%w: --cors %q: want the origin of a web site, such as https://example.org, or *", muster.ErrConfig, origin)
		}
	}
	return p, nil
}

type connKey struct{}

// withConn keeps the connection in its requests' contexts.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, tlsState(c))
}

// overTLS says whether a request came by TLS.
func overTLS(r *http.Request) bool {
	s, _ := r.Context().Value(connKey{}).(*tls.ConnectionState)
	return r.TLS != nil || s != nil
}

// ServeHTTP implements http.Handler.
func (a *access) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if rest, ok := strings.CutPrefix(r.URL.Path, "/v3beta/"); ok { // as etcd 3.3 had it
		r.URL.Path = "/v3/" + rest
	}
	if host := hostOf(r); !overTLS(r) && !anyOr(a.hosts, host) {
		http.Error(w, fmt.Sprintf("The Host header names %q, which is not in --host-whitelist. A web site that has its own name\npoint here is kept out by that (DNS rebinding). Add the name to the list, or use TLS.", host), http.StatusMisdirectedRequest)
		return
	}
	sites := a.sites
	if ours(r.URL.Path) {
		sites = http.NewCrossOriginProtection() // what changes the cluster is not for web sites
	}
	if sites != nil && sites.Check(asChange(r)) != nil {
		http.Error(w, fmt.Sprintf("This request comes from a page of another web site (%s), which may change nothing here; see --cors.", r.Header.Get("Origin")), http.StatusForbidden)
		return
	}
	if sites == nil && opensSocket(r) && !a.socketOfAll(w, r) {
		return
	}
	if !ours(r.URL.Path) {
		if slices.Contains(a.cors, "*") {
			allowOrigin(w, "*")
		} else if origin := r.Header.Get("Origin"); slices.Contains(a.cors, origin) {
			allowOrigin(w, origin)
		}
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusOK)
			return
		}
	}
	a.next.ServeHTTP(w, r)
}

// asChange is how the origin of a request is looked at: what is said over a
// WebSocket may change things, though it begins with a GET.
func asChange(r *http.Request) *http.Request {
	if opensSocket(r) {
		post := *r
		post.Method = http.MethodPost
		return &post
	}
	return r
}

// socketOfAll sees to a WebSocket where pages of all sites may open one. As for their
// other requests, "all" doesn't go with what a browser shows by itself and no page
// can know: a page reads over a WebSocket what it may not read otherwise. So a
// cookie of theirs doesn't count, and a certificate has them turned away.
func (a *access) socketOfAll(w http.ResponseWriter, r *http.Request) bool {
	if http.NewCrossOriginProtection().Check(asChange(r)) == nil {
		return true
	}
	r.Header.Del("Cookie")
	state, _ := r.Context().Value(connKey{}).(*tls.ConnectionState)
	if state != nil && len(state.PeerCertificates) > 0 {
		http.Error(w, fmt.Sprintf("This WebSocket is opened by a page of another web site (%s), with a certificate of the browser's. Name the site in --cors if it is to.", r.Header.Get("Origin")), http.StatusForbidden)
		return false
	}
	return true
}

func allowOrigin(w http.ResponseWriter, origin string) {
	h := w.Header()
	h.Add("Access-Control-Allow-Methods", "POST, GET, OPTIONS, PUT, DELETE")
	h.Add("Access-Control-Allow-Origin", origin)
	h.Add("Access-Control-Allow-Headers", "accept, content-type, authorization")
}

func anyOr(list []string, s string) bool {
	return len(list) == 0 || slices.Contains(list, "*") || slices.Contains(list, s)
}

// hostOf is the host that a request names, without a port.
func hostOf(r *http.Request) string {
	if h, _, err := net.SplitHostPort(r.Host); err == nil {
		return h
	}
	return r.Host
}
