package muster_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/discovery"
	"github.com/musterhq/muster/mustertest"
)

// board is where nodes find each other: whoever looks there sees what is on it.
type board struct {
	mu    sync.Mutex
	addrs []string
	err   error
}

func (b *board) set(err error, names ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.addrs, b.err = nil, err
	for _, n := range names {
		b.addrs = append(b.addrs, mustertest.Addr(n))
	}
}

// Find looks once a second.
func (b *board) Find(ctx context.Context, _ string, report func([]string, error)) {
	for ctx.Err() == nil {
		b.mu.Lock()
		addrs, err := b.addrs, b.err
		b.mu.Unlock()
		report(addrs, err)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func (b *board) String() string { return "a board" }

// TestFoundByDiscovery: nodes that are told nobody found through what a source
// shows, which is partial, stale and has themselves on it; the late one joins.
func TestFoundByDiscovery(t *testing.T) {
	story(t, func(t *testing.T) {
		b := &board{}
		c := mustertest.New(t, mustertest.Options{Config: func(name string, c *muster.Config) {
			c.Seeds, c.Discovery = nil, []discovery.Provider{b}
			if !c.JoinOnly {
				c.Expect = 3
			}
		}})
		c.Start("n1", "n2", "n3")
		time.Sleep(time.Minute)
		for _, name := range c.Running() {
			inNoCluster(t, c.Member(name))
			if !why(c.Member(name), "discovery_found_nothing", "a board") {
				t.Errorf("%s doesn't say that nothing was found:\n%s", name, c.Describe())
			}
		}
		b.set(errors.New("the paper is wet"))
		time.Sleep(time.Minute)
		if !why(c.Member("n1"), "discovery_failed", "a board", "the paper is wet") {
			t.Errorf("n1 doesn't say what failed:\n%s", c.Describe())
		}
		b.set(nil, "n1", "nobody") // n1 sees itself and a dead one, the others only n1
		c.Ready(within(t, time.Minute))
		oneCluster(t, c)
		b.set(nil, "nobody", "n9", "n2")
		c.Start("n9")
		c.Ready(within(t, time.Minute), "n9")
		oneCluster(t, c)
		if !c.Member("n9").Saw("joined") {
			t.Error("n9 was to join")
		}
		for _, name := range c.Running() {
			if why(c.Member(name), "discovery_found_nothing") || why(c.Member(name), "discovery_failed") {
				t.Errorf("%s has a cluster and speaks of discovery:\n%s", name, c.Describe())
			}
		}
	})
}

// TestMovedMembersFindEachOtherByDiscovery: all members come back at other
// addresses, and know none of the others'; a source shows one of them.
func TestMovedMembersFindEachOtherByDiscovery(t *testing.T) {
	story(t, func(t *testing.T) {
		b := &board{}
		moved := false
		c := mustertest.New(t, mustertest.Options{Config: func(name string, c *muster.Config) {
			if moved {
				c.Seeds, c.Expect, c.Discovery = nil, 3, []discovery.Provider{b}
				c.PeerListen = name + ":7000"
			}
		}})
		c.Start()
		c.Ready(t.Context())
		id := c.Member("n1").Status().ClusterID
		c.Crash()
		moved = true
		b.mu.Lock()
		b.addrs = []string{"n2:7000"}
		b.mu.Unlock()
		c.Start()
		c.Ready(within(t, time.Minute))
		oneCluster(t, c)
		if got := c.Member("n1").Status().ClusterID; got != id {
			t.Errorf("cluster %s, was %s", got, id)
		}
	})
}
