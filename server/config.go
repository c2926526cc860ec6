package server

import (
	"fmt"
	"net"
	"time"

	"github.com/musterhq/muster"
)

// Config is what a server is told. The zero value of a field means the stated
// default.
type Config struct {
	// Node is the member. Its ClientAdvertise is filled in from Advertise, and
	// its OnEvent is called as well as the server's own. Its Answer is the
	// server's.
	Node muster.Config

	// Listen is where clients connect, host:port; several are separated by
	// commas. http:// before one has it speak plain text even with TLS; unix:// or
	// unixs:// before the name of a file has it listen on a socket there.
	// Default 127.0.0.1:2379.
	Listen string
	// Advertise is Listen as clients reach it. Default: what is listened on,
	// the first of several, with the port that was chosen when Listen has port 0.
	// With TLS it is told to others with https:// before it. Several are separated by
	// commas; members use the first.
	Advertise string
	// TLS is what the client port speaks. Default: plain text.
	TLS TLS
	// GRPC are the settings of gRPC on the client port.
	GRPC GRPC
	// HTTP is what is served over HTTP, and to whom.
	HTTP HTTP
	// ListenMetrics, as Listen, is where /metrics, /health, /livez and /readyz are
	// served besides, and nothing else. Default: nowhere.
	ListenMetrics string

	// Metrics is basic, the default, or extensive: with histograms of how long
	// gRPC's calls take.
	Metrics string

	// RequestTimeout bounds how long a client request waits for a leader and a quorum.
	// Default: 5 s and two election timeouts, as in etcd.
	RequestTimeout time.Duration

	// SlowRequest is from where on a call that is no stream is told of in the log.
	// Default: 300 ms, as in etcd; negative: never.
	SlowRequest time.Duration

	// WatchProgressInterval is how often watches that want it and have nothing
	// to tell are told that nothing happened. Default: 10 min; at least 100 ms.
	WatchProgressInterval time.Duration

	// Auth is how clients are told apart.
	Auth Auth
	// Limits bounds what clients may ask for, and store.
	Limits Limits
	// AutoCompaction says how much history is kept. Default: all.
	AutoCompaction AutoCompaction

	// CacheBytes is how much of the store is kept in memory. Default: package kv's.
	CacheBytes int64
	// CorruptCheck compares what the members hold.
	CorruptCheck CorruptCheck
	// Fatal is called when the store can't go on and must not return to it: it
	// is to report and to end the process. Default: panic.
	Fatal func(error)
}

// HTTP is what the client port serves over HTTP besides gRPC, and to whom.
type HTTP struct {
	// NoGateway serves no JSON under /v3/.
	NoGateway bool
	// Profiles serves Go's profiles of this process under /debug/pprof/.
	Profiles bool
	// CORS are the web sites (origins) whose pages may read answers and change keys,
	// but nothing under /v1/ and /debug/; "*": all. Default: none.
	CORS []string
	// HostWhitelist are the host names by which requests over HTTP in plain text
	// may call this server. Default: any.
	HostWhitelist []string
}

// Auth is how clients are told apart.
type Auth struct {
	// Token is what tokens look like, as in etcd: simple, or jwt with the options
	// sign-method, pub-key, priv-key and ttl. Default: simple.
	Token string
	// TokenTTL is how long a simple token holds that nobody uses. Default 5 minutes.
	TokenTTL time.Duration
	// BcryptCost is how hard passwords are to guess, from 4 to 31. Default 10.
	BcryptCost int
}

// Limits bounds what clients may ask for, and store.
type Limits struct {
	// TxnOps bounds the operations of a transaction. Default 128, as in etcd.
	TxnOps int
	// RequestBytes bounds a write. Default 1.5 MiB, as in etcd; at most 30 MiB.
	RequestBytes int
	// QuotaBytes bounds the store of this member: when it holds that much, the
	// alarm NOSPACE is raised, and no member takes puts until it is cleared.
	// 0 or less: none, and a disk that is full ends the member.
	QuotaBytes int64
}

// CorruptCheck compares what the members hold, by hashes; each reads all of its
// store for it. The alarm CORRUPT is raised for one that differs.
type CorruptCheck struct {
	Every   time.Duration // has the leader do so that often; default: never
	AtStart bool          // has this member do so once when it is ready
}

func (c CorruptCheck) on() bool { return c.Every > 0 || c.AtStart }

const (
	defaultListen   = "127.0.0.1:2379"
	defaultElection = time.Second
)

// withDefaults is a copy of c with the defaults of this package filled in.
func (c Config) withDefaults() Config {
	if c.SlowRequest == 0 {
		c.SlowRequest = slowRequest
	}
	if c.Listen == "" {
		c.Listen = defaultListen
	}
	if c.RequestTimeout == 0 {
		c.RequestTimeout = 5*time.Second + 2*c.election()
	}
	return c
}

// election is the time without a leader before an election.
func (c Config) election() time.Duration {
	switch hb := c.Node.HeartbeatInterval; {
	case c.Node.ElectionTimeout != 0:
		return c.Node.ElectionTimeout
	case hb > 0:
		return 10 * hb
	}
	return defaultElection
}

// validate reports the faults that package muster doesn't look for.
func (c Config) validate() error {
	if err := c.TLS.validate(); err != nil {
		return err
	}
	es, err := c.entrances()
	if err != nil {
		return err
	}
	if _, err := c.metricsEntrances(); err != nil {
		return err
	}
	host, _, _ := net.SplitHostPort(es[0].addr)
	if ip := net.ParseIP(host); c.Advertise == "" && !es[0].socket && (host == "" || (ip != nil && ip.IsUnspecified())) {
		return fmt.Errorf("%w: --listen %q is every address of this machine, and none that could be told to others: say with --advertise where clients reach it", muster.ErrConfig, c.Listen)
	}
	if _, err := changers(c.HTTP.CORS); err != nil {
		return err
	}
	if c.Metrics != "" && c.Metrics != "basic" && c.Metrics != "extensive" {
		return fmt.Errorf("%w: metrics %q (--metrics): want basic or extensive", muster.ErrConfig, c.Metrics)
	}
	if c.RequestTimeout < 0 {
		return fmt.Errorf("%w: request timeout %v: want a positive time", muster.ErrConfig, c.RequestTimeout)
	}
	if c.WatchProgressInterval < 0 {
		return fmt.Errorf("%w: interval of watch progress (--watch-progress-notify-interval) %v: want a positive time", muster.ErrConfig, c.WatchProgressInterval)
	}
	if err := c.Limits.validate(); err != nil {
		return err
	}
	return c.AutoCompaction.validate()
}
