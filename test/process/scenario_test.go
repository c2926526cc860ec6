package process

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"
)

// A node told to join never founds, however long nobody answers.
func TestJoinerBootstrapsItself(t *testing.T) {
	t.Parallel()
	n1 := newMember(t, "n1", "--single")
	n2 := newMember(t, "n2", "--join-only", "--seeds", n1.peer)
	n2.start()
	eventually(t, "n2 says what it waits for", func() bool {
		return strings.Contains(n2.why(), n1.peer)
	})
	time.Sleep(3 * time.Second) // three election timeouts in which it must not found
	if s, err := n2.status(); err != nil || s.Stage != "blank" {
		t.Fatalf("n2 alone: stage %q, %v", s.Stage, err)
	}
	n1.start()
	ready(t, n1, n2)
	if s, _ := n1.status(); len(s.Members) != 2 {
		t.Fatalf("members: %+v", s.Members)
	}
}

// Any start order, with pauses: one cluster, and nothing before all are there.
func TestThreeNodeFormationTimesOut(t *testing.T) {
	t.Parallel()
	order := rand.Perm(3)
	t.Logf("start order %v", order)
	ms := founders(t, 3)
	for k, i := range order {
		ms[i].start()
		if k < 2 {
			eventually(t, ms[i].name+" says for whom it waits", func() bool {
				return strings.Contains(ms[i].why(), ms[order[2]].peer)
			})
			// A pause longer than an election timeout; nothing may form.
			time.Sleep(1500 * time.Millisecond)
			if s, err := ms[i].status(); err != nil || s.Stage == "member" {
				t.Fatalf("with %d of 3 founders: stage %q, %v", k+1, s.Stage, err)
			}
		}
	}
	ready(t, ms...)
	c := dial(t, ms...)
	put(t, c, "a", "b")
	if got := get(t, c, "a"); got != "b" {
		t.Fatalf("got %q", got)
	}
}

// The very first messages to a new member meet no connection yet. It catches
// up all the same, and with no further proposal.
func TestFirstAppendLostConnectionNotUp(t *testing.T) {
	t.Parallel()
	n1 := newMember(t, "n1", "--single")
	n1.start()
	ready(t, n1)
	put(t, dial(t, n1), "a", "b")
	n2 := newMember(t, "n2", "--join-only", "--seeds", n1.peer)
	n2.start()
	ready(t, n2)
	same(t, n1, n2)
}

// same waits until both have applied the same index.
func same(t *testing.T, a, b *member) {
	t.Helper()
	eventually(t, a.name+" and "+b.name+" have applied the same", func() bool {
		x, err1 := a.status()
		y, err2 := b.status()
		return err1 == nil && err2 == nil && x.Applied == y.Applied && x.Applied == x.Committed
	})
}

// Leader at index 3 or later, joiner at 0, no snapshot taken yet.
func TestEmptyLogJoiner(t *testing.T) {
	t.Parallel()
	ms := formed(t)
	c := dial(t, ms...)
	for i := range 5 {
		put(t, c, fmt.Sprint("k", i), "v")
	}
	n4 := newMember(t, "n4", "--join-only", "--seeds", ms[1].peer)
	n4.start()
	ready(t, n4)
	if got := get(t, dial(t, n4), "k4"); got != "v" {
		t.Fatalf("through the joiner: %q", got)
	}
}

// A node that comes late to a formed cluster, with the founders' flags, joins
// it; also one that sits at a seed's address with a wiped disk.
func TestLateNodeMeetsFormedCluster(t *testing.T) {
	t.Parallel()
	ms := formed(t)
	id := ready(t, ms...)
	late := newMember(t, "n4", ms[0].args...)
	late.start()
	if got := ready(t, late); got != id {
		t.Fatalf("cluster %s, want %s", got, id)
	}
}

// Two clusters with different names, and two with the same, never mix.
func TestWrongClusterContact(t *testing.T) {
	t.Parallel()
	red := newMember(t, "red", "--single", "--cluster", "red")
	blue := newMember(t, "blue", "--single", "--cluster", "blue")
	red.start()
	blue.start()
	ready(t, red)
	ready(t, blue)
	lost := newMember(t, "lost", "--join-only", "--cluster", "red", "--seeds", blue.peer)
	lost.start()
	eventually(t, "lost says that the cluster is another", func() bool {
		return strings.Contains(lost.why(), "cluster_name_differs")
	})
	if s, _ := blue.status(); len(s.Members) != 1 {
		t.Fatalf("blue has %+v", s.Members)
	}
	// The same name, but two clusters: a node that sees both joins neither.
	red2 := newMember(t, "red2", "--single", "--cluster", "red")
	red2.start()
	ready(t, red2)
	torn := newMember(t, "torn", "--join-only", "--cluster", "red", "--seeds", red.peer+","+red2.peer)
	torn.start()
	eventually(t, "torn tells of the conflict", func() bool {
		return strings.Contains(torn.why(), "conflict")
	})
	if s, _ := torn.status(); s.Stage != "blank" {
		t.Fatalf("torn is %s", s.Stage)
	}
}

