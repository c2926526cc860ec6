package muster_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/mustertest"
	"github.com/musterhq/muster/statemachine"
)

// TestRestartForgetsItIsVoter: who votes is in the log and in the snapshot,
// not in how a member was started. Neither the first member, which founded
// alone, nor one that joined takes itself for less, or more, than it is.
func TestRestartForgetsItIsVoter(t *testing.T) {
	for _, config := range []func(string, *muster.Config){nil, smallLog} {
		t.Run(fmt.Sprintf("compacted=%t", config != nil), func(t *testing.T) {
			story(t, func(t *testing.T) {
				ctx := t.Context()
				c := formed(t, mustertest.Options{Founders: 1, Config: config})
				c.Join(ctx, "n2")
				c.Join(ctx, "n3")
				c.Until(ctx, "three vote", func() bool { return len(voters(c.Member("n3"))) == 3 })
				fill(t, c.Leader(ctx), "a", 50, 500)
				c.Agree(ctx)
				c.Crash()
				c.Start("n1") // it founded alone, but is one of three now
				time.Sleep(time.Minute)
				if s := c.Member("n1").Status(); s.Leader != 0 || s.Self.Role != cluster.Voter {
					t.Errorf("one of three leads: %+v", s)
				}
				c.Crash("n1")
				c.Start("n2", "n3")
				c.Ready(within(t, 20*time.Second))
				propose(t, c.Member("n3"), "b")
				c.Start("n1")
				c.Ready(ctx)
				c.Agree(ctx)
				for _, name := range c.Running() {
					m := c.Member(name)
					if v := voters(m); !slices.Equal(v, []string{"n1", "n2", "n3"}) || m.Status().Self.Role != cluster.Voter {
						t.Errorf("%s sees the voters %v", name, v)
					}
				}
				once(t, c, "b")
			})
		})
	}
}

// TestRestarts: any member, any two, all at once; commands that were
// acknowledged stay.
func TestRestarts(t *testing.T) {
	story(t, func(t *testing.T) {
		ctx := t.Context()
		c := formed(t, mustertest.Options{})
		var acked []string
		for i, names := range [][]string{{"n1"}, {"n2"}, {"n3"}, {"n1", "n2"}, {"n2", "n3"}, {"n1", "n2", "n3"}} {
			command := fmt.Sprint("command ", i)
			propose(t, c.Member(names[0]), command)
			acked = append(acked, command)
			c.Restart(names...)
			c.Ready(within(t, 20*time.Second))
		}
		c.Agree(ctx)
		once(t, c, acked...)
		c.Stop(ctx)
		c.Start()
		c.Ready(within(t, 20*time.Second))
		c.Agree(ctx)
		once(t, c, acked...)
	})
}

// TestAddressChange: members that come back at another address, one after the
// other until all have moved, are found there.
func TestAddressChange(t *testing.T) {
	story(t, func(t *testing.T) {
		ctx := t.Context()
		moved := map[string]bool{}
		c := formed(t, mustertest.Options{Config: func(name string, c *muster.Config) {
			if moved[name] {
				c.PeerListen = name + ":9999"
			}
		}})
		for _, moves := range c.Founders() {
			c.Stop(ctx, moves)
			moved[moves] = true
			c.Start(moves)
			c.Ready(within(t, 20*time.Second))
			propose(t, c.Member(moves), moves)
			for _, name := range c.Running() {
				c.Until(ctx, fmt.Sprintf("%s knows the new address of %s", name, moves), func() bool {
					m, _ := c.Member(name).Status().Member(id(c.Member(moves)))
					return m.PeerAddr == moves+":9999"
				})
			}
		}
		c.Agree(ctx)
		c.Crash()
		c.Start() // none of the addresses is news any more
		c.Ready(within(t, 20*time.Second))
		once(t, c, c.Founders()...)
	})
}

// TestTwoMove: the leader moves while another member is away, which comes back
// at another address, too. Neither is where the other believes it to be; the
// third, which knows both, passes it on.
func TestTwoMove(t *testing.T) {
	story(t, func(t *testing.T) {
		ctx := t.Context()
		moved := map[string]bool{}
		c := formed(t, mustertest.Options{Config: func(name string, c *muster.Config) {
			if moved[name] {
				c.PeerListen = name + ":9999"
			}
		}})
		c.Crash("n1", "n3")
		moved["n1"], moved["n3"] = true, true
		c.Start("n1")
		c.Ready(within(t, 20*time.Second))
		if err := c.Leader(ctx).Transfer(ctx, id(c.Member("n1"))); err != nil {
			t.Fatal(err)
		}
		c.Start("n3")
		c.Ready(within(t, 20*time.Second))
		propose(t, c.Member("n3"), "a")
		c.Agree(ctx)
		once(t, c, "a")
	})
}

// TestAllAddressesChange: all come back at other addresses at once. Nobody is
// where anybody looks, but each is told as a seed where another is.
func TestAllAddressesChange(t *testing.T) {
	story(t, func(t *testing.T) {
		ctx := t.Context()
		moved := false
		c := formed(t, mustertest.Options{Config: func(name string, c *muster.Config) {
			if moved {
				c.PeerListen = name + ":9999"
				c.Seeds = []string{map[string]string{"n1": "n2", "n2": "n3", "n3": "n1"}[name] + ":9999"}
			}
		}})
		propose(t, c.Member("n1"), "a")
		c.Agree(ctx)
		c.Crash()
		moved = true
		c.Start()
		c.Ready(within(t, 20*time.Second))
		c.Agree(ctx)
		for _, m := range c.Leader(ctx).Status().Members {
			c.Until(ctx, m.Name+" is known to be at its new address", func() bool {
				now, _ := c.Leader(ctx).Status().Member(m.ID)
				return now.PeerAddr == m.Name+":9999"
			})
		}
		once(t, c, "a")
	})
}

