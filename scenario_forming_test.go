package muster_test

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/race"
	"github.com/musterhq/muster/mustertest"
)

// inNoCluster makes sure that a node has not come to any cluster.
func inNoCluster(t *testing.T, m *mustertest.Member) {
	t.Helper()
	if s := m.Status(); !s.ClusterID.IsZero() || s.State != "forming" || m.Saw("founded") || m.Saw("joined") {
		t.Errorf("%s is in a cluster: stage %s, state %s, cluster %s", m.Name, s.Stage, s.State, s.ClusterID)
	}
}

// oneCluster makes sure that all members that run are in the same one.
func oneCluster(t *testing.T, c *mustertest.Cluster) {
	t.Helper()
	seen := map[cluster.ClusterID][]string{}
	for _, name := range c.Running() {
		at := c.Member(name).Status().ClusterID
		seen[at] = append(seen[at], name)
	}
	if len(seen) != 1 || seen[cluster.ClusterID{}] != nil {
		t.Errorf("not one cluster: %v", seen)
	}
}

// TestJoinerBootstrapsItself: a node told to join never founds, however long
// nobody answers, and not with others of its kind either.
func TestJoinerBootstrapsItself(t *testing.T) {
	story(t, func(t *testing.T) {
		lonely := true
		c := mustertest.New(t, mustertest.Options{Config: func(name string, c *muster.Config) {
			if lonely {
				c.Seeds = []string{mustertest.Addr("j1"), mustertest.Addr("j2")}
			}
		}})
		c.Start("j1", "j2")
		for range race.Share(10) {
			time.Sleep(time.Minute)
			inNoCluster(t, c.Member("j1"))
			inNoCluster(t, c.Member("j2"))
		}
		lonely = false
		c.Restart("j1")
		time.Sleep(time.Minute)
		inNoCluster(t, c.Member("j1"))
		c.Restart("j2")
		c.Start()
		c.Ready(t.Context())
		oneCluster(t, c)
		if n1 := c.Member("n1"); n1.Saw("joined") || !c.Member("j1").Saw("joined") || !c.Member("j2").Saw("joined") {
			t.Error("the founders were to found, the joiners to join")
		}
	})
}

// TestThreeNodeFormationTimesOut: three nodes found their cluster in whichever
// order they start, up to a minute apart.
func TestThreeNodeFormationTimesOut(t *testing.T) {
	orders := [][]string{{"n1", "n2", "n3"}, {"n1", "n3", "n2"}, {"n2", "n1", "n3"}, {"n2", "n3", "n1"}, {"n3", "n1", "n2"}, {"n3", "n2", "n1"}}
	for i, order := range orders {
		for _, gaps := range [][2]time.Duration{{time.Duration(i) * 37 * time.Millisecond, time.Minute}, {time.Minute, time.Duration(i) * 7 * time.Second}} {
			t.Run(fmt.Sprint(order, gaps), func(t *testing.T) {
				story(t, func(t *testing.T) {
					c := mustertest.New(t, mustertest.Options{})
					c.Start(order[0])
					time.Sleep(gaps[0])
					c.Start(order[1])
					time.Sleep(gaps[1])
					for _, name := range c.Running() {
						inNoCluster(t, c.Member(name))
					}
					c.Start(order[2])
					c.Ready(within(t, 10*time.Second))
					oneCluster(t, c)
					propose(t, c.Member(order[1]), "a")
					c.Agree(t.Context())
					once(t, c, "a")
				})
			})
		}
	}
}

// countingNetwork calls a function before each connection that a node makes,
// with how many all nodes have made then.
type countingNetwork struct {
	muster.Network
	dials *atomic.Int64
	each  func(n int64)
}

func (x countingNetwork) Dial(ctx context.Context, addr string) (net.Conn, error) {
	x.each(x.dials.Add(1))
	return x.Network.Dial(ctx, addr)
}

// TestMinorityPartitionDuringFormation: cut apart at any step, the nodes found
// nothing that the others are not in; healed, they are one cluster.
func TestMinorityPartitionDuringFormation(t *testing.T) {
	for step := range int64(20) {
		t.Run(fmt.Sprint("step", step), func(t *testing.T) {
			story(t, func(t *testing.T) {
				var c *mustertest.Cluster
				var dials atomic.Int64
				lone := fmt.Sprintf("n%d", step%3+1)
				c = mustertest.New(t, mustertest.Options{Config: func(_ string, cfg *muster.Config) {
					cfg.Network = countingNetwork{cfg.Network, &dials, func(n int64) {
						if n == step {
							c.Isolate(lone)
						}
					}}
				}})
				if step == 0 {
					c.Isolate(lone)
				}
				c.Start()
				time.Sleep(while(2 * time.Minute))
				if step == 0 {
					for _, name := range c.Running() {
						inNoCluster(t, c.Member(name))
					}
				}
				c.Heal()
				c.Ready(within(t, 30*time.Second))
				oneCluster(t, c)
				propose(t, c.Member(lone), "a")
				c.Agree(t.Context())
			})
		})
	}
}

