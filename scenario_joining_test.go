package muster_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/wire"
	"github.com/musterhq/muster/mustertest"
)

// TestJoinAnsweredBeforeCommit: a leader that can't commit doesn't say that a
// node has joined. The answer comes from the applied state.
func TestJoinAnsweredBeforeCommit(t *testing.T) {
	story(t, func(t *testing.T) {
		ctx := t.Context()
		c := formed(t, mustertest.Options{})
		s := newStranger(t, c, "s", cluster.ClusterID{})
		leader := c.Leader(ctx)
		c.Partition([]string{leader.Name, "s"})
		for range 3 {
			reply, err := s.join(ctx, leader.Name)
			if err != nil || reply.Status != wire.JoinPending || reply.Membership != nil {
				t.Errorf("a leader without a quorum answered a join with %+v, %v", reply, err)
			}
		}
		c.Heal()
		reply := joined(t, c, s, leader.Name)
		for _, name := range c.Running() {
			m := c.Member(name)
			c.Until(ctx, name+" knows the new member", func() bool {
				s, _ := m.Status().Member(reply.Membership.Members[0].ID)
				return s.ID != 0
			})
		}
	})
}

// joined asks until the stranger is in.
func joined(t *testing.T, c *mustertest.Cluster, s *stranger, member string) *wire.JoinReply {
	t.Helper()
	var reply *wire.JoinReply
	c.Until(t.Context(), s.self.Name+" is let in", func() bool {
		r, err := s.join(t.Context(), member)
		reply = r
		return err == nil && r.Status == wire.JoinDone
	})
	return reply
}

// TestJoinReplyWithoutLeader: whoever is asked, and while leadership moves,
// the answer lists all members, the leader too.
func TestJoinReplyWithoutLeader(t *testing.T) {
	story(t, func(t *testing.T) {
		ctx := t.Context()
		c := formed(t, mustertest.Options{})
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				_ = c.Member("n1").Transfer(ctx, 0)
				select {
				case <-stop:
					return
				case <-time.After(40 * time.Millisecond):
				}
			}
		})
		leaders := map[cluster.NodeID]bool{}
		for i := range 12 {
			s := newStranger(t, c, fmt.Sprintf("s%d", i), cluster.ClusterID{})
			time.Sleep(30 * time.Millisecond) // leadership moves meanwhile
			reply := joined(t, c, s, fmt.Sprintf("n%d", i%3+1))
			leaders[reply.Leader] = true
			want := append(c.Founders(), s.self.Name)
			for _, name := range want {
				if _, ok := reply.Membership.ByName(name); !ok {
					t.Errorf("the answer to %s lacks %s: %+v", s.self.Name, name, reply.Membership.Members)
				}
			}
			if _, ok := reply.Membership.Member(reply.Leader); !ok {
				t.Errorf("the answer to %s lacks its leader %s", s.self.Name, reply.Leader)
			}
		}
		close(stop)
		wg.Wait()
		if len(leaders) < 2 {
			t.Error("leadership did not move")
		}
	})
}

// TestEmptyLogJoiner: a leader that has no snapshot but the founders' empty
// one makes one for a node with an empty log.
func TestEmptyLogJoiner(t *testing.T) {
	story(t, func(t *testing.T) {
		ctx := t.Context()
		c := formed(t, mustertest.Options{})
		fill(t, c.Leader(ctx), "a", 20, 10)
		for _, name := range []string{"n4", "n5"} {
			m := c.Join(within(t, 10*time.Second), name)
			if !m.Saw("snapshot_installed") {
				t.Errorf("%s came to its state without a snapshot: %v", name, m.Events())
			}
			c.Agree(ctx)
			if n := len(m.Journal().Commands()); n != 20 {
				t.Errorf("%s holds %d commands, want 20", name, n)
			}
		}
	})
}

// TestLearnerIdleUntilNextProposal: a new member catches up while nobody
// proposes anything.
func TestLearnerIdleUntilNextProposal(t *testing.T) {
	story(t, func(t *testing.T) {
		ctx := t.Context()
		c := formed(t, mustertest.Options{Founders: 1})
		fill(t, c.Member("n1"), "a", 5, 10)
		c.Start("n2")
		n1, n2 := c.Member("n1"), c.Member("n2")
		c.Until(within(t, 10*time.Second), "n2 has caught up", func() bool {
			s, at := n2.Status(), n1.Status()
			return s.Self.Role == cluster.Learner && s.Applied == at.Applied && s.Leader == at.Self.ID
		})
		c.Agree(ctx)
		if got := n2.Journal().Commands(); len(got) != 5 {
			t.Errorf("n2 holds %v", got)
		}
	})
}

// deafNetwork lets a first connection to an address through and then none for
// a while.
type deafNetwork struct {
	muster.Network
	addr  string
	after int           // connections that get through
	pause time.Duration // for which none does, from the next on

	mu    sync.Mutex
	dials int
	since time.Time
}

