package muster_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/mustertest"
	"github.com/musterhq/muster/statemachine"
)

// gate is a machine's Before that can be shut.
type gate struct {
	mu   sync.Mutex
	open chan struct{} // closed: commands pass
}

func newGate() *gate {
	g := &gate{open: make(chan struct{})}
	close(g.open)
	return g
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = make(chan struct{})
}

func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.open)
}

func (g *gate) pass(uint64, []statemachine.Entry) error {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	<-open
	return nil
}

// gated is a cluster whose n1 applies only while the gate is open.
func gated(t *testing.T, opt mustertest.Options) (*mustertest.Cluster, *gate) {
	g := newGate()
	opt.Machine = func(name string) statemachine.Machine {
		j := &mustertest.Journal{}
		if name == "n1" {
			j.Before = g.pass
		}
		return j
	}
	return formed(t, opt), g
}

// TestCommittedNeverHandedToApplier: the applied index moves when the machine
// has applied, not when entries are committed or handed out; nobody who waits
// for it is let go before.
func TestCommittedNeverHandedToApplier(t *testing.T) {
	story(t, func(t *testing.T) {
		ctx := t.Context()
		c, g := gated(t, mustertest.Options{})
		n1, n2 := c.Member("n1"), c.Member("n2")
		propose(t, n2, "a")
		c.Agree(ctx)
		g.shut()
		before := n1.Status().Applied
		propose(t, n2, "b")
		propose(t, n2, "c")
		time.Sleep(time.Second)
		if s := n1.Status(); s.Applied != before || s.Committed < before+2 {
			t.Errorf("n1 has applied %d and knows %d to be committed; its machine is at %d", s.Applied, s.Committed, before)
		}
		if _, err := n1.ReadIndex(within(t, time.Second)); err == nil {
			t.Error("a read was let go before its machine was up to date")
		}
		if _, err := n1.Propose(within(t, time.Second), []byte("d")); !errors.Is(err, muster.ErrUnknownOutcome) {
			t.Errorf("a command that is committed but not applied here: %v, want %v", err, muster.ErrUnknownOutcome)
		}
		g.release()
		c.Agree(ctx)
		once(t, c, "a", "b", "c", "d")
	})
}

// TestWritesOutliveTheirLeader: what a leader has in hand when it dies is not
// lost until its clients give up. Their members learn from the next leader's
// log what became of it, and ask again for what did not happen.
func TestWritesOutliveTheirLeader(t *testing.T) {
	story(t, func(t *testing.T) {
		ctx := t.Context()
		c := formed(t, mustertest.Options{})
		var pauses []time.Duration
		for round := range 5 {
			leader := c.Leader(ctx)
			var all []string
			var writes sync.WaitGroup
			write := func(member, command string) {
				all = append(all, command)
				writes.Go(func() {
					if _, err := c.Member(member).Propose(within(t, mustertest.Patience), []byte(command)); err != nil {
						t.Errorf("%s at %s: %v", command, member, err)
					}
				})
			}
			for _, name := range c.Others(leader.Name) {
				for k := range 20 {
					write(name, fmt.Sprintf("%s-%d-%d", name, round, k))
				}
			}
			if round%2 == 0 {
				synctest.Wait() // they are on their way, or done
			}
			c.Crash(leader.Name)
			crashed := time.Now()
			for _, name := range c.Running() { // they think that it leads
				write(name, fmt.Sprintf("%s-%d-late", name, round))
			}
			writes.Wait()
			pauses = append(pauses, time.Since(crashed))
			c.Start(leader.Name)
			c.Agree(ctx)
			once(t, c, all...)
		}
		// Where two candidates split the vote it takes longer, which all five never do.
		if limit := 3 * c.Config("n1").ElectionTimeout; slices.Min(pauses) > limit {
			t.Errorf("all were written after %v, and three election timeouts are %v", pauses, limit)
		}
	})
}