// TestRestartDuringFormation: nodes that crash while they form go on where
// their disks say, and still found one cluster only.
func TestRestartDuringFormation(t *testing.T) {
	for k := range 6 {
		t.Run(fmt.Sprint(k), func(t *testing.T) {
			story(t, func(t *testing.T) {
				c := mustertest.New(t, mustertest.Options{})
				c.Start()
				for i := range 4 {
					time.Sleep(time.Duration(k*(i+1)*11) * time.Millisecond)
					c.Restart(fmt.Sprintf("n%d", (k+i)%3+1))
				}
				c.Ready(within(t, 30*time.Second))
				oneCluster(t, c)
			})
		})
	}
}

// TestLateNodeMeetsFormedCluster: a node with the founders' own flags that
// comes when the cluster is there joins it, and so does a founder without its
// disk, in place of the member that it was.
func TestLateNodeMeetsFormedCluster(t *testing.T) {
	story(t, func(t *testing.T) {
		ctx := t.Context()
		c := formed(t, mustertest.Options{Config: func(name string, c *muster.Config) { c.JoinOnly = false }})
		propose(t, c.Leader(ctx), "a")
		time.Sleep(while(10 * time.Minute))
		n4 := c.Join(ctx, "n4")
		if !n4.Saw("joined") || n4.Saw("founded") {
			t.Errorf("n4 did not join: %v", n4.Events())
		}
		old := id(c.Member("n3"))
		c.Wipe("n3")
		c.Start("n3")
		c.Until(ctx, "the new n3 votes in place of the old one", func() bool {
			m, ok := c.Member("n3").Status().Member(id(c.Member("n3")))
			return ok && m.Role == cluster.Voter && m.Replaces == 0
		})
		for _, m := range c.Leader(ctx).Status().Members {
			if m.ID == old {
				t.Error("the old n3 is a member still")
			}
		}
		c.Ready(within(t, time.Minute))
		oneCluster(t, c)
		c.Agree(ctx)
		once(t, c, "a")
	})
}

// TestWrongClusterContact: nodes of different clusters that meet refuse each
// other with the reason, in both directions, and go on.
func TestWrongClusterContact(t *testing.T) {
	t.Run("other name", func(t *testing.T) {
		story(t, func(t *testing.T) {
			c := formed(t, mustertest.Options{Config: func(name string, c *muster.Config) {
				if name == "x1" {
					c.Cluster = "other"
				}
			}})
			c.Start("x1")
			time.Sleep(time.Minute)
			x1 := c.Member("x1")
			inNoCluster(t, x1)
			if !x1.Saw("peer_refused") && len(x1.Why()) == 0 {
				t.Error("x1 doesn't say why it can't join")
			}
			t.Log(c.Describe())
			if !c.Leader(t.Context()).Saw("peer_refused") && !c.Member("n1").Saw("peer_refused") {
				t.Error("the cluster does not tell whom it refused")
			}
			propose(t, c.Leader(t.Context()), "a")
		})
	})
	t.Run("other cluster at a member's address", func(t *testing.T) {
		story(t, func(t *testing.T) {
			ctx := t.Context()
			alone := false
			c := formed(t, mustertest.Options{Config: func(name string, c *muster.Config) {
				if alone {
					c.Single, c.Seeds = true, nil
				}
			}})
			c.Wipe("n3")
			alone = true
			c.Start("n3")
			c.Ready(ctx, "n3")
			time.Sleep(time.Minute)
			n1, n3 := c.Member("n1"), c.Member("n3")
			if a, b := n1.Status().ClusterID, n3.Status().ClusterID; a == b {
				t.Errorf("one cluster, %s", a)
			}
			if !why(n1, "other_node_there", "n3:2380") {
				t.Errorf("n1 doesn't say what is wrong with n3: %v", n1.Why())
			}
			if n := len(n3.Status().Members); n != 1 {
				t.Errorf("n3 counts %d members, want itself alone", n)
			}
			propose(t, n1, "a")
			if n3.Journal().Count("a") != 0 {
				t.Error("a command crossed over")
			}
		})
	})
}