func (d *deafNetwork) Dial(ctx context.Context, addr string) (net.Conn, error) {
	if addr == d.addr {
		d.mu.Lock()
		d.dials++
		if d.dials == d.after+1 {
			d.since = time.Now()
		}
		deaf := d.dials > d.after && time.Since(d.since) < d.pause
		d.mu.Unlock()
		if deaf {
			return nil, syscall.ECONNREFUSED
		}
	}
	return d.Network.Dial(ctx, addr)
}

func (d *deafNetwork) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dials
}

// TestFirstAppendLostConnectionNotUp: what a leader sends first to a new
// member is lost, because nobody can connect to it yet.
func TestFirstAppendLostConnectionNotUp(t *testing.T) {
	story(t, func(t *testing.T) {
		deaf := map[string]*deafNetwork{}
		c := formed(t, mustertest.Options{Config: func(name string, c *muster.Config) {
			// One connection is the leader's, to see whether n4 is where it says.
			deaf[name] = &deafNetwork{Network: c.Network, addr: mustertest.Addr("n4"), after: 1, pause: 20 * time.Second}
			c.Network = deaf[name]
		}})
		fill(t, c.Leader(t.Context()), "a", 5, 10)
		c.Start("n4")
		n4, leader := c.Member("n4"), c.Leader(t.Context())
		c.Until(within(t, 10*time.Second), "n4 is a member", func() bool { return n4.Saw("joined") })
		time.Sleep(10 * time.Second)
		if n, dials := n4.Status().Applied, deaf[leader.Name].count(); n != 0 || dials < 3 {
			t.Fatalf("n4 could be reached: it has applied %d, %s dialled %d times", n, leader.Name, dials)
		}
		c.Ready(within(t, 30*time.Second), "n4")
		c.Agree(t.Context())
	})
}

// TestPanicOnShutdownDuringJoin: a node is closed at every step of its join,
// or its leader is; it joins when it is back, once.
func TestPanicOnShutdownDuringJoin(t *testing.T) {
	for part := range 3 {
		t.Run(fmt.Sprint(part), func(t *testing.T) {
			story(t, func(t *testing.T) {
				c := formed(t, mustertest.Options{})
				for k := range 8 {
					shutDuringJoin(t, c, fmt.Sprintf("j%d", k), time.Duration(3*k+part)*13*time.Millisecond, k%2 == part%2)
				}
			})
		})
	}
}

func shutDuringJoin(t *testing.T, c *mustertest.Cluster, name string, after time.Duration, leaderToo bool) {
	ctx := t.Context()
	leader := c.Leader(ctx)
	c.Start(name)
	time.Sleep(after)
	begun := time.Now()
	if leaderToo {
		c.Crash(leader.Name)
	}
	if err := c.Member(name).Close(); err != nil {
		t.Errorf("close %s after %v: %v", name, after, err)
	}
	if took := time.Since(begun); took > time.Second {
		t.Errorf("closing %s after %v took %v", name, after, took)
	}
	c.Crash(name)
	c.Start(name)
	if leaderToo {
		c.Start(leader.Name)
	}
	c.Ready(ctx)
	same := 0
	for _, m := range c.Leader(ctx).Status().Members {
		if m.Name == name {
			same++
		}
	}
	if same != 1 {
		t.Errorf("%s is a member %d times", name, same)
	}
	if err := c.Leader(ctx).RemoveBelowFloor(within(t, 20*time.Second), id(c.Member(name))); err != nil {
		t.Fatalf("remove %s: %v", name, err)
	}
	ended(t, c.Member(name))
	c.Crash(name)
}

// TestGrowth: 1, 2, 3 and 5 members while commands keep coming; each that was
// acknowledged is there once, at everybody.
func TestGrowth(t *testing.T) {
	story(t, func(t *testing.T) {
		ctx := t.Context()
		c := formed(t, mustertest.Options{Founders: 1})
		load := startLoad(c, 4)
		for _, step := range []struct {
			join   string
			voters []string
		}{{"n2", []string{"n1"}}, {"n3", []string{"n1", "n2", "n3"}}, {"n4", []string{"n1", "n2", "n3"}}, {"n5", []string{"n1", "n2", "n3", "n4", "n5"}}} {
			m := c.Join(within(t, 20*time.Second), step.join)
			load.through(m)
			c.Until(within(t, 20*time.Second), fmt.Sprintf("%v vote", step.voters), func() bool {
				return slices.Equal(voters(m), step.voters)
			})
		}
		c.Crash(c.Leader(ctx).Name)
		c.Leader(ctx)
		acked, failed := load.stop()
		c.Agree(ctx)
		once(t, c, acked...)
		if len(acked) < 100 {
			t.Errorf("only %d commands were acknowledged", len(acked))
		}
		never(t, c, failed)
	})
}
