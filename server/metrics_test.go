package server

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	dto "github.com/prometheus/client_model/go"

	"github.com/musterhq/muster/cluster"
)

// scrape reads /metrics as Prometheus does.
func scrape(t *testing.T, addr string) map[string]*dto.MetricFamily {
	t.Helper()
	code, body, err := getOver(t, "http://"+addr+"/metrics", nil, false)
	if err != nil || code != 200 {
		t.Fatalf("%d, %v", code, err)
	}
	p := expfmt.NewTextParser(model.UTF8Validation)
	fs, err := p.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		t.Fatalf("%v in\n%s", err, body)
	}
	return fs
}

// value is that of the one series which has all of the labels ("name=value").
func value(t *testing.T, fs map[string]*dto.MetricFamily, name string, labels ...string) float64 {
	t.Helper()
	for _, m := range fs[name].GetMetric() {
		var has []string
		for _, l := range m.GetLabel() {
			has = append(has, l.GetName()+"="+l.GetValue())
		}
		if slices.ContainsFunc(labels, func(l string) bool { return !slices.Contains(has, l) }) {
			continue
		}
		switch {
		case m.Counter != nil:
			return m.Counter.GetValue()
		case m.Gauge != nil:
			return m.Gauge.GetValue()
		case m.Histogram != nil:
			return float64(m.Histogram.GetSampleCount())
		}
	}
	t.Fatalf("no series %s %s", name, labels)
	return 0
}

func TestMetricsOfEtcdCountTheSame(t *testing.T) {
	s, _ := single(t, nil)
	before := scrape(t, s.ClientAddr())
	for _, q := range []struct{ path, body string }{
		{"put", `{"key":"YQ=="}`}, {"put", `{"key":"Yg=="}`}, {"range", `{"key":"YQ=="}`}, {"deleterange", `{"key":"YQ=="}`},
		// Counted as one put, as a transaction of two, and as one of none.
		{"txn", `{"success":[{"request_put":{"key":"YQ=="}}]}`},
		{"txn", `{"success":[{"request_put":{"key":"YQ=="}},{"request_range":{"key":"YQ=="}}]}`},
		{"txn", `{"success":[{"request_range":{"key":"YQ=="}},{"request_range":{"key":"Yg=="}}]}`},
		{"txn", `{}`},
		{"compaction", `{"revision":"2"}`},
		{"range", `{}`}, // InvalidArgument
	} {
		inJSON(t, s.ClientAddr(), "/v3/kv/"+q.path, q.body)
	}
	if err := putOver(t, s.ClientAddr(), nil, patience); err != nil { // over the network, not the gateway
		t.Fatal(err)
	}
	after := scrape(t, s.ClientAddr())
	rose := func(want float64, name string, labels ...string) {
		t.Helper()
		if got := value(t, after, name, labels...) - value(t, before, name, labels...); got != want {
			t.Errorf("%s %s rose by %v, want %v", name, labels, got, want)
		}
	}
	rose(5, "etcd_mvcc_put_total")
	rose(1, "etcd_mvcc_delete_total")
	rose(4, "etcd_mvcc_range_total")
	rose(3, "etcd_mvcc_txn_total")
	rose(2, "etcd_debugging_mvcc_compact_revision")
	kv := []string{"grpc_type=unary", "grpc_service=etcdserverpb.KV"}
	rose(2, "grpc_server_started_total", append(kv, "grpc_method=Range")...)
	rose(1, "grpc_server_handled_total", append(kv, "grpc_method=Range", "grpc_code=OK")...)
	rose(1, "grpc_server_handled_total", append(kv, "grpc_method=Range", "grpc_code=InvalidArgument")...)
	rose(3, "grpc_server_msg_received_total", append(kv, "grpc_method=Put")...)
	for _, name := range []string{"etcd_disk_wal_fsync_duration_seconds", "etcd_disk_backend_commit_duration_seconds", "etcd_network_client_grpc_received_bytes_total", "etcd_network_client_grpc_sent_bytes_total"} {
		if value(t, after, name) <= value(t, before, name) {
			t.Errorf("%s has not risen", name)
		}
	}
	if _, ok := after["grpc_server_handling_seconds"]; ok {
		t.Error("histograms of gRPC's calls, which nobody asked for")
	}
}