// TestReadsAreNeverStale: a read sees each command that was acknowledged
// before it began, wherever it is done: at a sole voter that has just come
// back and at a leader that no longer is one, too.
func TestReadsAreNeverStale(t *testing.T) {
	t.Run("sole voter restarts", func(t *testing.T) {
		story(t, func(t *testing.T) {
			var c *mustertest.Cluster
			c = mustertest.New(t, mustertest.Options{Founders: 1, Machine: func(name string) statemachine.Machine {
				// As machines in memory do, it begins with nothing at each start.
				if err := os.RemoveAll(filepath.Join(c.Dir(name), "machine", "journal")); err != nil {
					t.Error(err)
				}
				return new(mustertest.Journal)
			}})
			c.Start()
			c.Ready(t.Context())
			for i := range 10 {
				propose(t, c.Member("n1"), fmt.Sprint(i))
				c.Crash("n1")
				setCommit(t, c.Dir("n1"), 1) // it is not synced for its own sake, so power loss may take it
				c.Start("n1")
				n1 := c.Member("n1")
				if _, err := n1.ReadIndex(within(t, 10*time.Second)); err != nil {
					t.Fatal(err)
				}
				if n := len(n1.Journal().Commands()); n != i+1 {
					t.Fatalf("a read after the restart sees %d commands, want %d", n, i+1)
				}
			}
		})
	})
	t.Run("leader is cut off", func(t *testing.T) {
		story(t, func(t *testing.T) {
			ctx := t.Context()
			c := formed(t, mustertest.Options{})
			old := c.Leader(ctx)
			c.Isolate(old.Name)
			read := make(chan int, 1)
			go func() {
				if _, err := old.ReadIndex(ctx); err != nil {
					t.Error(err)
				}
				read <- len(old.Journal().Commands())
			}()
			synctest.Wait() // the read waits for a quorum that the leader doesn't have
			time.Sleep(3 * time.Second)
			propose(t, c.Leader(ctx), "a")
			select {
			case <-read:
				t.Error("a leader without a quorum answered a read")
			default:
			}
			if _, err := old.ReadIndex(within(t, time.Second)); !errors.Is(err, muster.ErrNotLeader) {
				t.Errorf("a read without a quorum: %v, want %v", err, muster.ErrNotLeader)
			}
			c.Heal()
			if n := <-read; n > 1 {
				t.Errorf("%d commands, want at most 1", n)
			}
			if _, err := old.ReadIndex(ctx); err != nil || old.Journal().Count("a") != 1 {
				t.Errorf("a read after the partition: %v, %v", err, old.Journal().Commands())
			}
		})
	})
	t.Run("everywhere, under changes of leadership", func(t *testing.T) {
		story(t, func(t *testing.T) {
			ctx := t.Context()
			c := formed(t, mustertest.Options{})
			for i := range 60 {
				writer, reader := c.Member(fmt.Sprintf("n%d", i%3+1)), c.Member(fmt.Sprintf("n%d", (i+1)%3+1))
				propose(t, writer, fmt.Sprint(i))
				if i%5 == 0 {
					go func() { _ = writer.Transfer(ctx, 0) }()
				}
				if _, err := reader.ReadIndex(ctx); err != nil {
					t.Fatal(err)
				}
				if n := len(reader.Journal().Commands()); n != i+1 {
					t.Fatalf("%s sees %d commands, %d were acknowledged", reader.Name, n, i+1)
				}
			}
		})
	})
}

