package main

// etcdFlag is one flag of etcd 3.7, and what serve makes of it.
type etcdFlag struct {
	name string
	to   string // flag of serve that takes its place; "": none
	unit string // of a plain number, where that flag takes a duration
	bool bool   // needs no value
	kind etcdFlagKind
	note string // for the documentation, and for the error of a refused one
}

type etcdFlagKind int

const (
	copied    etcdFlagKind = iota // the value is that of the flag of serve
	made                          // etcdflags.go makes one of several of it
	pointless                     // accepted: there is no such thing here, or it is always so
	ignored                       // as pointless, but etcdflags.go looks at the value, and names it
	refused                       // what it asks for can't be had, and must not be passed over in silence
)

// etcdFlags are all flags of etcd 3.7.3, in the order of its help, and those of
// former ones that are still met. docs/etcd-compatibility.md shows them.
var etcdFlags = []etcdFlag{
	{name: "name", to: "name", kind: made, note: "default: `default`"},
	{name: "data-dir", to: "data-dir", kind: made, note: "default: `NAME.etcd`; a directory of etcd's is refused"},
	{name: "wal-dir", kind: pointless, note: "the log is in the data directory"},
	{name: "snapshot-count", kind: pointless, note: "see `--snapshot-log-bytes`"},
	{name: "heartbeat-interval", to: "heartbeat-interval", unit: "ms", note: "milliseconds"},
	{name: "election-timeout", to: "election-timeout", unit: "ms", note: "milliseconds"},
	{name: "initial-election-tick-advance", kind: pointless, bool: true},
	{name: "listen-peer-urls", to: "peer-listen", kind: made},
	{name: "listen-client-urls", to: "listen", kind: made},
	{name: "listen-client-http-urls", to: "listen", kind: made, note: "listened on as well; all addresses speak gRPC and HTTP"},
	{name: "max-snapshots", kind: pointless},
	{name: "max-wals", kind: pointless},
	{name: "memory-mlock", kind: pointless, bool: true},
	{name: "quota-backend-bytes", to: "quota-backend-bytes"},
	{name: "backend-bbolt-freelist-type", kind: pointless},
	{name: "backend-batch-interval", kind: pointless},
	{name: "backend-batch-limit", kind: pointless},
	{name: "max-txn-ops", to: "max-txn-ops"},
	{name: "max-request-bytes", to: "max-request-bytes"},
	{name: "max-concurrent-streams", to: "max-concurrent-streams"},
	{name: "grpc-keepalive-min-time", to: "grpc-keepalive-min-time", unit: "ns"},
	{name: "grpc-keepalive-interval", to: "grpc-keepalive-interval", unit: "ns"},
	{name: "grpc-keepalive-timeout", to: "grpc-keepalive-timeout", unit: "ns"},
	{name: "socket-reuse-port", kind: pointless, bool: true},
	{name: "socket-reuse-address", kind: pointless, bool: true},
	{name: "enable-grpc-gateway", to: "enable-grpc-gateway", bool: true},
	{name: "raft-read-timeout", kind: pointless},
	{name: "raft-write-timeout", kind: pointless},
	{name: "feature-gates", to: "initial-corrupt-check", kind: made, note: "of the gate `InitialCorruptCheck`; the others mean nothing here"},

	{name: "initial-advertise-peer-urls", to: "peer-advertise", kind: made, note: "one of them, the first in `--initial-cluster`"},
	{name: "initial-cluster", to: "seeds", kind: made, note: "the seeds; with this member alone in it, `--single`"},
	{name: "initial-cluster-state", kind: ignored, note: "a node finds out"},
	{name: "initial-cluster-token", to: "cluster", note: "the cluster's name; default: `etcd-cluster`", kind: made},
	{name: "advertise-client-urls", to: "advertise", kind: made},
	{name: "discovery", kind: refused, note: "name the founders in `--initial-cluster`; without `--etcd-flags` there is `--discover`"},
	{name: "discovery-token", kind: refused, note: "as `--discovery`"},
	{name: "discovery-endpoints", kind: refused, note: "as `--discovery`"},
	{name: "discovery-dial-timeout", kind: pointless},
	{name: "discovery-request-timeout", kind: pointless},
	{name: "discovery-keepalive-time", kind: pointless},
	{name: "discovery-keepalive-timeout", kind: pointless},
	{name: "discovery-insecure-transport", kind: pointless, bool: true},
	{name: "discovery-insecure-skip-tls-verify", kind: pointless, bool: true},
	{name: "discovery-cert", kind: pointless},
	{name: "discovery-key", kind: pointless},
	{name: "discovery-cacert", kind: pointless},
	{name: "discovery-user", kind: pointless},
	{name: "discovery-password", kind: pointless},
	{name: "discovery-fallback", kind: pointless},
	{name: "discovery-proxy", kind: pointless},
	{name: "discovery-srv", kind: refused, note: "without `--etcd-flags`: `--discover srv:…` with `--expect`"},
	{name: "discovery-srv-name", kind: refused, note: "as `--discovery-srv`"},
	{name: "strict-reconfig-check", kind: pointless, bool: true, note: "always"},
	{name: "pre-vote", kind: pointless, bool: true, note: "always"},
	{name: "auto-compaction-retention", to: "auto-compaction-retention"},
	{name: "auto-compaction-mode", to: "auto-compaction-mode"},
	{name: "v2-deprecation", kind: pointless},

	{name: "cert-file", to: "tls-cert"},
	{name: "key-file", to: "tls-key"},
	{name: "client-cert-auth", to: "tls-client-auth", bool: true, kind: made},
	{name: "client-cert-file", to: "tls-client-cert", kind: made, note: "for the client ports of other members"},
	{name: "client-key-file", to: "tls-client-key", kind: made},
	{name: "client-crl-file", to: "client-crl-file"},
	{name: "client-cert-allowed-hostname", to: "client-cert-allowed-hostname"},
	{name: "trusted-ca-file", to: "tls-ca", kind: made, note: "implies `--tls-client-auth`, as in etcd"},
	{name: "auto-tls", to: "auto-tls", bool: true, kind: made, note: "not where there is a `--cert-file`, as in etcd"},
	{name: "peer-cert-file", to: "peer-tls-cert", kind: made, note: "where `--listen-peer-urls` says https"},
	{name: "peer-key-file", to: "peer-tls-key", kind: made},
	{name: "peer-client-cert-auth", kind: pointless, bool: true, note: "always, where peers speak TLS"},
	{name: "peer-client-cert-file", to: "peer-tls-client-cert", kind: made, note: "for members that this one dials"},
	{name: "peer-client-key-file", to: "peer-tls-client-key", kind: made},
	{name: "peer-trusted-ca-file", to: "peer-tls-ca", kind: made, note: "the authority has to be the cluster's own; without it, `--peer-tls-system-roots`"},
	{name: "peer-cert-allowed-cn", to: "peer-cert-allowed-cn", kind: made},
	{name: "peer-cert-allowed-hostname", to: "peer-cert-allowed-hostname", kind: made},
	{name: "peer-auto-tls", to: "peer-auto-tls", kind: made, bool: true, note: "where `--listen-peer-urls` says https, and there is no `--peer-cert-file`, as in etcd"},
	{name: "self-signed-cert-validity", kind: pointless, note: "a year; renewed at a start"},
	{name: "peer-crl-file", to: "peer-crl-file", kind: made},
	{name: "cipher-suites", to: "cipher-suites"},
	{name: "cors", to: "cors"},
	{name: "host-whitelist", to: "host-whitelist"},
	{name: "tls-min-version", to: "tls-min-version"},
	{name: "tls-max-version", to: "tls-max-version"},

	{name: "auth-token", to: "auth-token"},
	{name: "bcrypt-cost", to: "bcrypt-cost"},
	{name: "auth-token-ttl", to: "auth-token-ttl", unit: "s"},

	{name: "enable-pprof", to: "enable-pprof", bool: true},
	{name: "metrics", to: "metrics"},
	{name: "listen-metrics-urls", to: "listen-metrics"},

	{name: "logger", kind: pointless},
	{name: "log-outputs", to: "log-outputs", kind: made, note: "`default` and `systemd/journal` are `stderr`"},
	{name: "log-level", to: "log-level", kind: made, note: "`panic` and `fatal` are `error`"},
	{name: "log-format", to: "log-format", kind: made, note: "`console` is `text`, the default"},
	{name: "enable-log-rotation", kind: pointless, bool: true, note: "logrotate's, with `copytruncate`"},
	{name: "log-rotation-config-json", kind: pointless},
	{name: "warning-unary-request-duration", to: "warning-unary-request-duration", unit: "ns", note: "one line a second at most"},

	{name: "enable-distributed-tracing", kind: pointless, bool: true},
	{name: "distributed-tracing-address", kind: pointless},
	{name: "distributed-tracing-service-name", kind: pointless},
	{name: "distributed-tracing-instance-id", kind: pointless},
	{name: "distributed-tracing-sampling-rate", kind: pointless},

	{name: "corrupt-check-time", to: "corrupt-check-time", unit: "ns"},
	{name: "initial-corrupt-check", to: "initial-corrupt-check", bool: true, note: "of etcd before 3.7"},
	{name: "compact-hash-check-time", kind: pointless},
	{name: "compact-hash-check-enabled", kind: pointless, bool: true, note: "of etcd before 3.7"},
	{name: "compaction-batch-limit", kind: pointless},
	{name: "peer-skip-client-san-verification", kind: pointless, bool: true, note: "always"},
	{name: "watch-progress-notify-interval", to: "watch-progress-notify-interval", unit: "ns"},
	{name: "warning-apply-duration", kind: pointless},
	{name: "bootstrap-defrag-threshold-megabytes", kind: pointless},
	{name: "max-learners", kind: pointless, note: "eight catch up at a time"},
	{name: "compaction-sleep-interval", kind: pointless},
	{name: "downgrade-check-time", kind: pointless},
	{name: "snapshot-catchup-entries", kind: pointless},
	{name: "force-new-cluster", kind: refused, bool: true, note: "`muster recover force-new`, while the member is stopped"},
	{name: "unsafe-no-fsync", kind: pointless, bool: true, note: "what is acknowledged is synced"},
	{name: "enable-v2", kind: pointless, bool: true, note: "of etcd before 3.6"},
	{name: "enable-v2v3", kind: pointless, note: "of etcd before 3.6"},
	{name: "proxy", kind: pointless, note: "of etcd before 3.6, as what begins with `--proxy-`"},
	{name: "proxy-failure-wait", kind: pointless},
	{name: "proxy-refresh-interval", kind: pointless},
	{name: "proxy-dial-timeout", kind: pointless},
	{name: "proxy-write-timeout", kind: pointless},
	{name: "proxy-read-timeout", kind: pointless},
	{name: "debug", kind: pointless, bool: true, note: "of etcd before 3.5; `--log-level debug`"},
	{name: "log-package-levels", kind: pointless, note: "of etcd before 3.5"},
	{name: "stop-grpc-service-on-defrag", kind: pointless, bool: true, note: "of etcd before 3.7, as those that follow"},
	{name: "txn-mode-write-with-shared-buffer", kind: pointless, bool: true},
	{name: "enable-lease-checkpoint", kind: pointless, bool: true, note: "always"},
	{name: "enable-lease-checkpoint-persist", kind: pointless, bool: true, note: "always"},
	{name: "set-member-localaddr", kind: pointless, bool: true},
	{name: "wait-cluster-ready-timeout", kind: pointless},
}
