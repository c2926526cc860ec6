package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/discovery"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/datadir"
	"github.com/musterhq/muster/internal/formation"
	"github.com/musterhq/muster/internal/member"
	"github.com/musterhq/muster/internal/wire"
	"github.com/musterhq/muster/mustertest"
	"github.com/musterhq/muster/server"
)

// Screens of nodes that are in no cluster, beyond those of seeds that don't
// answer or don't fit.

func expectDiffers(t *testing.T) server.WhyAnswer {
	c := mustertest.New(t, mustertest.Options{Config: func(name string, c *muster.Config) {
		c.Expect = 2
		if name == "n3" {
			c.Expect = 3
		}
	}})
	c.Start()
	time.Sleep(time.Minute)
	return askFor(t, c, "n1", "expect_differs")
}

// meeting are so many nodes that found with whom they meet, all given the
// addresses of all.
func meeting(t *testing.T, nodes, expect int) *mustertest.Cluster {
	return mustertest.New(t, mustertest.Options{Founders: nodes, Config: func(_ string, c *muster.Config) { c.Expect = expect }})
}

func tooManyEligible(t *testing.T) server.WhyAnswer {
	c := meeting(t, 6, 3)
	c.Start()
	time.Sleep(time.Minute)
	return askFor(t, c, "n1", "too_many_eligible")
}

func tooFewEligible(t *testing.T) server.WhyAnswer {
	c := meeting(t, 3, 3)
	c.Start("n1", "n2")
	time.Sleep(time.Minute)
	return askFor(t, c, "n1", "too_few_eligible")
}

// twoClusters are n1 and n2, and n3 and n4, who founded while they were apart.
func twoClusters(t *testing.T) *mustertest.Cluster {
	c := mustertest.New(t, mustertest.Options{Founders: 4, Config: func(name string, c *muster.Config) {
		if !c.JoinOnly {
			c.Expect = 2
		}
	}})
	c.Partition([]string{"n1", "n2"}, []string{"n3", "n4"})
	c.Start()
	c.Ready(t.Context())
	c.Heal()
	return c
}

func twoClustersBlank(t *testing.T) server.WhyAnswer {
	c := twoClusters(t)
	c.Start("n5")
	var a server.WhyAnswer
	c.Until(t.Context(), "n5 names all four", func() bool {
		a = ask(t, c.Member("n5"))
		return len(a.Reasons) == 1 && a.Reasons[0].Code == "conflict_two_clusters" && !slices.ContainsFunc([]string{"n1", "n2", "n3", "n4"},
			func(n string) bool { return !strings.Contains(a.Reasons[0].Text, n+" at") })
	})
	return a
}

func twoClustersMember(t *testing.T) server.WhyAnswer {
	c := twoClusters(t)
	n1 := c.Member("n1").Status().Self.ID
	c.Until(t.Context(), "n1 leads", func() bool {
		if c.Member("n1").Status().Leader == n1 {
			return true
		}
		_ = c.Member("n1").Transfer(t.Context(), n1)
		return false
	})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var a server.WhyAnswer
	c.Until(ctx, "n1 names both", func() bool {
		a = ask(t, c.Member("n1"))
		names := func(rs []event.Reason) bool {
			return len(rs) == 1 && rs[0].Code == "conflict_two_clusters" && strings.Contains(rs[0].Text, "n3 at") && strings.Contains(rs[0].Text, "n4 at")
		}
		return names(a.Reasons) && names(a.Survey.Members[0].Reasons)
	})
	return a
}

// accepted puts a genesis on the disks of all founders, as if they had crashed
// after they accepted it.
func accepted(t *testing.T, c *mustertest.Cluster) {
	t.Helper()
	g := wire.Genesis{Protocol: wire.Protocol, Cluster: "muster", Nonce: make([]byte, 16)}
	var dirs []*datadir.Dir
	for _, name := range c.Founders() {
		d, err := datadir.Open(c.Dir(name), datadir.Options{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		inc := d.Identity().Incarnation
		dirs = append(dirs, d)
		g.Seeds = append(g.Seeds, mustertest.Addr(name))
		g.Founders = append(g.Founders, wire.Identity{Incarnation: inc, NodeID: inc.NodeID(), Name: name, PeerAddr: mustertest.Addr(name)})
	}
	slices.SortFunc(g.Founders, func(a, b wire.Identity) int { return a.Incarnation.Compare(b.Incarnation) })
	ballot := wire.Ballot{Counter: 1, Node: g.Founders[0].Incarnation}
	for _, d := range dirs {
		state := member.State{Durable: formation.Durable{Stage: wire.Accepted, Promised: ballot, Accepted: ballot, Genesis: g.Encode()}}
		if err := errors.Join(d.SaveState(state), d.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// oneAccepted: all three had accepted, two of them have lost their disks.
func oneAccepted(t *testing.T) *mustertest.Cluster {
	c := mustertest.New(t, mustertest.Options{})
	accepted(t, c)
	c.Wipe("n2")
	c.Wipe("n3")
	c.Start()
	time.Sleep(time.Minute)
	return c
}

func acceptedBlocks(t *testing.T) server.WhyAnswer {
	return askFor(t, oneAccepted(t), "n1", "accepted_genesis_blocks")
}

// board is a source of addresses.
type board struct {
	addrs []string
	err   error
}

// Find looks once a second.
func (b *board) Find(ctx context.Context, _ string, report func([]string, error)) {
	for ctx.Err() == nil {
		report(b.addrs, b.err)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func (b *board) String() string { return "dns muster.example:2380" }

func discovering(t *testing.T, b *board) *mustertest.Cluster {
	c := mustertest.New(t, mustertest.Options{Config: func(_ string, c *muster.Config) {
		c.Seeds, c.Discovery, c.Expect = nil, []discovery.Provider{b}, 3
	}})
	c.Start("n1")
	time.Sleep(time.Minute)
	return c
}

func discoveryFailed(t *testing.T) server.WhyAnswer {
	c := discovering(t, &board{err: errors.New("lookup muster.example: no such host")})
	return askFor(t, c, "n1", "discovery_failed")
}

func discoveryFoundNothing(t *testing.T) server.WhyAnswer {
	c := discovering(t, &board{addrs: []string{mustertest.Addr("n1")}})
	return askFor(t, c, "n1", "discovery_found_nothing")
}

// allWiped: all three have lost their disks, and n2 has its pin.
func allWiped(t *testing.T) *mustertest.Cluster {
	pins := t.TempDir()
	pin := func(name string) string { return filepath.Join(pins, name+".pin") }
	c := led(t, mustertest.Options{Config: func(name string, c *muster.Config) { c.PinFile = pin(name) }})
	c.Crash()
	for _, name := range c.Founders() {
		c.Wipe(name)
	}
	for _, name := range []string{"n1", "n3"} {
		if err := os.Remove(pin(name)); err != nil {
			t.Fatal(err)
		}
	}
	c.Start()
	time.Sleep(time.Minute)
	return c
}

func pinned(t *testing.T) server.WhyAnswer { return askFor(t, allWiped(t), "n2", "pinned") }

func seedPinned(t *testing.T) server.WhyAnswer { return askFor(t, allWiped(t), "n1", "seed_pinned") }
