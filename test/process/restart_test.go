package process

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/musterhq/muster/cluster"
)

// One member grows to three and to five while clients work. Each of the five is
// stopped and started in turn, the leader too: what clients saw is linearizable,
// and each acknowledged write is there, once.
func TestGrowUnderLoad(t *testing.T) {
	// Elections are counted: a leader that a busy machine holds up is not to be
	// followed by another for that.
	patient := []string{"--election-timeout", (3 * electionTimeout).String()}
	n1 := newMember(t, "n1", append(patient, "--single")...)
	ms := []*member{n1}
	n1.start()
	ready(t, n1)
	l, w := newLoad(t, 3, n1), newWitnesses(t, 4, n1)
	for _, n := range []int{3, 5} {
		for len(ms) < n {
			m := newMember(t, fmt.Sprint("n", len(ms)+1), append(patient, "--join-only", "--seeds", n1.peer)...)
			m.start()
			ready(t, m)
			ms = append(ms, m)
			l.add(m)
			w.through(ms...)
		}
		voters(t, n1, n)
	}
	roll(t, ms, l)
	l.end()
	w.check()
	l.check(dial(t, ms...))
}

// roll stops each member with SIGTERM and starts it again, the leader when its
// turn comes. A leader hands over: another leads when it has ended, so that
// what it costs is one election, and none when a follower stops.
func roll(t *testing.T, ms []*member, l *load) {
	t.Helper()
	terms, elections := term(t, ms), uint64(0)
	for _, m := range ms {
		others := make([]*member, 0, len(ms)-1)
		for _, o := range ms {
			if o != m {
				others = append(others, o)
			}
		}
		led := leader(t, ms) == m
		if code := m.term(); code != 0 {
			t.Errorf("%s: SIGTERM: exit %d", m.name, code)
		}
		if led {
			elections++
			if !anyLeads(others) {
				t.Errorf("%s ended before another led", m.name)
			}
		}
		l.resumes(time.Now())
		m.start()
		ready(t, m)
		same(t, m, leader(t, ms))
	}
	// A busy machine may have held one up for longer than a leader may be silent.
	const spare = 3
	if rose := term(t, ms) - terms; rose > elections+spare {
		t.Errorf("%d elections, while leaders were stopped %d times", rose, elections)
	}
}

func anyLeads(ms []*member) bool {
	for _, m := range ms {
		if s, err := m.status(); err == nil && s.Leader != 0 && s.Leader == s.Self.ID {
			return true
		}
	}
	return false
}

// term is the highest that any of the members knows.
func term(t *testing.T, ms []*member) uint64 {
	t.Helper()
	most := uint64(0)
	for _, m := range ms {
		if s, err := m.status(); err == nil {
			most = max(most, s.Term)
		}
	}
	if most == 0 {
		t.Fatal("nobody knows a term")
	}
	return most
}

// Three members stop, all of them, and start again in each order: told to stop,
// and killed. It is the same cluster each time, with everything in it.
func TestStopAllStartAll(t *testing.T) {
	t.Parallel()
	ms := founders(t, 3)
	for _, m := range ms {
		m.args = append(m.args, quick...)
		m.start()
	}
	id, kept := ready(t, ms...), 0
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
			put(t, dial(t, ms...), fmt.Sprint("a", kept), fmt.Sprint("value of a", kept))
			kept++
			for _, m := range ms {
				m.Signal(s)
			}
			for _, m := range ms {
				m.exit()
			}
			for k, i := range order {
				ms[i].start()
				if k == 0 {
					standsAlone(t, ms[i], id)
				}
			}
			if got := ready(t, ms...); got != id {
				t.Fatalf("after %v in the order %v it is cluster %s, and was %s", s, order, got, id)
			}
			full(t, dial(t, ms...), "a", kept)
		}
	}
	voters(t, ms[0], 3)
}

// standsAlone waits until a member of three is up, and holds it to leading
// nothing.
func standsAlone(t *testing.T, m *member, id cluster.ClusterID) {
	t.Helper()
	eventually(t, m.name+" is a member that waits", func() bool {
		s, err := m.status()
		if err == nil && s.Leader != 0 {
			t.Fatalf("%s, alone of three, has the leader %s", m.name, s.Leader)
		}
		return err == nil && s.Stage == "member" && s.ClusterID == id
	})
}
