package server

import (
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics is GET /metrics. Names that begin with etcd_ mean what they mean in
// etcd; what etcd has no word for begins with muster_.
func (s *Server) metrics() http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(
		newCollector(s), newPeerCollector(s), s.tally.rpc, s.tally.logSync, s.tally.commit, s.tally.trips,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
}

// collector reads the member's state when it is asked; nothing is counted on
// the way of a request.
type collector struct {
	s     *Server
	all   []*metric
	peer  *prometheus.Desc
	match *prometheus.Desc
	why   *prometheus.Desc
	id    *prometheus.Desc
}

// metric is one number without variable labels.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(v *view) float64
}

func newCollector(s *Server) *collector {
	c := &collector{
		s: s,
		peer: prometheus.NewDesc("muster_peer_connected",
			"Whether messages can be sent to the member: 1, or 0.", []string{"id", "name"}, nil),
		match: prometheus.NewDesc("muster_peer_match_index",
			"Leader only: the last log index known to be on the member's disk.", []string{"id", "name"}, nil),
		why: prometheus.NewDesc("muster_why",
			"How many reasons of this code the member gives for what it waits for.", []string{"code"}, nil),
		id: prometheus.NewDesc("etcd_server_id",
			"Server or member ID in hexadecimal format. 1 for 'server_id' label with current ID.", []string{"server_id"}, nil),
	}
	gauge := func(name, help string, read func(v *view) float64) {
		c.all = append(c.all, &metric{prometheus.NewDesc(name, help, nil, nil), prometheus.GaugeValue, read})
	}
	counter := func(name, help string, read func(v *view) float64) {
		c.all = append(c.all, &metric{prometheus.NewDesc(name, help, nil, nil), prometheus.CounterValue, read})
	}
	c.all = append(c.all, s.etcdMetrics()...)
	gauge("etcd_server_has_leader", "Whether or not a leader exists. 1 is existence, 0 is not.",
		func(v *view) float64 { return truth(v.st.Leader != 0) })
	gauge("etcd_server_is_leader", "Whether or not this member is a leader. 1 if is, 0 otherwise.",
		func(v *view) float64 { return truth(leads(v.st)) })
	gauge("etcd_server_is_learner", "Whether or not this member is a learner. 1 if is, 0 otherwise.",
		func(v *view) float64 { return truth(v.learner()) })
	counter("etcd_server_leader_changes_seen_total", "The number of leader changes seen.",
		func(v *view) float64 { return float64(s.events.leaderChanges()) })
	gauge("etcd_server_proposals_committed_total", "The total number of consensus proposals committed.",
		func(v *view) float64 { return float64(v.st.Committed) })
	gauge("etcd_server_proposals_applied_total", "The total number of consensus proposals applied.",
		func(v *view) float64 { return float64(v.st.Applied) })
	gauge("etcd_server_proposals_pending", "The current number of pending proposals to commit.",
		func(v *view) float64 { return float64(v.st.Pending) })
	gauge("etcd_mvcc_db_total_size_in_bytes", "Total size of the underlying database physically allocated in bytes.",
		func(v *view) float64 { return float64(v.total) })
	gauge("etcd_mvcc_db_total_size_in_use_in_bytes", "Total size of the underlying database logically in use in bytes.",
		func(v *view) float64 { return float64(v.used) })
	gauge("etcd_debugging_mvcc_current_revision", "The current revision of store.",
		func(v *view) float64 { return float64(v.revision) })
	s.watchMetrics(gauge)
	gauge("muster_member", "Whether this node is a member of a cluster: 1, or 0 while it forms or joins one.",
		func(v *view) float64 { return truth(!v.st.ClusterID.IsZero()) })
	gauge("muster_term", "The raft term.", func(v *view) float64 { return float64(v.st.Term) })
	gauge("muster_log_first_index", "The first index still in the log.", func(v *view) float64 { return float64(v.st.First) })
	gauge("muster_log_last_index", "The last index in the log.", func(v *view) float64 { return float64(v.st.Last) })
	gauge("muster_log_bytes", "Size of the log on disk in bytes.", func(v *view) float64 { return float64(v.st.LogBytes) })
	gauge("muster_joint_configuration", "Whether a joint configuration is in force: 1, or 0.",
		func(v *view) float64 { return truth(v.st.Joint) })
	gauge("muster_members", "Members of the cluster.", func(v *view) float64 { return float64(len(v.st.Members)) })
	gauge("muster_voters", "Voting members of the cluster.", func(v *view) float64 { return float64(voters(v.st)) })
	gauge("muster_peers_connected", "Other members that messages can be sent to.",
		func(v *view) float64 { return float64(v.connected()) })
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, m := range c.all {
		out <- m.desc
	}
	out <- c.peer
	out <- c.match
	out <- c.why
	out <- c.id
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	v := c.s.view()
	known := uint64(v.st.Self.KnownAs()) // by clients, which a member learns when it joins
	out <- prometheus.MustNewConstMetric(c.id, prometheus.GaugeValue, 1, strconv.FormatUint(known, 16))
	for _, m := range c.all {
		out <- prometheus.MustNewConstMetric(m.desc, m.kind, m.read(v))
	}
	for _, p := range v.st.Members {
		if p.ID == v.st.Self.ID {
			continue
		}
		out <- prometheus.MustNewConstMetric(c.peer, prometheus.GaugeValue, truth(p.Connected), p.ID.String(), p.Name)
		if leads(v.st) {
			out <- prometheus.MustNewConstMetric(c.match, prometheus.GaugeValue, float64(p.Match), p.ID.String(), p.Name)
		}
	}
	reasons := map[string]int{}
	for _, r := range c.s.node.Why() {
		reasons[r.Code]++
	}
	for code, n := range reasons {
		out <- prometheus.MustNewConstMetric(c.why, prometheus.GaugeValue, float64(n), code)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
