package process

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/musterhq/muster/internal/testproc"
	"github.com/musterhq/muster/internal/wire"
)

// otherBuild makes the program from sources in which old is new in one file.
func otherBuild(t *testing.T, name, file, old, new string) string {
	t.Helper()
	file, err := filepath.Abs(filepath.Join("../..", file))
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(source), old) != 1 {
		t.Fatalf("%s doesn't hold %q once", file, old)
	}
	dir := t.TempDir()
	changed, overlay, out := filepath.Join(dir, "changed.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, name)
	b, err := json.Marshal(map[string]any{"Replace": map[string]string{file: changed}})
	if err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string][]byte{changed: []byte(strings.Replace(string(source), old, new, 1)), overlay: b} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := testproc.Build(t.Context(), ".", out, "../../cmd/muster", "-overlay", overlay); err != nil {
		t.Fatal(err)
	}
	return out
}

// A member that comes back as a release of another protocol is refused, both
// sides say so with both versions, and the cluster goes on without it. As the
// right release it goes on where it was.
func TestMixedVersions(t *testing.T) {
	next := otherBuild(t, "next", "internal/wire/hello.go", fmt.Sprintf("const Protocol = %d", wire.Protocol), fmt.Sprintf("const Protocol = %d", wire.Protocol+1))
	ms := formed(t)
	fill(t, dial(t, ms...), "a", 5)
	other := follower(ms, leader(t, ms))
	rest := ms[:0:0]
	for _, m := range ms {
		if m != other {
			rest = append(rest, m)
		}
	}
	other.term()
	other.binary = next
	other.start()
	for _, m := range ms {
		eventually(t, m.name+" says that the protocols differ", func() bool {
			why := m.why()
			return strings.Contains(why, fmt.Sprintf("version %d", wire.Protocol)) && strings.Contains(why, fmt.Sprintf("version %d", wire.Protocol+1)) && strings.Contains(why, "release")
		})
	}
	before, err := rest[0].status()
	if err != nil {
		t.Fatal(err)
	}
	fill(t, dial(t, rest...), "b", 20)
	// Another term would disturb the others when they hear of it. (Theirs may rise
	// without it, on a busy machine.)
	if s, err := other.status(); err != nil || s.Leader != 0 || s.Committed >= before.Committed+20 || s.Term > before.Term {
		t.Fatalf("it takes part: %+v, %v; the others were in term %d", s, err, before.Term)
	}
	if s, err := rest[0].status(); err != nil || len(s.Members) != 3 {
		t.Fatalf("the others were disturbed: %+v, %v", s, err)
	}
	lone := newMember(t, "n4", "--join-only", "--seeds", rest[0].peer)
	lone.binary = next
	lone.start()
	eventually(t, "one that is to join says it, too", func() bool { return strings.Contains(lone.why(), "protocol") })
	eventually(t, "and so does the member that it asked", func() bool {
		return strings.Contains(rest[0].why(), "protocol version") && strings.Contains(rest[0].why(), "n4")
	})
	lone.Kill()

	if code := other.term(); code != 0 {
		t.Fatalf("exit %d", code)
	}
	other.binary = testproc.Muster(t)
	other.start()
	ready(t, ms...)
	same(t, leader(t, ms), other)
	c := dial(t, other)
	full(t, c, "a", 5)
	full(t, c, "b", 20)
}

// Another release of the same protocol takes over one member after the other,
// while clients write. Whatever was acknowledged is there in the end.
func TestRollingUpgrade(t *testing.T) {
	next := otherBuild(t, "next", "start.go", `const Version = "`, `const Version = "9.`)
	t.Parallel() // now that the compiler has had all cores
	ms := formed(t)
	ctx, stop := context.WithCancel(t.Context())
	var acked atomic.Int64
	done := make(chan struct{})
	c := dial(t, ms...)
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil; {
			try, cancel := context.WithTimeout(ctx, 5*time.Second)
			_, err := c.Put(try, fmt.Sprint("w", i), fmt.Sprint("value of w", i))
			cancel()
			if err == nil {
				i++
				acked.Store(int64(i))
			}
		}
	}()
	for _, m := range ms {
		at := acked.Load()
		if code := m.term(); code != 0 {
			t.Fatalf("%s: exit %d", m.name, code)
		}
		m.binary = next
		m.start()
		ready(t, ms...)
		eventually(t, m.name+" is the other release", func() bool {
			var v struct{ Muster string }
			return m.get("/version", &v) == nil && strings.HasPrefix(v.Muster, "9.")
		})
		eventually(t, "writes go on", func() bool { return acked.Load() > at+5 })
	}
	stop()
	<-done
	full(t, dial(t, ms...), "w", int(acked.Load()))
}
