package muster_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/internal/datadir"
	"github.com/musterhq/muster/internal/formation"
	"github.com/musterhq/muster/internal/member"
	"github.com/musterhq/muster/internal/wire"
	"github.com/musterhq/muster/mustertest"
)

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

// TestGenesisIsAbandoned: all founders had accepted when two of the three lost
// their disks. They may have founded, for all that the third can know: it takes
// an operator's word that they did not, which is on the disk once it is taken.
func TestGenesisIsAbandoned(t *testing.T) {
	story(t, func(t *testing.T) {
		c := mustertest.New(t, mustertest.Options{})
		accepted(t, c)
		c.Wipe("n2")
		c.Wipe("n3")
		c.Start()
		time.Sleep(time.Minute)
		told := false
		for _, name := range c.Running() {
			inNoCluster(t, c.Member(name))
			told = told || why(c.Member(name), "accepted_genesis_blocks", "n2", "n3")
		}
		if !told {
			t.Errorf("nobody says what is in the way:\n%s", c.Describe())
		}
		n1 := c.Member("n1")
		if err := n1.AbandonGenesis(t.Context(), []string{"n2"}); !errors.Is(err, muster.ErrRefused) {
			t.Errorf("n3 was not named: %v", err)
		}
		if err := c.Member("n2").AbandonGenesis(t.Context(), []string{"n3"}); !errors.Is(err, muster.ErrRefused) {
			t.Errorf("n2 holds none: %v", err)
		}
		c.Isolate("n1") // so that it founds nothing before it is started again
		if err := n1.AbandonGenesis(t.Context(), []string{"n2", "n3"}); err != nil {
			t.Fatalf("given up: %v\n%s", err, c.Describe())
		}
		time.Sleep(time.Second)
		if !n1.Saw("genesis_abandoned") {
			t.Error("it doesn't tell of it")
		}
		c.Restart("n1")
		c.Heal()
		c.Ready(within(t, time.Minute))
		oneCluster(t, c)
		if err := c.Member("n1").AbandonGenesis(t.Context(), []string{"n2", "n3"}); !errors.Is(err, muster.ErrRefused) {
			t.Errorf("a member has nothing to give up: %v", err)
		}
	})
}
