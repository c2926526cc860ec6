package process

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A node without the cluster's token is refused, and told; the token is in no
// log and in no answer.
func TestJoinTokenFile(t *testing.T) {
	t.Parallel()
	const token = "0123456789abcdef-secret"
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n1 := newMember(t, "n1", "--single", "--join-token-file", file, "--log-level", "debug")
	n1.start()
	ready(t, n1)
	n2 := newMember(t, "n2", "--join-only", "--seeds", n1.peer, "--log-level", "debug")
	n2.start()
	eventually(t, "n2 says that it lacks the token", func() bool { return strings.Contains(n2.why(), "token") })
	eventually(t, "n1 says whom it refuses", func() bool { return strings.Contains(n1.why(), "peer_refused") && strings.Contains(n1.why(), "n2") })
	n2.Kill()
	n2.args = append(n2.args, "--join-token-file", file)
	n2.start()
	ready(t, n1, n2)
	for _, m := range []*member{n1, n2} {
		out, code := muster(t, "status", "--endpoint", m.client, "--output", "json")
		if code != 0 || strings.Contains(out+m.Said()+m.why(), "secret") {
			t.Errorf("%s tells the token, or nothing: code %d", m.name, code)
		}
	}
	if out, code := muster(t, "serve", "--data-dir", t.TempDir(), "--single", "--join-token-file", filepath.Join(t.TempDir(), "none")); code != 2 || !strings.Contains(out, "join-token-file") {
		t.Errorf("no file: exit %d\n%s", code, out)
	}
}
