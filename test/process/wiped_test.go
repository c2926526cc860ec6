package process

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/cluster"
)

// wipe empties the disk of a member that is down.
func (m *member) wipe() {
	m.t.Helper()
	if err := os.RemoveAll(m.dir); err != nil {
		m.t.Fatal(err)
	}
}

// fill puts n keys through any of the members.
func fill(t *testing.T, c *clientv3.Client, prefix string, n int) {
	t.Helper()
	for i := range n {
		put(t, c, fmt.Sprint(prefix, i), fmt.Sprint("value of ", prefix, i))
	}
}

// full asks for what fill has put.
func full(t *testing.T, c *clientv3.Client, prefix string, n int) {
	t.Helper()
	for i := range n {
		if got, want := get(t, c, fmt.Sprint(prefix, i)), fmt.Sprint("value of ", prefix, i); got != want {
			t.Fatalf("%s%d is %q, want %q", prefix, i, got, want)
		}
	}
}

// unavailable holds the members for a while to neither forming, nor serving,
// nor showing an empty store.
func unavailable(t *testing.T, ms ...*member) {
	t.Helper()
	c := dial(t, ms...)
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		r, err := c.Get(ctx, "a0")
		cancel()
		if err == nil {
			t.Fatalf("answered a linearizable read with %d keys", r.Count)
		}
	}
}

// Three members hold data; all stop; two lose their disks and are started with
// the same flags, while the third is down. No second cluster comes of it, and
// when the third is back nothing is merged and its data is there.
func TestTwoWipedWhileTheThirdIsDown(t *testing.T) {
	t.Parallel()
	ms := formed(t)
	id := ready(t, ms...)
	fill(t, dial(t, ms...), "a", 20)
	for _, m := range ms {
		m.term()
	}
	third := ms[0]
	for _, m := range ms[1:] {
		m.wipe()
		m.start()
	}
	for _, m := range ms[1:] {
		eventually(t, m.name+" says for whom it waits", func() bool { return strings.Contains(m.why(), third.peer) })
	}
	unavailable(t, ms[1:]...)
	for _, m := range ms[1:] {
		if s, err := m.status(); err != nil || s.Stage == "member" || !s.ClusterID.IsZero() {
			t.Fatalf("%s: stage %q, cluster %s, %v", m.name, s.Stage, s.ClusterID, err)
		}
	}
	third.start()
	eventually(t, "the third is a member of its cluster still", func() bool {
		s, err := third.status()
		return err == nil && s.Stage == "member" && s.ClusterID == id
	})
	unavailable(t, ms...) // two of three disks are gone: nobody may guess
	out, code := muster(t, "get", "--serializable", "a7", "--endpoint", third.client)
	if code != 0 || !strings.Contains(out, "value of a7") {
		t.Fatalf("a serializable read of what the third holds: code %d\n%s", code, out)
	}
	for _, m := range ms[1:] {
		if s, err := m.status(); err != nil || s.ClusterID != (cluster.ClusterID{}) && s.ClusterID != id {
			t.Fatalf("%s is in cluster %s, %v", m.name, s.ClusterID, err)
		}
	}
}

// One stops; keys are written; all stop; another loses its disk; the first and
// the wiped one start. They are unavailable, and never healthy and empty. With
// the last one back, every acknowledged key is there.
func TestWipedBesideOneThatIsBehind(t *testing.T) {
	t.Parallel()
	ms := formed(t)
	a, b, c := ms[0], ms[1], ms[2]
	fill(t, dial(t, ms...), "a", 5)
	c.term()
	fill(t, dial(t, a, b), "b", 20)
	a.term()
	b.term()
	b.wipe()
	b.start()
	c.start()
	eventually(t, "b asks to join", func() bool { s, err := b.status(); return err == nil && s.Stage == "blank" })
	unavailable(t, b, c)
	var healthy struct{ Health string }
	if err := c.get("/health", &healthy); err == nil && healthy.Health == "true" {
		t.Fatal("c says that it is healthy")
	}
	a.start()
	ready(t, a, c)
	client := dial(t, a, c)
	full(t, client, "a", 5)
	full(t, client, "b", 20)
}

// A voter that lost its disk comes back under its name and address as another
// node. It votes in place of the old one once it has caught up; nobody has to do
// anything.
func TestWipedVoterSameAddress(t *testing.T) {
	t.Parallel()
	ms := formed(t)
	fill(t, dial(t, ms...), "a", 10)
	lost := follower(ms, leader(t, ms))
	was, err := lost.status()
	if err != nil {
		t.Fatal(err)
	}
	lost.Kill()
	lost.wipe()
	lost.start()
	others := ms[:0:0]
	for _, m := range ms {
		if m != lost {
			others = append(others, m)
		}
	}
	eventually(t, "the old one is out", func() bool {
		s, err := others[0].status()
		return err == nil && len(s.Members) == 3 && !slices.ContainsFunc(s.Members, func(m cluster.MemberStatus) bool { return m.ID == was.Self.ID })
	})
	ready(t, ms...)
	voters(t, others[0], 3)
	if s, err := lost.status(); err != nil || s.Self.ID == was.Self.ID {
		t.Fatalf("it has the ID %s again, %v", s.Self.ID, err)
	}
	full(t, dial(t, lost), "a", 10)
}

// A leader is stopped (SIGSTOP) while another is elected and takes a write.
// Woken up, it must not answer a read from before.
func TestStaleReadFromPausedLeader(t *testing.T) {
	t.Parallel()
	ms := formed(t)
	old := leader(t, ms)
	put(t, dial(t, ms...), "k", "old")
	others := ms[:0:0]
	for _, m := range ms {
		if m != old {
			others = append(others, m)
		}
	}
	first := dial(t, old)
	if got := get(t, first, "k"); got != "old" { // the connection is up
		t.Fatalf("got %q", got)
	}
	old.Signal(syscall.SIGSTOP)
	leader(t, others)
	put(t, dial(t, others...), "k", "new")
	answer := make(chan string, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		r, err := first.Get(ctx, "k") // waits in the stopped process's socket
		switch {
		case err != nil:
			answer <- "error: " + err.Error()
		case len(r.Kvs) == 0:
			answer <- "nothing"
		default:
			answer <- string(r.Kvs[0].Value)
		}
	}()
	time.Sleep(200 * time.Millisecond) // so that the question is there when it wakes; it is asked again below in any case
	old.Signal(syscall.SIGCONT)
	if got := <-answer; got != "new" && !strings.HasPrefix(got, "error: ") {
		t.Fatalf("the old leader answered %q", got)
	}
	if got := get(t, first, "k"); got != "new" {
		t.Fatalf("asked again, the old leader answered %q", got)
	}
}