// A removed node is told, ends with its own exit code, and refuses to start
// again on that directory. An empty one lets it join as a new member.
func TestRemovedNodeComesBack(t *testing.T) {
	t.Parallel()
	ms := formed(t)
	l := leader(t, ms)
	gone := follower(ms, l)
	if out, code := muster(t, "remove", gone.name, "--below-floor", "--endpoint", l.client); code != 0 {
		t.Fatalf("remove: exit %d\n%s", code, out)
	}
	if code := gone.exit(); code != exitRemoved {
		t.Fatalf("the removed node ended with %d, want %d", code, exitRemoved)
	}
	gone.start()
	if code := gone.exit(); code != exitRemoved || !strings.Contains(gone.Said(), "removed") {
		t.Fatalf("started again: exit %d", code)
	}
	put(t, dial(t, l), "a", "b")
	if err := os.RemoveAll(gone.dir); err != nil {
		t.Fatal(err)
	}
	gone.start()
	ready(t, gone)
}

const exitRemoved = 3

// A member that was down while it was removed learns of it when it comes back.
func TestRemovedWhileDown(t *testing.T) {
	t.Parallel()
	ms := formed(t)
	l := leader(t, ms)
	gone := follower(ms, l)
	gone.Kill()
	if out, code := muster(t, "remove", gone.name, "--below-floor", "--endpoint", l.client); code != 0 {
		t.Fatalf("remove: exit %d\n%s", code, out)
	}
	gone.start()
	if code := gone.exit(); code != exitRemoved {
		t.Fatalf("exit %d, want %d", code, exitRemoved)
	}
}

// Leave gives up membership; SIGTERM does not.
func TestStopIsNotLeave(t *testing.T) {
	t.Parallel()
	ms := formed(t)
	l := leader(t, ms)
	if code := l.term(); code != 0 {
		t.Fatalf("SIGTERM: exit %d", code)
	}
	var rest []*member
	handedOver := false
	for _, m := range ms {
		if m != l {
			rest = append(rest, m)
			s, err := m.status()
			handedOver = handedOver || err == nil && s.Leader == s.Self.ID
		}
	}
	if !handedOver {
		t.Error("it ended before another led")
	}
	put(t, dial(t, rest...), "a", "b")
	l.start()
	ready(t, l)
	if out, code := muster(t, "leave", "--endpoint", l.client); code != 1 || !strings.Contains(out, "--below-floor") {
		t.Fatalf("leave, of three: exit %d\n%s", code, out)
	}
	if out, code := muster(t, "leave", "--below-floor", "--endpoint", l.client); code != 0 {
		t.Fatalf("leave: exit %d\n%s", code, out)
	}
	if code := l.exit(); code != exitRemoved {
		t.Fatalf("exit %d after leave, want %d", code, exitRemoved)
	}
	eventually(t, "two members are left", func() bool {
		s, err := rest[0].status()
		return err == nil && len(s.Members) == 2
	})
}

// The last voter can't be removed.
func TestRemoveLeaderSelfLastVoter(t *testing.T) {
	t.Parallel()
	n1 := newMember(t, "n1", "--single")
	n1.start()
	ready(t, n1)
	out, code := muster(t, "leave", "--endpoint", n1.client)
	if code == 0 || !strings.Contains(out, "only voter") {
		t.Fatalf("exit %d:\n%s", code, out)
	}
	put(t, dial(t, n1), "a", "b")
}

// A follower that was away while the log was compacted is caught up by a
// snapshot. All others are started again before it comes back: what a leader
// sent meanwhile waits for it in memory, and could be all that it misses.
func TestLogCompactedNeedsSnapshot(t *testing.T) {
	t.Parallel()
	ms := founders(t, 3)
	for _, m := range ms {
		m.start("--snapshot-log-bytes", "1048576")
	}
	ready(t, ms...)
	l := leader(t, ms)
	away := follower(ms, l)
	c := dial(t, l)
	put(t, c, "first", "1")
	same(t, l, away)
	away.Kill()
	before, err := l.status() // it may have got as much as that
	if err != nil {
		t.Fatal(err)
	}
	value := strings.Repeat("x", 64<<10)
	i := 0
	var others []*member
	for _, m := range ms {
		if m != away {
			others = append(others, m)
		}
	}
	eventually(t, "the logs are compacted beyond what it holds", func() bool {
		put(t, c, fmt.Sprint("k", i%8), value)
		i++
		for _, m := range others {
			if s, err := m.status(); err != nil || s.First <= before.Last+1 {
				return false
			}
		}
		return true
	})
	for _, m := range others {
		m.Kill()
		m.start("--snapshot-log-bytes", "1048576")
	}
	ready(t, others...)
	l = leader(t, others)
	away.start("--snapshot-log-bytes", "1048576")
	ready(t, away)
	same(t, l, away)
	eventually(t, "it tells that it was caught up by a snapshot", func() bool {
		return strings.Contains(away.Said(), "installed the snapshot")
	})
	if got := get(t, dial(t, away), fmt.Sprint("k", (i-1)%8)); got != value {
		t.Fatalf("got %d bytes", len(got))
	}
}
