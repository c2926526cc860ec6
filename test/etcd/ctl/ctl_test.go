package ctl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/musterhq/muster/test/etcd/internal/system"
)

// subject is one system, and what the commands refer to.
type subject struct {
	member *system.Member
	ctl    string // the program
	named  map[string]string
	scheme string // of its URL; "" is plain text
}

// endlessTime is for how long a command runs that doesn't end by itself, though
// the machine may be busy.
const endlessTime = 5 * time.Second

// TestScript compares what etcdctl prints of an etcd and of a muster.
func TestScript(t *testing.T) {
	ctl, err := system.Build("etcdctl", "test/etcd/tools", "go.etcd.io/etcd/etcdctl/v3")
	if err != nil {
		t.Fatal(err)
	}
	var subjects []*subject
	for _, kind := range system.Kinds() {
		subjects = append(subjects, newSubject(t, ctl, kind))
	}
	play(t, subjects, script)
}

// play runs each line on both.
func play(t *testing.T, subjects []*subject, script []string) {
	for _, line := range script {
		line, quiet := strings.CutPrefix(line, "~")
		var want, got string
		var wantCode, gotCode int
		var both sync.WaitGroup
		both.Go(func() { want, wantCode = subjects[0].run(line) })
		both.Go(func() { got, gotCode = subjects[1].run(line) })
		both.Wait()
		if wantCode != gotCode || want != got && !quiet {
			t.Errorf("etcdctl %s\n  etcd, code %d:\n%s\n  muster, code %d:\n%s", line, wantCode, want, gotCode, got)
		}
	}
}

func newSubject(t *testing.T, ctl string, kind system.Kind) *subject {
	m := system.Start(t, kind, 1).Members[0]
	conn, err := m.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	resp, err := pb.NewKVClient(conn).Range(context.Background(), &pb.RangeRequest{Key: []byte("a")})
	if err != nil {
		t.Fatal(err)
	}
	return &subject{member: m, ctl: ctl, named: map[string]string{
		"{member}": fmt.Sprintf("%x", resp.Header.MemberId), "{dir}": t.TempDir(), "{lease}": "0", "{host}": m.Client,
	}}
}

// run carries a line of the script out, and returns what it printed, without
// what differs from system to system, and its exit code. One that could not be
// run says so, with the code -1.
func (s *subject) run(line string) (string, int) {
	line, endless := strings.CutPrefix(line, "!")
	command, input, _ := strings.Cut(line, "|")
	args := []string{"--endpoints=" + s.scheme + s.member.Client, "--command-timeout=10s"}
	for _, a := range strings.Fields(command) {
		for name, value := range s.named {
			a = strings.ReplaceAll(a, name, value)
		}
		args = append(args, strings.ReplaceAll(a, "''", ""))
	}
	cmd := exec.Command(s.ctl, args...)
	cmd.Stdin = strings.NewReader(strings.ReplaceAll(input, ";", "\n"))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = withoutEtcd(os.Environ())
	if err := cmd.Start(); err != nil {
		return err.Error(), -1
	}
	limit := time.AfterFunc(system.Patience, func() { _ = cmd.Process.Kill() }) // it may be gone
	defer limit.Stop()
	if endless {
		time.AfterFunc(endlessTime, func() { _ = cmd.Process.Signal(os.Interrupt) })
	}
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return err.Error(), -1
	}
	if m := granted.FindStringSubmatch(out.String()); m != nil {
		s.named["{lease}"] = m[1]
	}
	return s.normal(out.String()), cmd.ProcessState.ExitCode()
}

var granted = regexp.MustCompile(`lease ([0-9a-f]{16}) granted`)

// incidental is what etcdctl prints that differs from run to run.
var incidental = []struct {
	is *regexp.Regexp
	as string
}{
	{regexp.MustCompile(`127\.0\.0\.1:[0-9]{5}`), "HOST"},
	{regexp.MustCompile(`"(ClusterID|MemberID|RaftTerm)" : [0-9]+`), `"$1" : N`},
	{regexp.MustCompile(`"(cluster_id|member_id|raft_term)":[0-9]+`), `"$1":N`},
	{regexp.MustCompile(`"ts":[0-9.]+`), `"ts":T`},
	{regexp.MustCompile(`took = [0-9a-zµ.]+|took [0-9a-zµ.]+`), "took T"},
	{regexp.MustCompile(`"ts":"[^"]*"`), `"ts":T`},
	{regexp.MustCompile(`"target":"[^"]*"`), `"target":HOST`},
	// In hexadecimal without leading zeros, or in decimal: either may be short.
	{regexp.MustCompile(`\b([0-9a-f]{8,16}|[0-9]{17,20})\b`), "ID"},
	{regexp.MustCompile(`[0-9.]+ (MB|kB|B)\b`), "SIZE"},
}

// A table is as wide as the IDs in it, of which one of sixteen is shorter.
var (
	rowOfTable = regexp.MustCompile(`(?m)^[+|].*$`)
	width      = regexp.MustCompile(` +|--+`)
)

func (s *subject) normal(text string) string {
	for _, name := range []string{"{dir}", "{member}"} {
		text = strings.ReplaceAll(text, s.named[name], name)
	}
	for _, i := range incidental {
		text = i.is.ReplaceAllString(text, i.as)
	}
	return rowOfTable.ReplaceAllStringFunc(text, func(row string) string {
		return width.ReplaceAllStringFunc(row, func(w string) string { return w[:1] })
	})
}

// However short its ID is by chance, what is printed of a member is the same.
func TestShortIDs(t *testing.T) {
	member := func(id string) string {
		rule := "+" + strings.Repeat("-", len(id)+2) + "+---------+\n"
		return id + ", started\n" + rule + fmt.Sprintf("| %-*s | STATUS  |\n", len(id), "ID") + rule + "| " + id + " | started |\n" + rule
	}
	s := &subject{named: map[string]string{"{dir}": "{dir}", "{member}": "{member}"}}
	want := s.normal(member("8e9e05c52164694d"))
	for _, id := range []string{"8e9e05c52164694", "e9e05c521646", "12345678901", "1234567890123456"} {
		if got := s.normal(member(id)); got != want {
			t.Errorf("%s: %s\nand not %s", id, got, want)
		}
	}
}

func withoutEtcd(env []string) []string {
	var kept []string
	for _, e := range env {
		if !strings.HasPrefix(e, "ETCDCTL_") {
			kept = append(kept, e)
		}
	}
	return kept
}
