package etcdapi

import (
	"net"
	"net/url"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// peerURLs checks the peer URLs of a request by etcd's rules: there is one, each
// is http or https, host:port and nothing else. They come back sorted, each
// once. Unix sockets, which etcd's tests use, are none that members here reach
// each other by.
func peerURLs(given []string) ([]string, error) {
	if len(given) == 0 {
		return nil, rpctypes.ErrGRPCMemberBadURLs
	}
	var out []string
	for _, g := range given {
		u, err := url.Parse(strings.TrimSpace(g))
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
			return nil, rpctypes.ErrGRPCMemberBadURLs
		}
		if host, port, err := net.SplitHostPort(u.Host); err != nil || host == "" || port == "" {
			return nil, rpctypes.ErrGRPCMemberBadURLs
		}
		out = append(out, u.Scheme+"://"+u.Host)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// urls are addresses as etcd shows them. Members here have one address for peers.
// One for clients that is served by TLS says so itself.
func urls(scheme string, addrs ...string) (out []string) {
	for _, a := range addrs {
		if !strings.Contains(a, "://") {
			a = scheme + "://" + a
		}
		out = append(out, a)
	}
	return out
}