// TestGivingUp: a caller's context ends its wait, at once, wherever the
// command is then; and the answer is true.
func TestGivingUp(t *testing.T) {
	story(t, func(t *testing.T) {
		ctx := t.Context()
		c := formed(t, mustertest.Options{})
		n1 := c.Member("n1")
		c.Crash("n2", "n3")
		c.Until(ctx, "n1 knows no leader", func() bool { return n1.Status().Leader == 0 })
		over, cancel := context.WithCancel(ctx)
		cancel()
		begun := time.Now()
		failed := map[string]error{}
		all := make(chan struct{})
		go func() {
			defer close(all)
			for i := range 100 {
				command := fmt.Sprint("over ", i)
				_, failed[command] = n1.Propose(over, []byte(command))
			}
		}()
		select {
		case <-all:
		case <-time.After(time.Minute):
			t.Fatal("who has given up still waits")
		}
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				if _, err := n1.Propose(within(t, time.Duration(i)*10*time.Millisecond), fmt.Append(nil, "late ", i)); !errors.Is(err, muster.ErrNotLeader) {
					t.Errorf("without a leader: %v, want %v", err, muster.ErrNotLeader)
				}
			})
		}
		wg.Wait()
		if took := time.Since(begun); took > 500*time.Millisecond {
			t.Errorf("callers who gave up waited %v", took)
		}
		c.Start()
		c.Ready(ctx)
		propose(t, n1, "a")
		c.Agree(ctx)
		never(t, c, failed)
		if n := len(n1.Journal().Commands()); n != 1 {
			t.Errorf("%d commands were applied, want 1: %v", n, n1.Journal().Commands())
		}
	})
}

// TestOverloaded: more than may wait is turned away at the door, what waits is
// carried out.
func TestOverloaded(t *testing.T) {
	story(t, func(t *testing.T) {
		c, g := gated(t, mustertest.Options{Founders: 1, Config: func(_ string, c *muster.Config) {
			c.MaxPendingBytes, c.MaxCommandBytes = 10_000, 4_000
		}})
		n1 := c.Member("n1")
		if _, err := n1.Propose(t.Context(), make([]byte, 4_001)); !errors.Is(err, muster.ErrTooLarge) {
			t.Errorf("a command above the limit: %v, want %v", err, muster.ErrTooLarge)
		}
		g.shut()
		var wg sync.WaitGroup
		var mu sync.Mutex
		answers := map[string]error{}
		for i := range 40 {
			wg.Go(func() {
				command := fmt.Sprintf("%d-%0900d", i, i)
				_, err := n1.Propose(t.Context(), []byte(command))
				mu.Lock()
				defer mu.Unlock()
				answers[command] = err
			})
		}
		synctest.Wait()
		mu.Lock()
		turnedAway := len(answers)
		mu.Unlock()
		g.release()
		wg.Wait()
		if turnedAway < 25 || turnedAway > 35 {
			t.Errorf("%d of 40 were turned away, want about 30", turnedAway)
		}
		for command, err := range answers {
			if n := n1.Journal().Count(command); (err == nil) != (n == 1) || err != nil && !errors.Is(err, muster.ErrOverloaded) {
				t.Errorf("%.5s was applied %d times and answered with %v", command, n, err)
			}
		}
		propose(t, n1, "after")
	})
}

// TestNotMember: a node without a cluster says so.
func TestNotMember(t *testing.T) {
	story(t, func(t *testing.T) {
		ctx := t.Context()
		c := mustertest.New(t, mustertest.Options{})
		c.Start("n1")
		n1 := c.Member("n1")
		time.Sleep(time.Second)
		if _, err := n1.Propose(ctx, []byte("a")); !errors.Is(err, muster.ErrNotMember) {
			t.Errorf("propose: %v", err)
		}
		if _, err := n1.ReadIndex(ctx); !errors.Is(err, muster.ErrNotMember) {
			t.Errorf("read: %v", err)
		}
		if err := n1.Leave(ctx); !errors.Is(err, muster.ErrNotMember) {
			t.Errorf("leave: %v", err)
		}
		if err := n1.Transfer(ctx, 0); !errors.Is(err, muster.ErrNotMember) {
			t.Errorf("transfer: %v", err)
		}
		if err := n1.Ready(within(t, time.Second)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ready: %v", err)
		}
	})
}
