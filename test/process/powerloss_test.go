package process

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/testproc"
)

// quick are flags with which elections don't take long.
var quick = []string{"--heartbeat-interval", "30ms", "--election-timeout", "300ms"}

// All five members are killed in the midst of a change, again and again: two
// voters are demoted or promoted at once, one is removed, one joins. The
// configuration is always one that the cluster had decided on, the same
// everywhere, and no acknowledged write is lost.
func TestPowerLossDuringConfChange(t *testing.T) {
	t.Parallel()
	ms := founders(t, 3)
	for len(ms) < 5 {
		ms = append(ms, newMember(t, fmt.Sprint("n", len(ms)+1), "--join-only", "--seeds", ms[0].args[1]))
	}
	for _, m := range ms {
		m.args = append(slices.Clone(m.args), quick...)
		m.start()
	}
	id := ready(t, ms...)
	l := newLoad(t, 2, ms[0])
	for _, m := range ms[1:] {
		l.add(m)
	}
	five := []string{"policy", "set", "target-voters=5"}
	changes := [][]string{{"policy", "set", "target-voters=3"}, five, {"remove", "n5", "--below-floor"}, nil}
	for round, end := 0, time.Now().Add(20*time.Second); time.Now().Before(end) || round < len(changes); round++ {
		change(t, ms[round%3], changes[round%len(changes)])
		time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond) // any moment of it
		killAll(ms, round%2 == 0)
		restart(t, ms)
		agree(t, ms)
		if got := ready(t, ms...); got != id {
			t.Fatalf("round %d: it is cluster %s, and was %s", round, got, id)
		}
	}
	change(t, ms[0], five)
	voters(t, ms[0], 5)
	l.end()
	for _, m := range ms {
		same(t, ms[0], m)
	}
	l.check(dial(t, ms...))
}

// change has a command running, which has time until the test ends.
func change(t *testing.T, m *member, words []string) {
	t.Helper()
	if words == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	cmd := exec.CommandContext(ctx, testproc.Muster(t), append(words, "--endpoint", m.client)...)
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // whom it asked is killed
		close(ended)
	}()
	t.Cleanup(func() { cancel(); <-ended })
}

// killAll ends all at once, or one after the other in any order.
func killAll(ms []*member, atOnce bool) {
	for _, i := range rand.Perm(len(ms)) {
		ms[i].Signal(syscall.SIGKILL)
		if !atOnce {
			time.Sleep(time.Duration(rand.IntN(30)) * time.Millisecond) // any moment of it
		}
	}
	for _, m := range ms {
		<-m.Done()
	}
}

// restart starts all, and one that was removed with an empty directory.
func restart(t *testing.T, ms []*member) {
	t.Helper()
	for _, m := range ms {
		m.start()
	}
	last := ms[len(ms)-1]
	eventually(t, "the last is a member, or hears that it was removed", func() bool {
		revive(last)
		s, err := last.status()
		return err == nil && s.Stage == "member" && s.Leader != 0
	})
}

// revive starts one that has heard that it was removed with an empty directory.
func revive(m *member) {
	m.t.Helper()
	if m.Running() {
		return
	}
	if m.ExitCode() != exitRemoved {
		m.t.Fatalf("%s ended with %d", m.name, m.ExitCode())
	}
	m.wipe()
	m.start()
}

// agree waits until all show the same members in the same roles. The last may
// hear only now that it was removed.
func agree(t *testing.T, ms []*member) {
	t.Helper()
	eventually(t, "all show the same members", func() bool {
		revive(ms[len(ms)-1])
		var first string
		for _, m := range ms {
			s, err := m.status()
			if err != nil || s.Joint || s.Applied != s.Committed {
				return false
			}
			var lines []string
			votes := 0
			for _, x := range s.Members {
				lines = append(lines, fmt.Sprint(x.ID, x.Name, x.Role))
				if x.Role == cluster.Voter {
					votes++
				}
			}
			switch shown := fmt.Sprint(lines); {
			case first == "":
				first = shown
			case shown != first:
				return false
			}
			if votes%2 == 0 {
				t.Fatalf("%s shows an even number of voters: %v", m.name, lines)
			}
		}
		return true
	})
}
