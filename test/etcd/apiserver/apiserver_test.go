package apiserver

import (
	"flag"
	"strings"
	"testing"
	"time"
)

var (
	etcd    = flag.String("etcd", "", "an etcd to run on, in the place of muster: for reference")
	binary  = flag.String("kube-apiserver", "", "a kube-apiserver that is built already")
	logs    = flag.String("logs", "", "a directory to keep the logs in")
	objects = flag.Int("objects", 2000, "how many objects are created and listed")
)

// TestAPIServer is one long life of a cluster: what follows finds what was before.
func TestAPIServer(t *testing.T) {
	ms := startMembers(t)
	s := startServer(t, ms)
	for _, part := range []struct {
		name string
		test func(*testing.T, *members, *server)
	}{
		{"health", testHealth},
		{"objects", testObjects},
		{"definitions", testDefinitions},
		{"many", testMany},
		{"compacted", testCompacted},
		{"consistent", testConsistent},
		{"watch", testWatch},
		{"conflicts", testConflicts},
		{"election", testElection},
		{"events", testEvents},
		{"features", testFeatures},
		{"faults", testFaults},
		{"features after faults", testFeatures},
	} {
		t.Run(part.name, func(t *testing.T) { part.test(t, ms, s) })
	}
}

func testHealth(t *testing.T, ms *members, s *server) {
	for _, path := range []string{"/readyz", "/livez", "/healthz"} {
		text, ok := s.get(path + "?verbose")
		if !ok || !strings.Contains(text, "[+]etcd ok") {
			t.Errorf("%s: %s", path, text)
		}
	}
	for _, m := range ms.all {
		if _, ok := fetch(probe, "http://"+m.probes+"/livez"); !ok {
			t.Errorf("%s is not alive", m.name)
		}
	}
	eventually(t, "the server knows how large the members' stores are", 30*time.Second, func() bool { return s.metric("apiserver_storage_size_bytes") > 0 })
}

// testFeatures looks at what the server made of its etcd: what it
// takes for unsupported it does without, and no other test would notice.
func testFeatures(t *testing.T, _ *members, s *server) {
	for _, want := range []struct {
		what   string
		metric string
		labels []string
	}{
		{"lists are answered from the watch cache, by requests for progress", "apiserver_watch_cache_consistent_read_total", []string{`success="true"`, `fallback="false"`}},
		{"lists are streamed", "etcd_requests_total", []string{`operation="listStream"`}},
	} {
		n := s.metric(want.metric, want.labels...)
		t.Logf("%s: %v", want.what, n)
		if n == 0 {
			t.Errorf("%s: %s%v is %v", want.what, want.metric, want.labels, n)
		}
	}
}
