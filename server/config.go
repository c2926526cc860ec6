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
	// its OnEvent is called as well as the server's own.
	Node muster.Config

	// Listen is where clients connect, host:port. Default 127.0.0.1:2379.
	Listen string
	// Advertise is Listen as clients reach it. Default: what is listened on,
	// with the port that was chosen when Listen has port 0.
	Advertise string

	// RequestTimeout bounds client requests that come without a deadline.
	// Default: 5 s and two election timeouts, as in etcd.
	RequestTimeout time.Duration

	// CacheBytes is how much of the store is kept in memory. Default: package kv's.
	CacheBytes int64
	// Fatal is called when the store can't go on and must not return to it: it
	// is to report and to end the process. Default: panic.
	Fatal func(error)
}

const (
	defaultListen   = "127.0.0.1:2379"
	defaultElection = time.Second
)

// withDefaults is a copy of c with the defaults of this package filled in.
func (c Config) withDefaults() Config {
	if c.Listen == "" {
		c.Listen = defaultListen
	}
	if c.RequestTimeout == 0 {
		election := c.Node.ElectionTimeout
		if election == 0 {
			election = defaultElection
			if hb := c.Node.HeartbeatInterval; hb > 0 {
				election = 10 * hb
			}
		}
		c.RequestTimeout = 5*time.Second + 2*election
	}
	return c
}

// validate reports the faults that package muster doesn't look for.
func (c Config) validate() error {
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil || port == "" {
		return fmt.Errorf("%w: address to listen on for clients (--listen) %q is not host:port", muster.ErrConfig, c.Listen)
	}
	if ip := net.ParseIP(host); c.Advertise == "" && (host == "" || (ip != nil && ip.IsUnspecified())) {
		return fmt.Errorf("%w: --listen %q is every address of this machine, and none that could be told to others: say with --advertise where clients reach it", muster.ErrConfig, c.Listen)
	}
	if c.RequestTimeout < 0 {
		return fmt.Errorf("%w: request timeout %v: want a positive time", muster.ErrConfig, c.RequestTimeout)
	}
	return nil
}
