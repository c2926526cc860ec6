package muster_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/mustertest"
)

// expecting are so many nodes that found as so many, each with the seeds that
// the function gives it.
func expecting(t *testing.T, nodes, expect int, seeds func(i int, all []string) []string) *mustertest.Cluster {
	var all []string
	for i := range nodes {
		all = append(all, mustertest.Addr(fmt.Sprintf("n%d", i+1)))
	}
	return mustertest.New(t, mustertest.Options{Founders: nodes, Config: func(name string, c *muster.Config) {
		var i int
		if _, err := fmt.Sscanf(name, "n%d", &i); err != nil {
			t.Fatal(err)
		}
		c.Expect, c.Seeds = expect, seeds(i-1, all)
	}})
}

// turned is everybody, in another order for each.
func turned(i int, all []string) []string {
	i %= len(all)
	return append(append([]string{}, all[i:]...), all[:i]...)
}

// TestOpenRosterSplit2of4: of four nodes that expect three, two that are cut
// off from the other two found nothing; healed, all are in one cluster.
func TestOpenRosterSplit2of4(t *testing.T) {
	story(t, func(t *testing.T) {
		c := expecting(t, 4, 3, turned)
		c.Partition([]string{"n1", "n2"}, []string{"n3", "n4"})
		c.Start()
		time.Sleep(while(5 * time.Minute))
		for _, name := range c.Running() {
			inNoCluster(t, c.Member(name))
			if !why(c.Member(name), "too_few_eligible", "2 of the 3") {
				t.Errorf("%s doesn't say for how many it waits:\n%s", name, c.Describe())
			}
		}
		c.Heal()
		c.Ready(within(t, time.Minute))
		oneCluster(t, c)
	})
}

// TestMoreNodesThanExpected: six nodes that expect three found nothing, and
// say why. With one of them stopped the others found by themselves, and the
// one that comes back joins.
func TestMoreNodesThanExpected(t *testing.T) {
	story(t, func(t *testing.T) {
		c := expecting(t, 6, 3, turned)
		c.Start()
		time.Sleep(while(5 * time.Minute))
		for _, name := range c.Running() {
			inNoCluster(t, c.Member(name))
			if !why(c.Member(name), "too_many_eligible", "6 nodes", "a cluster of 3") {
				t.Errorf("%s doesn't say why it doesn't found:\n%s", name, c.Describe())
			}
		}
		c.Crash("n4")
		c.Ready(within(t, time.Minute))
		oneCluster(t, c)
		c.Start("n4")
		c.Ready(within(t, time.Minute), "n4")
		oneCluster(t, c)
		if !c.Member("n4").Saw("joined") {
			t.Error("the one that came late was to join")
		}
	})
}

// TestOtherExpectationsDontFound: a node that expects another number is no
// founder, nobody founds beside it, and both say so.
func TestOtherExpectationsDontFound(t *testing.T) {
	story(t, func(t *testing.T) {
		odd := true
		c := mustertest.New(t, mustertest.Options{Config: func(name string, c *muster.Config) {
			c.Expect = 2
			if odd && name == "n3" {
				c.Expect = 3
			}
		}})
		c.Start()
		time.Sleep(time.Minute)
		for _, name := range c.Running() {
			inNoCluster(t, c.Member(name))
			if !why(c.Member(name), "expect_differs") {
				t.Errorf("%s doesn't say who expects another number:\n%s", name, c.Describe())
			}
		}
		odd = false
		c.Restart("n3")
		c.Ready(within(t, time.Minute))
		oneCluster(t, c)
	})
}

// TestDiscoveryReturnsSelfOrPart: it is enough that somebody knows somebody.
// n1 is told nothing but itself; of the rest each is told one other, in a row.
// n5 comes late, with an address at which nobody is.
func TestDiscoveryReturnsSelfOrPart(t *testing.T) {
	story(t, func(t *testing.T) {
		c := expecting(t, 5, 3, func(i int, all []string) []string {
			switch i {
			case 0:
				return all[:1]
			case 4:
				return []string{"nowhere:2380", all[1], all[4]}
			}
			return all[i-1 : i]
		})
		c.Start("n1", "n2")
		time.Sleep(time.Minute)
		inNoCluster(t, c.Member("n1"))
		inNoCluster(t, c.Member("n2"))
		c.Start("n3", "n4")
		c.Ready(within(t, time.Minute))
		oneCluster(t, c)
		c.Start("n5")
		c.Ready(within(t, time.Minute), "n5")
		oneCluster(t, c)
	})
}

// TestTwoClustersMeet: two groups of nodes that had no way to each other both
// founded. When they can reach each other nothing is merged, and members of
// both say that there are two clusters, until one is gone.
func TestTwoClustersMeet(t *testing.T) {
	story(t, func(t *testing.T) {
		c := expecting(t, 4, 2, turned)
		c.Partition([]string{"n1", "n2"}, []string{"n3", "n4"})
		c.Start()
		c.Ready(within(t, time.Minute))
		first, second := c.Member("n1").Status().ClusterID, c.Member("n3").Status().ClusterID
		if first == second {
			t.Fatal("one cluster across the partition")
		}
		c.Heal()
		c.Until(within(t, 2*time.Minute), "all tell of two clusters", func() bool {
			for _, name := range c.Running() {
				if !why(c.Member(name), "conflict_two_clusters", first.String(), second.String()) || !c.Member(name).Saw("conflict_two_clusters") {
					return false
				}
			}
			return true
		})
		for i, name := range []string{"n1", "n2", "n3", "n4"} {
			s := c.Member(name).Status()
			if want := []cluster.ClusterID{first, first, second, second}[i]; s.ClusterID != want || len(s.Members) != 2 {
				t.Errorf("%s is in %s with %d members", name, s.ClusterID, len(s.Members))
			}
		}
		c.Crash("n3", "n4")
		c.Until(within(t, 2*time.Minute), "nobody tells of it any more", func() bool {
			return !why(c.Member("n1"), "conflict_two_clusters") && !why(c.Member("n2"), "conflict_two_clusters")
		})
	})
}