func TestExtensiveMetrics(t *testing.T) {
	s, _ := single(t, func(c *Config) { c.Metrics = "extensive" })
	if err := putOver(t, s.ClientAddr(), nil, patience); err != nil {
		t.Fatal(err)
	}
	if n := value(t, scrape(t, s.ClientAddr()), "grpc_server_handling_seconds", "grpc_service=etcdserverpb.KV", "grpc_method=Put"); n != 1 {
		t.Errorf("%v calls were timed", n)
	}
}

func TestHealthAndFailuresAreCounted(t *testing.T) {
	r := newRig(t)
	r.do(t, "GET", "/health")
	r.node.set(func(st *cluster.Status) { st.Leader = 0 })
	r.do(t, "GET", "/health")
	inJSON(t, r.addr, "/v3/kv/range", `{"key":"YQ=="}`)
	fs := scrape(t, r.addr)
	for _, name := range []string{"etcd_server_health_success", "etcd_server_health_failures", "etcd_server_read_indexes_failed_total"} {
		if n := value(t, fs, name); n != 1 {
			t.Errorf("%s is %v", name, n)
		}
	}
}

// What goes between members has etcd's labels: IDs as clients know them.
func TestMetricsOfPeers(t *testing.T) {
	r := newRig(t)
	r.node.set(func(st *cluster.Status) {
		for i := range st.Members {
			if st.Members[i].ID == 2 {
				st.Members[i].Alias = 0xabc
			}
		}
	})
	r.tally.roundTrip(2, 3*time.Millisecond)
	fs := scrape(t, r.addr)
	own := etcdID(r.node.Status().Self.ID)
	for _, want := range []struct {
		value  float64
		name   string
		labels []string
	}{
		{20, "etcd_network_peer_sent_bytes_total", []string{"To=abc"}},
		{30, "etcd_network_peer_received_bytes_total", []string{"From=abc"}},
		{4, "etcd_network_peer_sent_failures_total", []string{"To=abc"}},
		{0, "etcd_network_peer_sent_failures_total", []string{"To=3c"}},
		{1, "etcd_network_active_peers", []string{"Local=" + own, "Remote=abc"}},
		{0, "etcd_network_active_peers", []string{"Local=" + own, "Remote=3c"}},
		{1, "etcd_network_peer_round_trip_time_seconds", []string{"To=abc"}},
	} {
		if got := value(t, fs, want.name, want.labels...); got != want.value {
			t.Errorf("%s %s is %v, want %v", want.name, want.labels, got, want.value)
		}
	}
}

// Each metric that the documentation says is served with etcd's name is, and the
// other way round.
func TestMetricsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/etcd-compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "## HTTP and metrics\n")
	section, _, _ = strings.Cut(section, "\n## ")
	s, _ := single(t, func(c *Config) { c.Metrics, c.Limits.QuotaBytes = "extensive", 1<<30 })
	fs := scrape(t, s.ClientAddr())
	r := newRig(t) // has peers
	r.tally.roundTrip(2, time.Millisecond)
	for name, f := range scrape(t, r.addr) {
		if strings.HasPrefix(name, "etcd_network_") {
			fs[name] = f
		}
	}
	row := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|")
	var told []string
	for _, m := range row.FindAllStringSubmatch(section, -1) {
		told = append(told, m[1])
		if fs[m[1]] == nil {
			t.Errorf("%s is in the documentation and not served", m[1])
		}
	}
	for name := range fs {
		if (strings.HasPrefix(name, "etcd_") || strings.HasPrefix(name, "grpc_")) && !slices.Contains(told, name) {
			t.Errorf("%s is served and has no row in the documentation", name)
		}
	}
}

// TestServerID: as clients know the member, also one that was announced and has
// joined since the server was started.
func TestServerID(t *testing.T) {
	r := newRig(t)
	r.node.set(func(st *cluster.Status) { st.Self.Alias = 0xabc })
	if got := value(t, scrape(t, r.addr), "etcd_server_id", "server_id=abc"); got != 1 {
		t.Errorf("the member abc: %v", got)
	}
}
