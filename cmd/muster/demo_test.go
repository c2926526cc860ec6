package main

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/loopback"
)

func TestTyping(t *testing.T) {
	for _, tt := range []struct {
		in    string
		lines []string
		left  string
		quit  bool
	}{
		{"stop n2\r", []string{"stop n2"}, "", false},
		{"a\rb\rc", []string{"a", "b"}, "c", false},
		{"stpo\x7f\x7fop n1", nil, "stop n1", false},
		{"\x7f\x7fx", nil, "x", false},
		{"ab\x1b[A\x1b[1;5Cc", nil, "abc", false},
		{"abc\x15d", nil, "d", false},
		{"  \r", nil, "", false},
		{"a\rb\x03c", []string{"a"}, "b", true},
		{"a\x04", nil, "a", false},
		{"\x04", nil, "", true},
	} {
		var k typed
		lines, quit := k.feed([]byte(tt.in))
		if !slices.Equal(lines, tt.lines) || string(k.text) != tt.left || quit != tt.quit {
			t.Errorf("%q: %q, %q left, quit %v; want %q, %q, %v", tt.in, lines, k.text, quit, tt.lines, tt.left, tt.quit)
		}
	}
}

func TestFeedTellsOneStory(t *testing.T) {
	var f feed
	now := time.Unix(100, 0)
	f.add("n1", event.LeaderChanged{Term: 2, Leader: 1, Name: "n1"}, now)
	f.add("n2", event.LeaderChanged{Term: 2, Leader: 1, Name: "n1"}, now.Add(time.Second))
	f.add("n1", event.Stopped{}, now)
	f.add("n1", event.Stopped{}, now.Add(time.Minute))
	got := f.latest()
	if len(got) != 3 || got[0].member != "n1" || got[0].text != "n1 leads in term 2" {
		t.Errorf("%+v", got)
	}
	for i := range 20 {
		f.add("n1", event.Compacted{Index: uint64(i)}, now)
	}
	if got := f.latest(); len(got) != feedSize || got[feedSize-1].text != "log compacted through index 19" {
		t.Errorf("%+v", got)
	}
}

// demoPicture is a demo with one member down.
func demoPicture() (demoIntro, demoView) {
	running := func(self cluster.Member, state string) *cluster.Status {
		return &cluster.Status{Self: self, State: state, Term: 2, Committed: 9, Applied: 8, Leader: 1}
	}
	a := cluster.Member{ID: 1, Name: "n1", Role: cluster.Voter}
	return demoIntro{dir: "/tmp/d", program: "muster"}, demoView{
		lines: []demoLine{
			{name: "n1", client: "127.0.0.1:2379", state: "leader", st: running(a, "leader"), why: "n2 does not answer"},
			{name: "n2", client: "127.0.0.1:22379", state: "killed"},
			{name: "n3", client: "127.0.0.1:32379", state: "forming", st: &cluster.Status{}},
		},
		clusterID: cluster.ClusterID{1}, leader: "n1", term: 2, readyAfter: time.Second,
		events: []feedLine{{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), "n1", "n1 leads in term 2"}},
	}
}

func TestScreen(t *testing.T) {
	intro, v := demoPicture()
	want := `muster demo: 3 members in this process; data in /tmp/d (deleted at the end)
cluster 01000000000000000000000000000000, led by n1 in term 2

MEMBER  STATE    ROLE   CLIENTS          TERM  COMMITTED  APPLIED
n1      leader   voter  127.0.0.1:2379      2          9        8  n2 does not answer
n2      killed   -      127.0.0.1:22379     -          -        -
n3      forming  -      127.0.0.1:32379     -          -        -

  03:04:05  n1  n1 leads in term 2






Try next, in another terminal:
  etcdctl --endpoints=127.0.0.1:2379,127.0.0.1:22379,127.0.0.1:32379 put a b
  muster get a --endpoint 127.0.0.1:32379
  muster status --endpoint 127.0.0.1:2379
Here: stop n2, kill n2 or start n2, then Enter. Ctrl-C ends the demo.
n2 was killed`
	if got := strings.Join(screen(intro, v, "n2 was killed", 0, 0), "\n"); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	for _, line := range screen(intro, v, "", 40, 0) {
		if n := len([]rune(line)); n > 40 {
			t.Errorf("a line of %d columns on a terminal of 40: %q", n, line)
		}
	}
	if v.ready() {
		t.Error("ready with a member down")
	}
	v.events = append(v.events, feedLine{v.events[0].at, "n2", "the newest"})
	for len(v.lines) < 9 {
		v.lines = append(v.lines, v.lines[1])
	}
	lines := screen(intro, v, "", 80, 24)
	if len(lines)+1 != 24 || !slices.Contains(lines, "  03:04:05  n2  the newest") {
		t.Errorf("%d rows and one for typing, on a terminal of 24:\n%s", len(lines), strings.Join(lines, "\n"))
	}
}

func TestCanvasRedrawsInPlace(t *testing.T) {
	var b bytes.Buffer
	c := &canvas{w: &b}
	c.draw([]string{"one", "two", "> "})
	b.Reset()
	c.draw([]string{"1", "> "})
	if got, want := b.String(), "\r\x1b[2A1\x1b[K\r\n> \x1b[K\x1b[J"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestDemoRemembersItsMembers(t *testing.T) {
	dir := t.TempDir()
	c, err := openDemo(dir, 3)
	if err != nil || len(c.members) != 3 {
		t.Fatalf("%v", err)
	}
	if _, err := openDemo(dir, 3); err == nil || !strings.Contains(err.Error(), "runs already") || !strings.Contains(err.Error(), c.members[0].Client) {
		t.Errorf("opened twice at once: %v", err)
	}
	c.closeAll()
	seen := map[string]bool{}
	for _, m := range c.members {
		if seen[m.Client] || seen[m.Peer] || m.Client == m.Peer || m.joins {
			t.Errorf("%+v", m.demoAddrs)
		}
		seen[m.Client], seen[m.Peer] = true, true
	}
	again, err := openDemo(dir, 4)
	if err != nil || len(again.members) != 4 {
		t.Fatalf("%v", err)
	}
	defer again.closeAll()
	for i, m := range c.members {
		if again.members[i].demoAddrs != m.demoAddrs {
			t.Errorf("%+v became %+v", m.demoAddrs, again.members[i].demoAddrs)
		}
	}
	if m := again.members[3]; !m.joins || m.Name != "n4" || seen[m.Client] {
		t.Errorf("the fourth: %+v", m)
	}
}

func TestDemoTakesOtherPortsWhereItsOwnAreTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:2379")
	if err == nil {
		defer l.Close()
	}
	var ports loopback.Ports
	defer ports.Release()
	all, err := extendAddrs(&ports, nil, 1)
	if err != nil || all[0].Client == "127.0.0.1:2379" {
		t.Errorf("%v, %v", all, err)
	}
}

func TestDemoRefusesAForeignDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "thesis.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := runMuster(nil, "demo", "--data-dir", dir)
	if code != exitData || !strings.Contains(stderr, dir) {
		t.Errorf("exit %d, %q", code, stderr)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("it was written to: %v", entries)
	}
}

func TestDemoCommands(t *testing.T) {
	c := &demoCluster{members: []*demoMember{{demoAddrs: demoAddrs{Name: "n1"}, how: "stopped"}}}
	for line, says := range map[string]string{
		"dance n1": "is none of", "stop": "is none of", "stop n9": `no member has the name "n9"`, "stop n1": "n1 does not run", "kill n1": "n1 does not run",
	} {
		if _, err := c.command(t.Context(), line); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", line, err, says)
		}
	}
}
