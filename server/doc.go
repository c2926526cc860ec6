// Package server is the product behind the door: a member of a muster cluster
// whose state machine is package kv, served on one client port.
//
// The port speaks gRPC (the etcd v3 API, see internal/etcdapi) and plain HTTP/1:
//
//	GET  /health /livez /readyz /version    as etcd has them
//	GET  /metrics                           Prometheus
//	POST /v3/...                            the etcd v3 API as JSON, also over WebSockets
//	GET  /v1/status                         this member's view; ?cluster=1 asks the others too
//	GET  /v1/why                            what this node waits for; ?cluster=1 asks the others too
//	GET  /v1/events                         the latest events, oldest first
//	GET  /v1/plan                           what the leader would change next; ?if= if something were so
//	GET  /v1/policy                         what the cluster aims at
//	POST /v1/policy                         change that
//	POST /v1/members/{id}/remove            remove a member, for good
//	POST /v1/members/{id}/promote           let a learner vote that was announced as one
//	POST /v1/leave                          give up this node's membership
//	POST /v1/transfer?to={id}               hand leadership over
//	POST /v1/abandon-genesis?gone={addr}    give up a founding whose other founders are gone
//
// While authentication is enabled, POST under /v1/ is root's, and it is nobody's
// who is a page of another web site. Config.ListenMetrics serves the probes and
// /metrics on addresses of their own.
//
// It is served from the moment that the node runs, also while the node is in
// no cluster yet: that is how such a node explains itself. With Config.TLS all
// of it is TLS.
//
// The package owns the listener and what is served on it, and does what a member
// does beside requests: it keeps quota and leases, compacts, and compares what the
// members hold. It holds no protocol of the cluster (package muster) and keeps no
// state but the latest events and what is counted for /metrics. cmd/muster starts it; programs that want an etcd-speaking member
// inside their own process may too.
package server
