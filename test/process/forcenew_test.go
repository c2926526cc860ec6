package process

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	lib "github.com/musterhq/muster"
)

// inspect is `muster recover inspect` on a stopped member.
func (m *member) inspect() lib.Inspection {
	m.t.Helper()
	out, code := muster(m.t, "recover", "inspect", "--data-dir", m.dir, "--output", "json")
	var r lib.Inspection
	if err := json.Unmarshal([]byte(out), &r); code != 0 || err != nil {
		m.t.Fatalf("inspect %s: code %d, %v\n%s", m.name, code, err, out)
	}
	return r
}

// Three of five are lost for good. The cluster is re-formed around the better of
// the survivors, which keeps every acknowledged key that it held; those that
// come back with their old disks are refused, told, and end; none of what they
// hold is merged. Wiped, they join.
func TestForceNewClusterThenOldNodesReturn(t *testing.T) {
	t.Parallel()
	ms := founders(t, 5)
	for _, m := range ms {
		m.start()
	}
	id := ready(t, ms...)
	voters(t, ms[0], 5)
	fill(t, dial(t, ms...), "a", 20)
	l := leader(t, ms)
	behind := follower(ms, l)
	behind.Kill()
	running := slices.DeleteFunc(slices.Clone(ms), func(m *member) bool { return m == behind })
	fill(t, dial(t, running...), "b", 20) // beyond what the one that is behind holds
	var best *member
	for _, m := range running {
		if m != l && best == nil {
			best = m
		}
	}
	same(t, l, best)
	for _, m := range running {
		m.Kill()
	}

	if _, code := muster(t, "recover", "force-new", "--data-dir", best.dir); code != 2 {
		t.Fatalf("without a word that it is meant: code %d", code)
	}
	mine, others := best.inspect(), behind.inspect()
	if mine.Compare(&others) <= 0 || len(mine.Members) != 5 {
		t.Fatalf("the better survivor doesn't compare so: %+v and %+v", mine, others)
	}
	out, code := muster(t, "recover", "force-new", "--data-dir", best.dir, "--cluster", "muster")
	if code != 0 {
		t.Fatalf("force-new: code %d\n%s", code, out)
	}
	for _, m := range ms {
		if m != best && !strings.Contains(out, m.name) {
			t.Errorf("it doesn't say that %s is given up:\n%s", m.name, out)
		}
	}

	best.start()
	if got := ready(t, best); got != id {
		t.Fatalf("it is in cluster %s, was in %s", got, id)
	}
	if out, code := muster(t, "recover", "inspect", "--data-dir", best.dir); code != exitData || !strings.Contains(out, "in use") {
		t.Errorf("inspect while it runs: code %d\n%s", code, out)
	}
	c := dial(t, best)
	full(t, c, "a", 20)
	full(t, c, "b", 20)
	put(t, c, "new", "generation")
	if s, err := best.status(); err != nil || s.Generation != 1 || len(s.Members) != 1 {
		t.Fatalf("generation %d, members %+v, %v", s.Generation, s.Members, err)
	}

	for _, m := range ms {
		if m == best {
			continue
		}
		m.start()
		if code := m.exit(); code != exitData || !strings.Contains(m.Said(), "re-formed without") || !strings.Contains(m.Said(), "empty") {
			t.Fatalf("%s, of before: exit %d", m.name, code)
		}
		eventually(t, "the new generation says that it refuses "+m.name, func() bool {
			return strings.Contains(best.why(), "of before the cluster was re-formed") && strings.Contains(best.why(), m.name)
		})
	}
	best.Kill() // nobody can tell them now: they must know by themselves
	for _, m := range ms {
		if m != best {
			m.start()
			if code := m.exit(); code != exitData {
				t.Fatalf("%s, started again: exit %d", m.name, code)
			}
		}
	}
	best.start()
	ready(t, best)

	for _, m := range ms {
		if m != best {
			m.wipe()
			m.args = []string{"--join-only", "--seeds", best.peer}
			m.start()
		}
	}
	if got := ready(t, ms...); got != id {
		t.Fatalf("they are in cluster %s, not %s", got, id)
	}
	voters(t, best, 5)
	c = dial(t, ms...)
	full(t, c, "a", 20)
	full(t, c, "b", 20)
	if got := get(t, c, "new"); got != "generation" {
		t.Fatalf("new is %q", got)
	}
	for _, m := range ms {
		if s, err := m.status(); err != nil || s.Generation != 1 {
			t.Errorf("%s is of generation %d, %v", m.name, s.Generation, err)
		}
	}
}

// Those that were given up come back all at once, as a majority of the old
// cluster, and elect a leader before they meet the one that was re-formed. When
// they do, they stop; their writes of that time don't get into the new one.
func TestOldMajorityMeetsTheReformed(t *testing.T) {
	t.Parallel()
	ms := formed(t)
	fill(t, dial(t, ms...), "a", 5)
	for _, m := range ms {
		m.term()
	}
	best, old := ms[0], ms[1:]
	if out, code := muster(t, "recover", "force-new", "--data-dir", best.dir, "--yes"); code != 0 {
		t.Fatalf("force-new: code %d\n%s", code, out)
	}
	for _, m := range old {
		m.start()
	}
	ready(t, old...)
	put(t, dial(t, old...), "old", "majority")
	best.start()
	for _, m := range old {
		if code := m.exit(); code != exitData {
			t.Fatalf("%s: exit %d, want %d", m.name, code, exitData)
		}
	}
	ready(t, best)
	c := dial(t, best)
	full(t, c, "a", 5)
	if got := get(t, c, "old"); got != "" {
		t.Fatalf("a write of the old majority is %q in the new one", got)
	}
	if s, err := best.status(); err != nil || len(s.Members) != 1 {
		t.Fatalf("members %+v, %v", s.Members, err)
	}
}
