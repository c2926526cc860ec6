package main

import (
	"testing"
	"time"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/mustertest"
	"github.com/musterhq/muster/server"
)

// Screens about who votes, who leads and who is removed.

func setPolicy(t *testing.T, c *mustertest.Cluster, settings map[string]string) {
	t.Helper()
	if err := c.Member("n1").SetPolicy(t.Context(), settings, "a test"); err != nil {
		t.Fatal(err)
	}
}

// zoned puts each member into a zone.
func zoned(zones map[string]string) mustertest.Options {
	return mustertest.Options{Config: func(name string, c *muster.Config) { c.Zone = zones[name] }}
}

// pausedPair is a cluster that would promote n4 and n5, and is paused.
func pausedPair(t *testing.T) *mustertest.Cluster {
	c := led(t, mustertest.Options{})
	setPolicy(t, c, map[string]string{"paused": "the switch in rack 3 is replaced, ask Ann"})
	c.Join(t.Context(), "n4")
	c.Join(t.Context(), "n5")
	time.Sleep(5 * time.Second)
	return c
}

// announcedPair is a cluster to which two learners were announced, n4 and n5, of
// which n4 has come.
func announcedPair(t *testing.T) *mustertest.Cluster {
	c := led(t, mustertest.Options{})
	for _, name := range []string{"n4", "n5"} {
		if _, err := c.Member("n1").Announce(t.Context(), []string{"http://" + mustertest.Addr(name)}, true); err != nil {
			t.Fatal(err)
		}
	}
	c.Join(t.Context(), "n4")
	time.Sleep(5 * time.Second)
	return c
}

func announcedScreen(t *testing.T) server.WhyAnswer {
	return askFor(t, announcedPair(t), "n1", "announced", "announced_learner")
}

func pausedScreen(t *testing.T) server.WhyAnswer {
	return askFor(t, pausedPair(t), "n2", "paused", "held_by_pause")
}

// keptForFloor: four have founded, where three voters would do. n4 is the one too
// many, since it shares its zone with the leader.
func keptForFloor(t *testing.T) server.WhyAnswer {
	opt := zoned(map[string]string{"n1": "east", "n4": "east"})
	opt.Founders = 4
	inZone := opt.Config
	opt.Config = func(name string, c *muster.Config) {
		inZone(name, c)
		c.Policy.Floor = 4
	}
	return askFor(t, led(t, opt), "n1", "kept_for_floor")
}

func zoneHasHalf(t *testing.T) server.WhyAnswer {
	return askFor(t, led(t, zoned(map[string]string{"n1": "east", "n2": "east", "n3": "west"})), "n1", "zone_has_half")
}

// spreadHeld: n4 should vote in place of n2, for its zone, while n3 is down.
func spreadHeld(t *testing.T) *mustertest.Cluster {
	c := led(t, zoned(map[string]string{"n1": "east", "n2": "east", "n3": "west", "n4": "north"}))
	c.Crash("n3")
	time.Sleep(2 * time.Second)
	c.Join(t.Context(), "n4")
	time.Sleep(5 * time.Second)
	return c
}

func spreadQuorum(t *testing.T) server.WhyAnswer {
	return askFor(t, spreadHeld(t), "n1", "spread_would_lose_quorum")
}

// removalWaits: the standby n4 has been gone for long, and then n3 is as well.
func removalWaits(t *testing.T) server.WhyAnswer {
	c := led(t, mustertest.Options{})
	c.Join(t.Context(), "n4")
	time.Sleep(5 * time.Second)
	setPolicy(t, c, map[string]string{"remove-after": "2m"})
	c.Crash("n4", "n3")
	time.Sleep(3*time.Minute + 10*time.Second)
	return askFor(t, c, "n1", "removal_waits", "no_standby")
}

// wipedPair is a cluster in which n3 came back with an empty disk, and has not
// answered for long enough.
func wipedPair(t *testing.T) *mustertest.Cluster {
	c := led(t, mustertest.Options{})
	setPolicy(t, c, map[string]string{"stability": "5m"})
	c.Wipe("n3")
	time.Sleep(2 * time.Second)
	c.Start("n3")
	c.Ready(t.Context(), "n3")
	time.Sleep(5 * time.Second)
	return c
}

func voterWiped(t *testing.T) server.WhyAnswer {
	return askFor(t, wipedPair(t), "n1", "voter_wiped")
}

func leaderZoneWaits(t *testing.T) server.WhyAnswer {
	c := led(t, zoned(map[string]string{"n1": "east", "n2": "west", "n3": "north"}))
	c.Crash("n2")
	time.Sleep(2 * time.Second)
	setPolicy(t, c, map[string]string{"leader-zones": "west"})
	return askFor(t, c, "n1", "leader_zone_waits")
}

// silentStandby: n3 is down, and n4 is on standby.
func silentStandby(t *testing.T) server.WhyAnswer {
	c := led(t, mustertest.Options{})
	c.Join(t.Context(), "n4")
	time.Sleep(5 * time.Second)
	c.Crash("n3")
	time.Sleep(10 * time.Second)
	return askFor(t, c, "n1", "voter_silent", "peer_unreachable")
}

// peerJoining: a node was let in, and has not heard of it.
func peerJoining(t *testing.T) server.WhyAnswer {
	c := led(t, mustertest.Options{})
	s := newStranger(t, c, "n4", nil)
	letIn(t, c, s)
	time.Sleep(10 * time.Second)
	a := askFor(t, c, "n1", "peer_joining")
	return only(a, func(r event.Reason) bool { return r.Code == "peer_joining" || r.Code == "not_active" })
}
