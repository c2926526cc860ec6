package server

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/musterhq/muster/kv"
)

// etcdMetrics are those of etcd's whose numbers are counted, here or in the
// store, or don't change.
func (s *Server) etcdMetrics() (all []*metric) {
	add := func(kind prometheus.ValueType, name, help string, labels prometheus.Labels, read func(v *view) float64) {
		all = append(all, &metric{prometheus.NewDesc(name, help, nil, labels), kind, read})
	}
	counter := func(name, help string, read func() uint64) {
		add(prometheus.CounterValue, name, help, nil, func(*view) float64 { return float64(read()) })
	}
	one := func(*view) float64 { return 1 }
	add(prometheus.GaugeValue, "etcd_server_version", "Which version is running. 1 for 'server_version' label with current version.",
		prometheus.Labels{"server_version": EtcdVersion}, one)
	add(prometheus.GaugeValue, "etcd_cluster_version", "Which version is running. 1 for 'cluster_version' label with current cluster version",
		prometheus.Labels{"cluster_version": clusterVersion}, one)
	add(prometheus.GaugeValue, "etcd_server_go_version", "Which Go version server is running with. 1 for 'server_go_version' label with current version.",
		prometheus.Labels{"server_go_version": runtime.Version()}, one)

	t := s.tally
	counter("etcd_server_health_success", "The total number of successful health checks", t.healthy.Load)
	counter("etcd_server_health_failures", "The total number of failed health checks", t.sick.Load)
	counter("etcd_server_proposals_failed_total", "The total number of failed proposals seen.", t.failed.Load)
	counter("etcd_server_read_indexes_failed_total", "The total number of failed read indexes seen.", t.failedReadIndex.Load)
	counter("etcd_network_client_grpc_received_bytes_total", "The total number of bytes received from grpc clients.", t.received.Load)
	counter("etcd_network_client_grpc_sent_bytes_total", "The total number of bytes sent to grpc clients.", t.sent.Load)

	add(prometheus.GaugeValue, "etcd_debugging_mvcc_compact_revision", "The revision of the last compaction in store.", nil,
		func(v *view) float64 { return float64(v.compacted) })
	add(prometheus.GaugeValue, "etcd_debugging_auth_revision", "The current revision of auth store.", nil,
		func(*view) float64 { return float64(s.store.Auth().Revision()) })
	if s.cfg.Limits.QuotaBytes > 0 { // alerts divide by it
		add(prometheus.GaugeValue, "etcd_server_quota_backend_bytes", "Current backend storage quota size in bytes.", nil,
			func(*view) float64 { return float64(s.cfg.Limits.QuotaBytes) })
	}
	counts := func() (c kv.Counts) {
		if s, ok := s.store.(interface{ Counts() kv.Counts }); ok {
			c = s.Counts()
		}
		return c
	}
	counter("etcd_mvcc_range_total", "Total number of ranges seen by this member.", func() uint64 { return counts().Ranges })
	counter("etcd_mvcc_put_total", "Total number of puts seen by this member.", func() uint64 { return counts().Puts })
	counter("etcd_mvcc_delete_total", "Total number of deletes seen by this member.", func() uint64 { return counts().Deletes })
	counter("etcd_mvcc_txn_total", "Total number of txns seen by this member.", func() uint64 { return counts().Txns })
	return all
}
