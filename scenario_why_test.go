package muster_test

import (
	"testing"
	"time"

	"github.com/musterhq/muster/mustertest"
)

// TestWhy: a node that can't go on says for whom or for what it waits, and
// what would end the wait; one that has all it needs says nothing.
func TestWhy(t *testing.T) {
	says := func(t *testing.T, c *mustertest.Cluster, name, code string, words ...string) {
		t.Helper()
		if !why(c.Member(name), code, words...) {
			t.Errorf("%s doesn't say %s %q:\n%s", name, code, words, c.Describe())
		}
	}
	t.Run("forming", func(t *testing.T) {
		story(t, func(t *testing.T) {
			c := mustertest.New(t, mustertest.Options{})
			c.Start("n1", "n2")
			time.Sleep(time.Minute)
			for _, name := range c.Running() {
				says(t, c, name, "seed_unreachable", "n3:2380")
			}
			c.Isolate("n2")
			time.Sleep(time.Minute)
			says(t, c, "n1", "seed_unreachable", "n2", "has not answered for 5")
		})
	})
	t.Run("joining", func(t *testing.T) {
		story(t, func(t *testing.T) {
			c := mustertest.New(t, mustertest.Options{})
			c.Start("n9")
			time.Sleep(time.Minute)
			says(t, c, "n9", "no_cluster_found", "n1:2380", "n2:2380", "n3:2380")
			c.Start()
			c.Ready(t.Context())
			c.Crash("n2", "n3", "n9")
			time.Sleep(5 * time.Second)
			c.Start("n8")
			time.Sleep(5 * time.Second)
			says(t, c, "n8", "join_pending", "no leader")
		})
	})
	t.Run("no quorum", func(t *testing.T) {
		story(t, func(t *testing.T) {
			c := formed(t, mustertest.Options{})
			ctx := t.Context()
			led := c.Leader(ctx).Name
			others := c.Others(led)
			c.Until(ctx, led+" has nothing to explain", func() bool { return len(c.Member(led).Why()) == 0 })
			c.Crash(others...)
			time.Sleep(10 * time.Second)
			says(t, c, led, "no_quorum_reachable", "1 of 3 voters", "2 are needed", others[0], others[1])
			says(t, c, led, "peer_unreachable", others[0])
			c.Start(others[0])
			c.Ready(ctx)
			says(t, c, others[0], "peer_unreachable", others[1])
			c.Start(others[1])
			c.Ready(ctx)
			for c.Leader(ctx).Name == led { // who led before must not go on explaining
				if err := c.Leader(ctx).Transfer(ctx, 0); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(5 * time.Second)
			for _, name := range c.Running() {
				if r := c.Member(name).Why(); len(r) > 0 {
					t.Errorf("all is well again, and %s says %v", name, r)
				}
			}
		})
	})
	t.Run("learner", func(t *testing.T) {
		story(t, func(t *testing.T) {
			c := formed(t, mustertest.Options{Founders: 1})
			c.Join(t.Context(), "n2")
			time.Sleep(5 * time.Second)
			says(t, c, "n1", "needs_member", "n2 stays a learner")
		})
	})
}

// TestClockSkew: members ask each other for the time, and say whose clock is off
// by how much, in which direction, until it is right again.
func TestClockSkew(t *testing.T) {
	for name, c := range map[string]struct {
		ahead time.Duration
		words string
	}{
		"ahead":  {3 * time.Second, "3s ahead of"},
		"behind": {-90 * time.Second, "1m30s behind"},
		"a bit":  {400 * time.Millisecond, ""},
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(t *testing.T) {
				ctx := t.Context()
				cl := formed(t, mustertest.Options{})
				s := newStranger(t, cl, "s", cl.Leader(ctx).Status().ClusterID)
				s.ahead.Store(int64(c.ahead))
				joined(t, cl, s, cl.Leader(ctx).Name)
				if c.words == "" {
					time.Sleep(3 * time.Minute)
					if why(cl.Leader(ctx), "clock_skew") {
						t.Fatalf("%+v", cl.Leader(ctx).Why())
					}
					return
				}
				cl.Until(ctx, "the leader says whose clock is off", func() bool { return why(cl.Leader(ctx), "clock_skew", "s:2380", c.words) })
				s.ahead.Store(0)
				cl.Until(ctx, "the clock is right again", func() bool { return !why(cl.Leader(ctx), "clock_skew") })
			})
		})
	}
}
