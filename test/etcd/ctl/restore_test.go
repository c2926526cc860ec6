package ctl

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/musterhq/muster/test/etcd/internal/system"
)

// TestRestore makes a new cluster of what etcdctl saved: muster alone, for
// etcd restores with a tool of its own.
func TestRestore(t *testing.T) {
	ctl, err := system.Build("etcdctl", "test/etcd/tools", "go.etcd.io/etcd/etcdctl/v3")
	if err != nil {
		t.Fatal(err)
	}
	s := newSubject(t, ctl, system.Muster)
	for _, line := range []string{"put a 1", "put a 2", "lease grant 1000", "put l held --lease={lease}", "user add u:pw", "snapshot save {dir}/snapshot"} {
		if out, code := s.run(line); code != 0 {
			t.Fatalf("etcdctl %s: code %d: %s", line, code, out)
		}
	}
	questions := []string{"get '' --prefix -w fields", "get a --rev 2", "lease list", "user list"}
	var before []string
	for _, line := range questions {
		out, _ := s.run(line)
		before = append(before, out)
	}
	s.member.Kill()
	if err := os.RemoveAll(s.member.Dir); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(s.member.Binary(), "restore", s.named["{dir}"]+"/snapshot", "--data-dir="+s.member.Dir, "--name="+s.member.Name)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("muster restore: %v: %s", err, out)
	}
	if err := s.member.Start(); err != nil {
		t.Fatal(err)
	}
	if err := s.member.WaitReady(); err != nil {
		t.Fatal(err)
	}
	for i, line := range questions {
		after, code := s.run(line)
		if code != 0 || withoutTerm(after) != withoutTerm(before[i]) {
			t.Errorf("etcdctl %s\n  before:\n%s\n  after, code %d:\n%s", line, before[i], code, after)
		}
	}
}

// withoutTerm drops the lines that are the cluster's: there is a new one.
func withoutTerm(out string) string {
	var kept []string
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, `"ClusterID"`) && !strings.HasPrefix(line, `"MemberID"`) && !strings.HasPrefix(line, `"RaftTerm"`) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}
