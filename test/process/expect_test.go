package process

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// split makes members of different sides unable to reach each other, and heal
// undoes it. Everybody else, such as clients, reaches all of them.
func (l *lan) split(sides ...[]int) (heal func()) {
	l.t.Helper()
	each := func(verb string) {
		for i, side := range sides {
			for j, other := range sides {
				for _, a := range side {
					for _, b := range other {
						if i != j {
							run(l.t, "ip", "-n", l.ns(a), "route", verb, "blackhole", l.addr(b)+"/32")
						}
					}
				}
			}
		}
	}
	each("add")
	return func() { each("del") }
}

func (l *lan) ns(n int) string { return fmt.Sprintf("%sn%d", l.id, n) }

// inNoCluster holds members for a while to founding nothing.
func inNoCluster(t *testing.T, ms ...*member) {
	t.Helper()
	time.Sleep(3 * time.Second) // three election timeouts in which it must not happen
	for _, m := range ms {
		if s, err := m.status(); err != nil || s.Stage == "member" || !s.ClusterID.IsZero() {
			t.Fatalf("%s: stage %q, cluster %s, %v", m.name, s.Stage, s.ClusterID, err)
		}
	}
}

// says waits until each member gives a reason with that code.
func says(t *testing.T, code string, ms ...*member) {
	t.Helper()
	for _, m := range ms {
		eventually(t, m.name+" says "+code, func() bool { return strings.Contains(m.why(), `"`+code+`"`) })
	}
}

// Of four nodes that expect three, two that are cut off from the other two
// found nothing. Healed, all four are in one cluster.
func TestOpenRosterSplit2of4(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	var seeds []string
	for i := range 4 {
		seeds = append(seeds, l.addr(i+1)+":2380")
	}
	var ms []*member
	for i := range 4 {
		ms = append(ms, l.member("--expect", "3", "--seeds", strings.Join(slices.Concat(seeds[i:], seeds[:i]), ",")))
	}
	heal := l.split([]int{1, 2}, []int{3, 4})
	for _, m := range ms {
		m.start()
	}
	says(t, "too_few_eligible", ms...)
	inNoCluster(t, ms...)
	heal()
	ready(t, ms...)
}

// Six blank nodes, each of which lists all six in another order, expect three:
// none founds, for two clusters could come of it, and each says so. With one
// of them stopped the others found by themselves; the one that comes back joins.
func TestMoreNodesThanExpected(t *testing.T) {
	t.Parallel()
	var ms []*member
	var seeds []string
	for i := range 6 {
		ms = append(ms, newMember(t, fmt.Sprint("n", i+1)))
		seeds = append(seeds, ms[i].peer)
	}
	// Ticks are long, so that all are up before the first three have seen each
	// other for as long as it takes to found: ten of them.
	slow := []string{"--heartbeat-interval", "1s", "--election-timeout", "5s"}
	for i, m := range ms {
		m.args = append([]string{"--expect", "3", "--seeds", strings.Join(slices.Concat(seeds[i:], seeds[:i]), ",")}, slow...)
		m.start()
	}
	says(t, "too_many_eligible", ms...)
	out, code := muster(t, "why", "--endpoint", ms[0].client)
	if code != 0 || !strings.Contains(out, "6 nodes are there to found a cluster of 3") || !strings.Contains(out, "way out: stop some until fewer than 6 are left") {
		t.Fatalf("muster why: code %d\n%s", code, out)
	}
	inNoCluster(t, ms...)
	late := ms[3]
	late.Kill()
	id := ready(t, slices.DeleteFunc(slices.Clone(ms), func(m *member) bool { return m == late })...)
	late.start()
	if got := ready(t, late); got != id {
		t.Fatalf("the late one is in cluster %s, not %s", got, id)
	}
}

// What a node is told of others may be itself, part, or nobody's address: it
// is enough that somebody knows somebody.
func TestDiscoveryReturnsSelfOrPart(t *testing.T) {
	t.Parallel()
	var ms []*member
	for i := range 5 {
		ms = append(ms, newMember(t, fmt.Sprint("n", i+1)))
	}
	nobody := newMember(t, "nobody").peer // is never started
	for i, told := range []string{
		ms[0].peer,
		ms[0].peer,
		ms[1].peer + "," + nobody,
		ms[3].peer + "," + ms[2].peer,
		nobody + "," + ms[4].peer + "," + ms[1].peer,
	} {
		ms[i].args = []string{"--expect", "3", "--seeds", told}
	}
	for _, m := range ms[:2] {
		m.start()
	}
	says(t, "too_few_eligible", ms[:2]...)
	inNoCluster(t, ms[:2]...)
	for _, m := range ms[2:4] {
		m.start()
	}
	id := ready(t, ms[:4]...)
	ms[4].start()
	if got := ready(t, ms[4]); got != id {
		t.Fatalf("the late one is in cluster %s, not %s", got, id)
	}
}

// Two clusters of one name meet, since one lists a member of the other among its
// seeds. Nothing is merged, and both tell.
func TestTwoClustersMeet(t *testing.T) {
	t.Parallel()
	a, b := newMember(t, "a", "--single"), newMember(t, "b", "--single")
	a.start()
	b.start()
	first, second := ready(t, a), ready(t, b)
	b.Kill()
	b.args = []string{"--join-only", "--seeds", a.peer}
	b.start()
	says(t, "conflict_two_clusters", a, b)
	for _, m := range []*member{a, b} {
		out, code := muster(t, "why", "--endpoint", m.client)
		if code != 0 || !strings.Contains(out, first.String()) || !strings.Contains(out, second.String()) {
			t.Fatalf("%s: code %d\n%s", m.name, code, out)
		}
		if s, err := m.status(); err != nil || len(s.Members) != 1 {
			t.Fatalf("%s has %d members, %v", m.name, len(s.Members), err)
		}
	}
}
