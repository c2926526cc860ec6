package process

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/loopback"
	"github.com/musterhq/muster/internal/testproc"
	_ "github.com/musterhq/muster/server" // see testproc.Muster
)

// patience is how long a test waits for what has to happen before it gives up.
// It says nothing about how fast muster is: the machine may be busy.
const patience = time.Minute

// TestMain runs more tests at once than there are cores, if nobody says how many:
// most of what a test does is wait.
func TestMain(m *testing.M) {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		_ = flag.Set("test.parallel", fmt.Sprint(2*runtime.GOMAXPROCS(0))) // it is a number
	}
	os.Exit(testproc.RunTests(m))
}

// member is one process and what it needs to be started again.
type member struct {
	testproc.Process
	t      *testing.T
	name   string
	dir    string
	client string // host:port
	peer   string // host:port
	args   []string
	prefix []string // put before the program, as "ip netns exec"
	binary string   // the program; this tree's muster at first
}

// newMember chooses ports and a directory; it starts nothing.
func newMember(t *testing.T, name string, args ...string) *member {
	t.Helper()
	addrs, dir := loopback.Addrs(t, 2), t.TempDir()
	return &member{
		Process: testproc.Process{Log: filepath.Join(dir, "log")},
		t:       t, name: name, dir: filepath.Join(dir, name), client: addrs[0], peer: addrs[1], args: args,
		binary: testproc.Muster(t),
	}
}

// founders are n members with one seed list.
func founders(t *testing.T, n int) []*member {
	var ms []*member
	var seeds []string
	for i := range n {
		ms = append(ms, newMember(t, fmt.Sprint("n", i+1)))
		seeds = append(seeds, ms[i].peer)
	}
	for _, m := range ms {
		m.args = []string{"--seeds", strings.Join(seeds, ",")}
	}
	return ms
}

// formed is a cluster of three founders with a leader.
func formed(t *testing.T) []*member {
	t.Helper()
	ms := founders(t, 3)
	for _, m := range ms {
		m.start()
	}
	ready(t, ms...)
	return ms
}

// follower is one of ms that isn't the leader.
func follower(ms []*member, leader *member) *member {
	if ms[0] == leader {
		return ms[1]
	}
	return ms[0]
}

// start runs the process; it is killed at the end of the test at the latest.
func (m *member) start(extra ...string) {
	m.t.Helper()
	args := []string{
		"serve", "--name", m.name, "--data-dir", m.dir, "--listen", m.client, "--peer-listen", m.peer,
	}
	m.run(append(append(args, m.args...), extra...)...)
}

// run runs the process by this command line.
func (m *member) run(args ...string) {
	m.t.Helper()
	words := slices.Concat(m.prefix, []string{m.binary}, args)
	if err := m.Start(words[0], words[1:]...); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		if m.t.Failed() {
			m.t.Logf("%s says: %s", m.name, m.why())
		}
		m.Kill()
		if strings.Contains(m.Said(), "WARNING: DATA RACE") {
			m.t.Errorf("%s had a data race", m.name)
		}
		if m.t.Failed() {
			m.t.Logf("--- %s\n%s", m.name, m.Said())
		}
	})
}

// term asks the process to stop and waits for its exit code.
func (m *member) term() int {
	m.t.Helper()
	m.Signal(syscall.SIGTERM)
	return m.exit()
}

// exit waits for the process to end by itself.
func (m *member) exit() int {
	m.t.Helper()
	select {
	case <-m.Done():
		return m.ExitCode()
	case <-time.After(patience):
		m.t.Fatalf("%s goes on, after %v", m.name, patience)
		return -1
	}
}

// get reads a JSON answer of the member's client port.
func (m *member) get(path string, into any) error {
	c := http.Client{Timeout: 5 * time.Second}
	resp, err := c.Get("http://" + m.client + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}

func (m *member) status() (cluster.Status, error) {
	var s cluster.Status
	err := m.get("/v1/status", &s)
	return s, err
}

// why is what the member waits for, as codes and texts.
func (m *member) why() string {
	var raw json.RawMessage
	if err := m.get("/v1/why", &raw); err != nil {
		return err.Error()
	}
	var reasons []event.Reason
	if json.Unmarshal(raw, &reasons) == nil {
		var sb strings.Builder
		for _, r := range reasons {
			fmt.Fprintf(&sb, "%s: %s\n", r.Code, r.Text)
		}
		return sb.String()
	}
	return string(raw)
}

// eventually waits for ok, asking again and again; what says what is waited for.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	end := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
		time.Sleep(20 * time.Millisecond) // a poll, not luck: the condition decides
	}
}

// ready waits until each member knows a leader and is in the same cluster.
func ready(t *testing.T, ms ...*member) cluster.ClusterID {
	t.Helper()
	var id cluster.ClusterID
	for _, m := range ms {
		var s cluster.Status
		eventually(t, m.name+" is ready", func() bool {
			var err error
			s, err = m.status()
			return err == nil && s.Stage == "member" && s.Leader != 0 && s.Self.Role != 0 && s.Applied > 0
		})
		if id.IsZero() {
			id = s.ClusterID
		}
		if s.ClusterID != id {
			t.Fatalf("%s is in cluster %s, others in %s", m.name, s.ClusterID, id)
		}
	}
	return id
}

// voters waits until the first member sees that many voters.
func voters(t *testing.T, m *member, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d voters", n), func() bool {
		s, err := m.status()
		got := 0
		for _, x := range s.Members {
			if x.Role == cluster.Voter {
				got++
			}
		}
		return err == nil && got == n && !s.Joint
	})
}

// leader finds the member that leads, by its own word.
func leader(t *testing.T, ms []*member) *member {
	t.Helper()
	var found *member
	eventually(t, "one of them leads", func() bool {
		for _, m := range ms {
			if s, err := m.status(); err == nil && s.Leader != 0 && s.Leader == s.Self.ID {
				found = m
				return true
			}
		}
		return false
	})
	return found
}

// dial is etcd's own client for these members.
func dial(t *testing.T, ms ...*member) *clientv3.Client {
	t.Helper()
	var eps []string
	for _, m := range ms {
		eps = append(eps, m.client)
	}
	c, err := clientv3.New(clientv3.Config{Endpoints: eps, DialTimeout: 5 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // nothing to learn from it
	return c
}

func put(t *testing.T, c *clientv3.Client, key, value string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := c.Put(ctx, key, value); err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
}

func get(t *testing.T, c *clientv3.Client, key string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := c.Get(ctx, key)
	if err != nil {
		t.Fatalf("get %s: %v", key, err)
	}
	if len(r.Kvs) == 0 {
		return ""
	}
	return string(r.Kvs[0].Value)
}

// muster runs a client command and returns its output and exit code.
func muster(t *testing.T, args ...string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, testproc.Muster(t), args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("muster %v: %v", args, err)
	}
	code := 0
	if exit != nil {
		code = exit.ExitCode()
	}
	return string(out), code
}