// TestMachineFails: a member whose machine can't go on stops, says why, and
// tells its callers; the others go on. When it is mended it comes back.
func TestMachineFails(t *testing.T) {
	story(t, func(t *testing.T) {
		ctx := t.Context()
		full := errors.New("no space left")
		var broken atomic.Bool
		c := formed(t, mustertest.Options{Machine: func(name string) statemachine.Machine {
			j := &mustertest.Journal{}
			if name == "n2" {
				j.Before = func(uint64, []statemachine.Entry) error {
					if broken.Load() {
						return full
					}
					return nil
				}
			}
			return j
		}})
		n2 := c.Member("n2")
		propose(t, n2, "a")
		broken.Store(true)
		if _, err := n2.Propose(ctx, []byte("b")); !errors.Is(err, muster.ErrUnknownOutcome) {
			t.Errorf("the member fails while it applies: %v, want %v", err, muster.ErrUnknownOutcome)
		}
		ended(t, n2)
		if err := n2.Err(); !errors.Is(err, full) {
			t.Errorf("it stopped with %v, want %v", err, full)
		}
		if _, err := n2.Propose(ctx, []byte("c")); !errors.Is(err, muster.ErrStopped) || !errors.Is(err, full) {
			t.Errorf("propose at a stopped member: %v", err)
		}
		if s := n2.Status().State; s != "stopped" {
			t.Errorf("its state is %q, want stopped", s)
		}
		c.Crash("n2")
		propose(t, c.Leader(ctx), "d")
		broken.Store(false)
		c.Start("n2")
		c.Ready(ctx)
		c.Agree(ctx)
		once(t, c, "a", "b", "d")
	})
}

// TestCloseAnywhere: members are closed and started in the middle of
// everything; nothing hangs, and at the end all is there.
func TestCloseAnywhere(t *testing.T) {
	for seed := range 2 {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			story(t, func(t *testing.T) {
				ctx := t.Context()
				c := mustertest.New(t, mustertest.Options{Config: smallLog})
				c.Start()
				for k := range 15 {
					time.Sleep(time.Duration((k*7+seed*3)%23) * 17 * time.Millisecond)
					name := fmt.Sprintf("n%d", (k*k+seed)%3+1)
					begun := time.Now()
					if k%4 == 3 {
						c.Stop(within(t, time.Second), name)
					} else {
						c.Crash(name)
					}
					if took := time.Since(begun); took > 1500*time.Millisecond {
						t.Errorf("closing took %v", took)
					}
					c.Start(name)
				}
				c.Ready(within(t, 30*time.Second))
				oneCluster(t, c)
				propose(t, c.Leader(ctx), "a")
				c.Agree(ctx)
				once(t, c, "a")
			})
		})
	}
}

// TestCloseAnswersAll: whoever waits when a node is closed is told so; nobody
// is left waiting.
func TestCloseAnswersAll(t *testing.T) {
	story(t, func(t *testing.T) {
		c := formed(t, mustertest.Options{})
		for _, led := range []bool{true, false} {
			m := c.Leader(t.Context())
			if !led {
				m = follower(t.Context(), c)
			}
			c.Isolate(m.Name) // nothing that is asked for is answered
			ctx := context.Background()
			answers := make(chan error, 4)
			go func() { _, err := m.Propose(ctx, []byte(m.Name)); answers <- err }()
			go func() { _, err := m.ReadIndex(ctx); answers <- err }()
			go func() {
				err := m.LeaveBelowFloor(ctx)
				if !led && !errors.Is(err, muster.ErrUnknownOutcome) {
					t.Errorf("the leader was asked, and didn't answer: %v, want %v", err, muster.ErrUnknownOutcome)
				}
				answers <- err
			}()
			go func() { answers <- m.Transfer(ctx, 0) }()
			synctest.Wait()
			if len(answers) > 0 {
				t.Errorf("cut off, %s answered: %v", m.Name, <-answers)
			}
			c.Crash(m.Name)
			for range cap(answers) {
				select {
				case err := <-answers:
					if !errors.Is(err, muster.ErrStopped) && !errors.Is(err, muster.ErrUnknownOutcome) {
						t.Errorf("closed, %s answered: %v", m.Name, err)
					}
				case <-time.After(time.Minute):
					t.Fatalf("%s is closed, and somebody still waits for it", m.Name)
				}
			}
			c.Heal()
			c.Start(m.Name)
			c.Ready(t.Context())
		}
	})
}

// TestCloseUnderFire: a node is closed while many propose and read without a
// pause, in real time; each of them is answered, once.
func TestCloseUnderFire(t *testing.T) {
	t.Parallel()
	c := formed(t, mustertest.Options{Founders: 1})
	for round := range 8 {
		m := c.Member("n1")
		if err := m.Ready(within(t, mustertest.Patience)); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		enough := make(chan struct{}, 1024)
		for i := range 16 {
			wg.Go(func() {
				for n := 0; ; n++ {
					_, err := m.Propose(context.Background(), fmt.Append(nil, round, i, n))
					if _, rerr := m.ReadIndex(context.Background()); err == nil && rerr == nil {
						select {
						case enough <- struct{}{}:
						default:
						}
						continue
					}
					if !errors.Is(err, muster.ErrStopped) && !errors.Is(err, muster.ErrUnknownOutcome) && err != nil {
						t.Errorf("propose at a node that closes: %v", err)
					}
					return
				}
			})
		}
		for range 40 {
			<-enough
		}
		c.Crash("n1")
		wg.Wait()
		c.Start("n1")
	}
}
