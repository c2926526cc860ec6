package muster_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/mustertest"
)

// load is clients that propose without end, each command once.
type load struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	at     []*mustertest.Member
	acked  []string
	failed map[string]error
}

// startLoad begins with the members that run now.
func startLoad(c *mustertest.Cluster, clients int) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{cancel: cancel, failed: map[string]error{}}
	for _, name := range c.Running() {
		l.at = append(l.at, c.Member(name))
	}
	for i := range clients {
		l.wg.Go(func() { l.client(ctx, i) })
	}
	return l
}

// through adds a member to propose at.
func (l *load) through(m *mustertest.Member) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at = append(l.at, m)
}

func (l *load) client(ctx context.Context, i int) {
	for n := 0; ctx.Err() == nil; n++ {
		l.mu.Lock()
		m := l.at[(i+n)%len(l.at)]
		l.mu.Unlock()
		command := fmt.Sprintf("client-%d-%d", i, n)
		once, cancel := context.WithTimeout(ctx, time.Second)
		_, err := m.Propose(once, []byte(command))
		cancel()
		l.mu.Lock()
		if err == nil {
			l.acked = append(l.acked, command)
		} else {
			l.failed[command] = err
		}
		l.mu.Unlock()
		time.Sleep(10 * time.Millisecond)
	}
}

// stop ends the clients: what was acknowledged, and what was not, and why.
func (l *load) stop() (acked []string, failed map[string]error) {
	l.cancel()
	l.wg.Wait()
	return l.acked, l.failed
}

// never makes sure that what was said not to have happened did not, and that
// of what nobody knows nothing happened twice.
func never(t *testing.T, c *mustertest.Cluster, failed map[string]error) {
	t.Helper()
	for _, name := range c.Running() {
		counts := map[string]int{}
		for _, x := range c.Member(name).Journal().Commands() {
			counts[x.Command]++
		}
		for command, err := range failed {
			if n := counts[command]; n > 1 || n == 1 && knows(t, err) {
				t.Errorf("%s applied %q %d times, and its client was told: %v", name, command, n, err)
			}
		}
	}
}

// TestOutcomes: whatever happens to members and network, what was acknowledged
// is there once, what was said not to have happened is not, and no answer says
// anything else than one of the two or "nobody knows".
func TestOutcomes(t *testing.T) {
	for seed := range 3 {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			story(t, func(t *testing.T) { outcomes(t, seed) })
		})
	}
}

func outcomes(t *testing.T, seed int) {
	ctx := t.Context()
	c := formed(t, mustertest.Options{Config: func(_ string, c *muster.Config) { c.SnapshotLogBytes = 4 << 10 }})
	load := startLoad(c, 6)
	for round := range 6 {
		time.Sleep(time.Duration(300+70*seed) * time.Millisecond)
		leader := c.Leader(ctx)
		other := c.Others(leader.Name)[(round+seed)%2]
		switch (round + seed) % 6 {
		case 0:
			c.Isolate(leader.Name)
		case 1:
			c.Block(other, leader.Name)
		case 2:
			c.Crash(leader.Name)
		case 3:
			_ = leader.Transfer(within(t, time.Second), 0)
		case 4:
			c.Cut(leader.Name, other)
			c.Cut(leader.Name, c.Others(leader.Name, other)[0])
		case 5:
			c.Crash()
		}
		time.Sleep(2 * time.Second)
		c.Heal()
		for _, name := range c.Founders() {
			if c.Member(name).Status().State == "stopped" {
				c.Start(name)
				load.through(c.Member(name))
			}
		}
		c.Ready(ctx)
	}
	acked, failed := load.stop()
	c.Agree(ctx)
	once(t, c, acked...)
	never(t, c, failed)
	told := map[string]int{}
	for _, err := range failed {
		for _, sort := range []error{muster.ErrUnknownOutcome, muster.ErrNotLeader, muster.ErrStopped} {
			if errors.Is(err, sort) {
				told[sort.Error()]++
			}
		}
	}
	t.Logf("%d acknowledged, failed: %v", len(acked), told)
	if len(acked) < 50 || told[muster.ErrUnknownOutcome.Error()] == 0 {
		t.Error("the story did not happen as it is told")
	}
}
