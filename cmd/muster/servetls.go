package main

import (
	"math"
	"time"

	"github.com/spf13/pflag"

	"github.com/musterhq/muster/server"
)

// registerTLS are the flags of serve for the client port, named as those for
// the peers' where etcd has no word of its own that fits.
func registerTLS(set *pflag.FlagSet, f *server.TLS) {
	set.StringVar(&f.CertFile, "tls-cert", "", "certificate (PEM) that this member shows to clients; with it they speak TLS")
	set.StringVar(&f.KeyFile, "tls-key", "", "key (PEM) of --tls-cert")
	set.StringVar(&f.CAFile, "tls-ca", "", "certificate (PEM) of the authority that signs clients' certificates, and those of the members' client ports")
	set.BoolVar(&f.ClientAuth, "tls-client-auth", false, "refuse clients that show no certificate of --tls-ca")
	set.BoolVar(&f.Auto, "auto-tls", false, "speak TLS to clients by a certificate that this member makes itself and keeps in --data-dir: it encrypts, and proves nothing")
	set.StringVar(&f.CRLFile, "client-crl-file", "", "list (PEM or DER) of clients' certificates that were revoked")
	set.StringSliceVar(&f.AllowedHostnames, "client-cert-allowed-hostname", nil, "clients' certificates must be for one of these names")
	set.StringVar(&f.MinVersion, "tls-min-version", "TLS1.2", "oldest version of TLS for clients: TLS1.2 or TLS1.3")
	set.StringVar(&f.MaxVersion, "tls-max-version", "", "newest version of TLS for clients (default: the newest there is)")
	set.StringSliceVar(&f.CipherSuites, "cipher-suites", nil, "cipher suites of TLS 1.2 for clients, such as TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 (default: chosen by Go)")
}

// registerPort are the flags of serve for what is spoken on the client port.
func registerPort(set *pflag.FlagSet, f *server.Config) {
	set.DurationVar(&f.GRPC.KeepaliveMinTime, "grpc-keepalive-min-time", 5*time.Second, "how long clients wait between pings, or are cut off")
	set.DurationVar(&f.GRPC.KeepaliveInterval, "grpc-keepalive-interval", 2*time.Hour, "how long a client may be silent before it is pinged")
	set.DurationVar(&f.GRPC.KeepaliveTimeout, "grpc-keepalive-timeout", 20*time.Second, "how long it then has to answer before it is cut off")
	set.Uint32Var(&f.GRPC.MaxConcurrentStreams, "max-concurrent-streams", math.MaxUint32, "how many requests and streams one client connection may have open")
	set.BoolVar(&f.GRPC.Reflection, "grpc-reflection", false, "let clients ask for the gRPC services and their messages")
	set.StringVar(&f.Metrics, "metrics", "basic", "basic, or extensive: with histograms of how long gRPC's calls take")
	set.StringSliceVar(&f.CORS, "cors", []string{"*"}, "web sites (origins) whose pages may read answers over HTTP and change keys, but nothing under /v1/; * is all")
	set.StringSliceVar(&f.HostWhitelist, "host-whitelist", []string{"*"}, "host names by which HTTP in plain text may call this server, against DNS rebinding; * is any")
	set.StringVar(&f.ListenMetrics, "listen-metrics", "", "addresses to serve /metrics, /health, /livez and /readyz on besides, as --listen (default: none)")
}
