// Package discovery finds addresses that may be peers.
//
// It decides nothing: who founds, who joins and who is refused is the business
// of those that answer at the addresses, by their identities. An answer may be
// partial, stale, or name the very node that asks; resolved doesn't mean alive.
// A node goes on greeting an address that it was told of once, so a shorter
// answer takes nothing back.
//
// The providers are packages of their own below this one, and anybody may write
// another; package discoverytest holds it to this contract. Package spec makes one
// from a word on a command line.
package discovery

import "context"

// Provider is one source of addresses. A provider is used by one node.
type Provider interface {
	// Find looks for peers until ctx ends, and returns then, with no goroutine
	// left behind. Each time it has looked it calls report: with the peer
	// addresses (host:port, no duplicates, any order, maybe none), or with the
	// error that it met. What is good in part is reported in two calls, the
	// addresses first; what has not changed since it was last reported needn't
	// be reported again. After an error it looks again, for ever, with back-off
	// and jitter. self is the address at which others reach this node, for
	// those that also announce it. report must not be called after Find has
	// returned, nor by two goroutines at once; it returns soon.
	Find(ctx context.Context, self string, report func(addrs []string, err error))

	// String names the source for people, such as "dns muster.default.svc:2380".
	String() string
}
