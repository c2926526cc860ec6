package main

import (
	"math"
	"time"

	"github.com/spf13/pflag"
)

// registerPort are the flags of serve for the client port and what is spoken there.
func (f *serveFlags) registerPort(set *pflag.FlagSet) {
	c, g, h := &f.cfg, &f.cfg.GRPC, &f.cfg.HTTP
	set.StringVar(&c.Listen, "listen", "127.0.0.1:2379", "address to listen on for clients; several are separated by commas, and one with http:// in front is plain text even with TLS; unix:// or unixs:// and a file is a socket")
	set.StringVar(&c.Advertise, "advertise", "", "--listen as clients reach it; several are separated by commas, and members use the first (default: what is listened on)")
	set.StringVar(&c.ListenMetrics, "listen-metrics", "", "addresses to serve /metrics, /health, /livez and /readyz on besides, as --listen (default: none)")
	set.StringVar(&c.Metrics, "metrics", "basic", "basic, or extensive: with histograms of how long gRPC's calls take")
	set.BoolVar(&f.gateway, "enable-grpc-gateway", true, "serve the etcd v3 API as JSON over HTTP, under /v3/")
	set.BoolVar(&h.Profiles, "enable-pprof", false, "serve Go's profiles of this process, under /debug/pprof/")
	set.StringSliceVar(&h.CORS, "cors", []string{"*"}, "web sites (origins) whose pages may read answers over HTTP and change keys, but nothing under /v1/; * is all")
	set.StringSliceVar(&h.HostWhitelist, "host-whitelist", []string{"*"}, "host names by which HTTP in plain text may call this server, against DNS rebinding; * is any")
	set.DurationVar(&g.KeepaliveMinTime, "grpc-keepalive-min-time", 5*time.Second, "how long clients wait between pings, or are cut off")
	set.DurationVar(&g.KeepaliveInterval, "grpc-keepalive-interval", 2*time.Hour, "how long a client may be silent before it is pinged")
	set.DurationVar(&g.KeepaliveTimeout, "grpc-keepalive-timeout", 20*time.Second, "how long it then has to answer before it is cut off")
	set.Uint32Var(&g.MaxConcurrentStreams, "max-concurrent-streams", math.MaxUint32, "how many requests and streams one client connection may have open")
	set.BoolVar(&g.Reflection, "grpc-reflection", false, "let clients ask for the gRPC services and their messages")
}
