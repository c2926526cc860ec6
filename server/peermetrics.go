package server

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/musterhq/muster/cluster"
)

// newTrips is etcd's, with its buckets. There the trip is a question that is put on
// an open connection now and then; here it is the greeting on a new one.
func newTrips() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "etcd_network_peer_round_trip_time_seconds", Help: "Round-Trip-Time histogram between peers",
		Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16),
	}, []string{"To"})
}

// roundTrip is muster.Config.OnRoundTrip.
func (t *tally) roundTrip(to cluster.NodeID, took time.Duration) {
	label := etcdID(to)
	if n := t.known.Load(); n != nil {
		label = knownAs((*n).Status(), to)
	}
	t.trips.WithLabelValues(label).Observe(took.Seconds())
}

// etcdID is an ID as etcd writes it.
func etcdID(id cluster.NodeID) string { return strconv.FormatUint(uint64(id), 16) }

// knownAs is the ID by which clients know a member, as etcd writes it.
func knownAs(st *cluster.Status, id cluster.NodeID) string {
	if m, ok := st.Member(id); ok {
		id = m.KnownAs()
	}
	return etcdID(id)
}

// peerCollector tells what went to and came from each other member.
type peerCollector struct {
	s                              *Server
	active, sent, received, failed *prometheus.Desc
}

func newPeerCollector(s *Server) *peerCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("etcd_network_"+name, help, labels, nil)
	}
	return &peerCollector{
		s:        s,
		active:   desc("active_peers", "The current number of active peer connections.", "Local", "Remote"),
		sent:     desc("peer_sent_bytes_total", "The total number of bytes sent to peers.", "To"),
		received: desc("peer_received_bytes_total", "The total number of bytes received from peers.", "From"),
		failed:   desc("peer_sent_failures_total", "The total number of send failures from peers.", "To"),
	}
}

// Describe implements prometheus.Collector.
func (c *peerCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.active, c.sent, c.received, c.failed} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *peerCollector) Collect(out chan<- prometheus.Metric) {
	st := c.s.node.Status()
	own := knownAs(st, st.Self.ID)
	for _, t := range c.s.node.Traffic() {
		id := knownAs(st, t.ID)
		counter := func(d *prometheus.Desc, n uint64) {
			out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), id)
		}
		out <- prometheus.MustNewConstMetric(c.active, prometheus.GaugeValue, truth(t.Connected), own, id)
		counter(c.sent, t.Sent)
		counter(c.received, t.Received)
		counter(c.failed, t.Dropped)
	}
}
