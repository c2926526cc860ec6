package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// manifest is how somebody starts etcd.
type manifest struct {
	name, env, line, file string // variables and words are separated by blanks
	idle                  string // what is said to mean nothing here
}

// Command lines, environments and files as they are met, with what they come from.
// Addresses of documentation (RFC 5737) stand for those of machines.
var manifests = []manifest{
	{name: "kubeadm 1.33, init", idle: "--snapshot-count --peer-client-cert-auth", line: `--advertise-client-urls=https://192.0.2.1:2379 --cert-file=/etc/kubernetes/pki/etcd/server.crt --client-cert-auth=true --data-dir=/var/lib/etcd
		--experimental-initial-corrupt-check=true --experimental-watch-progress-notify-interval=5s --initial-advertise-peer-urls=https://192.0.2.1:2380 --initial-cluster=cp1=https://192.0.2.1:2380
		--key-file=/etc/kubernetes/pki/etcd/server.key --listen-client-urls=https://127.0.0.1:2379,https://192.0.2.1:2379 --listen-metrics-urls=http://127.0.0.1:2381 --listen-peer-urls=https://192.0.2.1:2380
		--name=cp1 --peer-cert-file=/etc/kubernetes/pki/etcd/peer.crt --peer-client-cert-auth=true --peer-key-file=/etc/kubernetes/pki/etcd/peer.key --peer-trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt
		--snapshot-count=10000 --trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt`},
	{name: "kubeadm 1.34, join, IPv6", idle: "--snapshot-count --peer-client-cert-auth --initial-cluster-state (MUSTER_JOIN_ONLY=true has a node never found a cluster)", line: `--advertise-client-urls=https://[2001:db8::2]:2379 --cert-file=/etc/kubernetes/pki/etcd/server.crt --client-cert-auth=true --data-dir=/var/lib/etcd
		--feature-gates=InitialCorruptCheck=true --watch-progress-notify-interval=5s --initial-advertise-peer-urls=https://[2001:db8::2]:2380 --initial-cluster=cp1=https://[2001:db8::1]:2380,cp2=https://[2001:db8::2]:2380 --initial-cluster-state=existing
		--key-file=/etc/kubernetes/pki/etcd/server.key --listen-client-urls=https://[::1]:2379,https://[2001:db8::2]:2379 --listen-metrics-urls=http://[::1]:2381 --listen-peer-urls=https://[2001:db8::2]:2380
		--name=cp2 --peer-cert-file=/etc/kubernetes/pki/etcd/peer.crt --peer-client-cert-auth=true --peer-key-file=/etc/kubernetes/pki/etcd/peer.key --peer-trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt
		--snapshot-count=10000 --trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt`},
	{name: "Kubernetes, hack/lib/etcd.sh", line: "--advertise-client-urls http://127.0.0.1:2379 --data-dir /tmp/test-etcd.XXXXXX --listen-client-urls http://127.0.0.1:2379 --listen-peer-urls http://localhost:0 --log-level=warn"},
	{name: "Kubernetes, GCE manifest", idle: "--peer-client-cert-auth --initial-cluster-state", env: "TARGET_STORAGE=etcd3 ETCD_PORT=tcp://10.0.0.1:2379", line: `--name=etcd-m --listen-peer-urls=https://192.0.2.1:2380 --initial-advertise-peer-urls=https://192.0.2.1:2380
		--advertise-client-urls=http://127.0.0.1:2379 --listen-client-urls=http://127.0.0.1:2379 --data-dir=/var/etcd/data --initial-cluster-state=new --initial-cluster=etcd-m=https://192.0.2.1:2380
		--peer-trusted-ca-file=/etc/srv/kubernetes/etcd-ca.crt --peer-cert-file=/etc/srv/kubernetes/etcd-peer.crt --peer-key-file=/etc/srv/kubernetes/etcd-peer.key -peer-client-cert-auth --experimental-initial-corrupt-check=true`},
	{name: "k3s, embedded", idle: "--initial-cluster-state --peer-client-cert-auth --snapshot-count --logger", file: `
advertise-client-urls: https://192.0.2.1:2379
client-transport-security:
  cert-file: /var/lib/rancher/k3s/server/tls/etcd/server-client.crt
  client-cert-auth: true
  key-file: /var/lib/rancher/k3s/server/tls/etcd/server-client.key
  trusted-ca-file: /var/lib/rancher/k3s/server/tls/etcd/server-ca.crt
data-dir: /var/lib/rancher/k3s/server/db/etcd
election-timeout: 5000
experimental-initial-corrupt-check: true
experimental-watch-progress-notify-interval: 5000000000
heartbeat-interval: 500
initial-advertise-peer-urls: https://192.0.2.1:2380
initial-cluster: k3s-1a2b3c4d=https://192.0.2.1:2380
initial-cluster-state: new
listen-client-http-urls: https://127.0.0.1:2382
listen-client-urls: https://127.0.0.1:2379,https://192.0.2.1:2379
listen-metrics-urls: http://127.0.0.1:2381
listen-peer-urls: https://127.0.0.1:2380,https://192.0.2.1:2380
log-outputs:
- stderr
logger: zap
name: k3s-1a2b3c4d
peer-transport-security:
  cert-file: /var/lib/rancher/k3s/server/tls/etcd/peer-server-client.crt
  client-cert-auth: true
  key-file: /var/lib/rancher/k3s/server/tls/etcd/peer-server-client.key
  trusted-ca-file: /var/lib/rancher/k3s/server/tls/etcd/peer-ca.crt
snapshot-count: 10000
`},
	{name: "bitnami, one", env: "ALLOW_NONE_AUTHENTICATION=yes ETCD_ADVERTISE_CLIENT_URLS=http://etcd-server:2379 ETCD_LISTEN_CLIENT_URLS=http://0.0.0.0:2379 ETCD_DATA_DIR=/bitnami/etcd/data ETCD_LOG_LEVEL=info ETCD_AUTO_TLS=false"},
	{name: "bitnami, Helm chart", idle: "--initial-cluster-state (MUSTER_JOIN_ONLY=true has a node never found a cluster)", env: `BITNAMI_DEBUG=false MY_STS_NAME=etcd ETCDCTL_API=3 ETCD_ON_K8S=yes ETCD_START_FROM_SNAPSHOT=no ETCD_DISASTER_RECOVERY=no ETCD_NAME=etcd-0 ETCD_DATA_DIR=/bitnami/etcd/data ETCD_LOG_LEVEL=info
		ALLOW_NONE_AUTHENTICATION=yes ETCD_AUTH_TOKEN=jwt,priv-key=/opt/bitnami/etcd/certs/token/jwt-token.pem,sign-method=RS256,ttl=10m ETCD_ADVERTISE_CLIENT_URLS=http://etcd-0.etcd-headless.default.svc.cluster.local:2379,http://etcd.default.svc.cluster.local:2379
		ETCD_LISTEN_CLIENT_URLS=http://0.0.0.0:2379 ETCD_INITIAL_ADVERTISE_PEER_URLS=http://etcd-0.etcd-headless.default.svc.cluster.local:2380 ETCD_LISTEN_PEER_URLS=http://0.0.0.0:2380 ETCD_INITIAL_CLUSTER_TOKEN=etcd-cluster-k8s ETCD_INITIAL_CLUSTER_STATE=existing
		ETCD_INITIAL_CLUSTER=etcd-0=http://etcd-0.etcd-headless.default.svc.cluster.local:2380,etcd-1=http://etcd-1.etcd-headless.default.svc.cluster.local:2380,etcd-2=http://etcd-2.etcd-headless.default.svc.cluster.local:2380 ETCD_CLUSTER_DOMAIN=etcd-headless.default.svc.cluster.local`},
	{name: "etcd's operations guide, static", idle: "--initial-cluster-state", line: `--name infra0 --initial-advertise-peer-urls http://10.0.1.10:2380 --listen-peer-urls http://10.0.1.10:2380 --listen-client-urls http://10.0.1.10:2379,http://127.0.0.1:2379
		--advertise-client-urls http://10.0.1.10:2379 --initial-cluster-token etcd-cluster-1 --initial-cluster infra0=http://10.0.1.10:2380,infra1=http://10.0.1.11:2380,infra2=http://10.0.1.12:2380 --initial-cluster-state new`},
	{name: "etcd's operations guide, auto TLS", idle: "--initial-cluster-state", line: `--name infra0 --initial-advertise-peer-urls https://10.0.1.10:2380 --listen-peer-urls https://10.0.1.10:2380 --listen-client-urls https://10.0.1.10:2379,https://127.0.0.1:2379
		--advertise-client-urls https://10.0.1.10:2379 --initial-cluster-token etcd-cluster-1 --initial-cluster infra0=https://10.0.1.10:2380,infra1=https://10.0.1.11:2380,infra2=https://10.0.1.12:2380 --initial-cluster-state new --auto-tls --peer-auto-tls`},
	{name: "etcd's releases, in Docker", idle: "--initial-cluster-state --logger", line: `--name s1 --data-dir /etcd-data --listen-client-urls http://0.0.0.0:2379 --advertise-client-urls http://0.0.0.0:2379 --listen-peer-urls http://0.0.0.0:2380
		--initial-advertise-peer-urls http://0.0.0.0:2380 --initial-cluster s1=http://0.0.0.0:2380 --initial-cluster-token tkn --initial-cluster-state new --log-level info --logger zap --log-outputs stderr`},
	{name: "etcd's Procfile", idle: "--initial-cluster-state", line: `--name infra1 --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:12380 --initial-advertise-peer-urls http://127.0.0.1:12380
		--initial-cluster-token etcd-cluster-1 --initial-cluster infra1=http://127.0.0.1:12380,infra2=http://127.0.0.1:22380,infra3=http://127.0.0.1:32380 --initial-cluster-state new --enable-pprof`},
	{name: "etcd's end-to-end tests", idle: "--snapshot-count --initial-cluster-state --strict-reconfig-check --enable-distributed-tracing --distributed-tracing-address --distributed-tracing-service-name --distributed-tracing-sampling-rate --feature-gates CompactHashCheck --compact-hash-check-time --snapshot-catchup-entries", line: `--name=test-0 --listen-client-urls=https://localhost:20000 --advertise-client-urls=https://localhost:20000
		--listen-peer-urls=https://localhost:20001 --initial-advertise-peer-urls=https://localhost:20001 --initial-cluster-token=new --data-dir=/tmp/member-0 --snapshot-count=10000 --listen-client-http-urls=https://localhost:20003 --quota-backend-bytes=8388608
		--strict-reconfig-check=false --enable-distributed-tracing --distributed-tracing-address=localhost:4317 --distributed-tracing-service-name=etcd --distributed-tracing-sampling-rate=1000000 --listen-metrics-urls=http://localhost:20002
		--auto-tls --peer-auto-tls --cipher-suites TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 --feature-gates=CompactHashCheck=true,InitialCorruptCheck=true --compact-hash-check-time=1s --snapshot-catchup-entries=100
		--watch-progress-notify-interval=100ms --auth-token-ttl=1 --max-concurrent-streams=10 --initial-cluster=test-0=https://localhost:20001,test-1=https://localhost:20006,test-2=https://localhost:20011 --initial-cluster-state=new`},
	{name: "etcd's end-to-end tests, with files", idle: "--snapshot-count --initial-cluster-state", line: `--name=test-0 --listen-client-urls=https://localhost:20000 --advertise-client-urls=https://localhost:20000 --listen-peer-urls=https://localhost:20001 --initial-advertise-peer-urls=https://localhost:20001
		--initial-cluster-token=new --data-dir=/tmp/member-0 --snapshot-count=10000 --cert-file f/server.crt --key-file f/server.key.insecure --trusted-ca-file f/ca.crt --client-cert-auth --peer-cert-file f/server.crt --peer-key-file f/server.key.insecure
		--peer-trusted-ca-file f/ca.crt --client-crl-file f/revoke.crl --client-cert-auth --initial-cluster=test-0=https://localhost:20001 --initial-cluster-state=new`},
	{name: "testcontainers for Go, one", line: "--name=default --listen-client-urls=http://0.0.0.0:2379 --advertise-client-urls=http://0.0.0.0:2379"},
	{name: "testcontainers for Go, three", idle: "--initial-cluster-state", line: `--name=etcd-1 --initial-advertise-peer-urls=http://etcd-1:2380 --advertise-client-urls=http://etcd-1:2379 --listen-peer-urls=http://0.0.0.0:2380 --listen-client-urls=http://0.0.0.0:2379
		--initial-cluster-state=new --initial-cluster=etcd-1=http://etcd-1:2380,etcd-2=http://etcd-2:2380,etcd-3=http://etcd-3:2380 --initial-cluster-token=mys3cr3ttok3n --data-dir=/data.etcd`},
	{name: "sockets for clients", line: "--listen-client-urls unix://localhost:2379,unix:///run/etcd.sock --advertise-client-urls unix://localhost:2379"},
	{name: "testcontainers for Rust", line: "-advertise-client-urls http://127.0.0.1:2379 -listen-client-urls http://0.0.0.0:2379"},
	{name: "jetcd (testcontainers for Java)", idle: "--initial-cluster-state", line: `--name etcd0 --advertise-client-urls https://0.0.0.0:2379 --listen-client-urls https://0.0.0.0:2379 --data-dir /data.etcd --cert-file /etc/ssl/etcd/server.pem --key-file /etc/ssl/etcd/server-key.pem
		--initial-advertise-peer-urls http://etcd0:2380 --listen-peer-urls http://0.0.0.0:2380 --initial-cluster-token cluster --initial-cluster etcd0=http://etcd0:2380,etcd1=http://etcd1:2380 --initial-cluster-state new`},
	{name: "Jepsen", idle: "--enable-v2 --logger --snapshot-count --initial-cluster-state (MUSTER_JOIN_ONLY=true has a node never found a cluster) --unsafe-no-fsync", line: `--enable-v2 --log-outputs stderr --logger zap --name n1 --listen-peer-urls http://n1:2380 --listen-client-urls http://n1:2379 --advertise-client-urls http://n1:2379
		--initial-cluster-state existing --initial-advertise-peer-urls http://n1:2380 --initial-cluster n1=http://n1:2380,n2=http://n2:2380,n3=http://n3:2380 --snapshot-count 100 --unsafe-no-fsync --experimental-initial-corrupt-check --experimental-corrupt-check-time 1m`},
	{name: "python-etcd3", idle: "--initial-cluster-state", line: "--initial-cluster-state new --listen-client-urls http://0.0.0.0:2379 --advertise-client-urls http://127.0.0.1:2379"},
	{name: "an old guide to Docker", idle: "--initial-cluster-state", line: `-name etcd0 -advertise-client-urls http://192.0.2.1:2379,http://192.0.2.1:4001 -listen-client-urls http://0.0.0.0:2379,http://0.0.0.0:4001 -initial-advertise-peer-urls http://192.0.2.1:2380
		-listen-peer-urls http://0.0.0.0:2380 -initial-cluster-token etcd-cluster-1 -initial-cluster etcd0=http://192.0.2.1:2380 -initial-cluster-state new`},
	{name: "systemd, of distributions", idle: "--initial-cluster-state", env: `ETCD_DATA_DIR=/var/lib/etcd/default ETCD_LISTEN_PEER_URLS=http://localhost:2380 ETCD_LISTEN_CLIENT_URLS=http://localhost:2379 ETCD_NAME=default ETCD_INITIAL_ADVERTISE_PEER_URLS=http://localhost:2380
		ETCD_ADVERTISE_CLIENT_URLS=http://localhost:2379 ETCD_INITIAL_CLUSTER=default=http://localhost:2380 ETCD_INITIAL_CLUSTER_TOKEN=etcd-cluster ETCD_INITIAL_CLUSTER_STATE=new`},
	{name: "etcd.conf.yml.sample", idle: "--snapshot-count --max-snapshots --max-wals --discovery-fallback --initial-cluster-state --strict-reconfig-check --peer-client-cert-auth --self-signed-cert-validity --logger --proxy --proxy-failure-wait --proxy-refresh-interval --proxy-dial-timeout --proxy-write-timeout --proxy-read-timeout", file: `
name: 'default'
data-dir:
wal-dir:
snapshot-count: 10000
heartbeat-interval: 100
election-timeout: 1000
quota-backend-bytes: 0
listen-peer-urls: http://localhost:2380
listen-client-urls: http://localhost:2379
max-snapshots: 5
max-wals: 5
cors:
initial-advertise-peer-urls: http://localhost:2380
advertise-client-urls: http://localhost:2379
discovery:
discovery-fallback: 'proxy'
discovery-proxy:
discovery-srv:
initial-cluster:
initial-cluster-token: 'etcd-cluster'
initial-cluster-state: 'new'
strict-reconfig-check: false
enable-pprof: true
proxy: 'off'
proxy-failure-wait: 5000
proxy-refresh-interval: 30000
proxy-dial-timeout: 1000
proxy-write-timeout: 5000
proxy-read-timeout: 0
client-transport-security:
  cert-file:
  key-file:
  client-cert-auth: false
  trusted-ca-file:
  auto-tls: false
peer-transport-security:
  cert-file:
  key-file:
  client-cert-auth: false
  trusted-ca-file:
  auto-tls: false
self-signed-cert-validity: 1
log-level: debug
logger: zap
log-outputs: [stderr]
force-new-cluster: false
auto-compaction-mode: periodic
auto-compaction-retention: "1"
cipher-suites: [
  TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
  TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
]
tls-min-version: 'TLS1.2'
tls-max-version: 'TLS1.3'
`},
}

// What starts an etcd elsewhere is understood, down to a configuration in which
// nothing is wrong.
func TestManifestsOfEtcd(t *testing.T) {
	for _, m := range manifests {
		t.Run(m.name, func(t *testing.T) {
			args := strings.Fields(m.line)
			if m.file != "" {
				file := filepath.Join(t.TempDir(), "etcd.yml")
				if err := os.WriteFile(file, []byte(m.file), 0o600); err != nil {
					t.Fatal(err)
				}
				args = []string{"--config-file=" + file}
			}
			c, f, err := asServe(t, strings.Fields(m.env), args...)
			if err != nil {
				t.Fatal(err)
			}
			cfg, err := f.serverConfig(nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := cfg.Node.Validate(); err != nil {
				t.Error(err)
			}
			if got := words(c.idle); got != words(strings.Fields(m.idle)) {
				t.Errorf("said to mean nothing: %s\nwant: %s", got, words(strings.Fields(m.idle)))
			}
		})
	}
}

// words are those of a list, sorted: flags are named in the order of the table.
func words(list []string) string {
	all := strings.Fields(strings.Join(list, " "))
	slices.Sort(all)
	return strings.Join(all, " ")
}
