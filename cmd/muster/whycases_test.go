package main

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/raftlog"
	"github.com/musterhq/muster/internal/wire"
	"github.com/musterhq/muster/mustertest"
	"github.com/musterhq/muster/server"
	"github.com/musterhq/muster/statemachine"
)

// whyCases are the screens, in the order of a node's life.
var whyCases = []whyCase{
	{"waiting_for_seed", "founding waits for a seed that doesn't answer", waitingForSeed},
	{"seeds_differ", "two founders were given different seeds", seedsDiffer},
	{"expect_differs", "two nodes expect a different number of founders", expectDiffers},
	{"cluster_name_differs", "a seed belongs to a cluster of another name", clusterNameDiffers},
	{"version_differs", "a seed speaks another version of the protocol", versionDiffers},
	{"too_few_eligible", "fewer nodes are there than are expected", tooFewEligible},
	{"too_many_eligible", "so many nodes are there that two clusters could come of it", tooManyEligible},
	{"discovery_failed", "a source of addresses fails", discoveryFailed},
	{"discovery_found_nothing", "a source of addresses has found nobody", discoveryFoundNothing},
	{"two_clusters_blank", "two clusters of one name: at a node that is in none", twoClustersBlank},
	{"two_clusters_member", "the same, at a member of one", twoClustersMember},
	{"accepted_genesis_blocks", "a founding was accepted with nodes that are gone", acceptedBlocks},
	{"pinned", "all disks are lost: at the node whose pin is left", pinned},
	{"seed_pinned", "the same, at another seed", seedPinned},
	{"join_nobody_there", "a node that was told to join finds no cluster", joinNobodyThere},
	{"join_without_leader", "a join waits for a leader", joinWithoutLeader},
	{"join_refused", "a join is refused: the name is another member's", joinRefused},
	{"join_queued", "more nodes join at once than are let in: one that waits for its turn", joinQueued},
	{"joins_wait", "the same, at the leader", joinsWait},
	{"peer_joining", "a node was let in, and has not heard of it", peerJoining},
	{"learner_lagging", "a learner catches up: how far, how fast", learnerLagging},
	{"learner_unstable", "a learner has come back, and has fallen silent before", learnerUnstable},
	{"promotion_quorum_margin", "learners are not promoted: with them a quorum could be lost", quorumMargin},
	{"promotion_needs_member", "a learner stays one: two voters survive no more than one", needsMember},
	{"promotion_announced", "a learner is not promoted: it was announced as one; and a member that was announced hasn't come", announcedScreen},
	{"promotion_paused", "learners are not promoted: somebody has paused it", pausedScreen},
	{"promotion_zone", "a vote is not moved to another zone: with it a quorum could be lost", spreadQuorum},
	{"zone_has_half", "one zone has most of the votes", zoneHasHalf},
	{"kept_for_floor", "voters that the target doesn't ask for, and the floor keeps", keptForFloor},
	{"removal_waits", "a member that is gone is not removed yet", removalWaits},
	{"voter_wiped", "a voter came back with an empty disk, and is not ready to take its own place", voterWiped},
	{"leader_zone_waits", "leadership is not handed to a better zone yet", leaderZoneWaits},
	{"snapshot_sending", "a snapshot is on its way: at the sender", snapshotSending},
	{"snapshot_receiving", "a snapshot is on its way: at the receiver", snapshotReceiving},
	{"member_unreachable", "a member is down: at a follower", memberUnreachable},
	{"member_unreachable_standby", "the same with a learner on standby: at the leader", silentStandby},
	{"one_way_link", "one member reaches another, which doesn't reach it", oneWayLink},
	{"link_down", "two members don't reach each other, others do", linkDown},
	{"clock_skew", "a member's clock is off", clockSkew},
	{"tls_expired_own", "a certificate has expired: at the node whose it is", tlsExpiredOwn},
	{"tls_expired", "the same, at another", tlsExpired},
	{"tls_expected_plain", "a node without TLS comes to a cluster with it: at that node", tlsExpectedPlain},
	{"tls_expected", "the same, at a member", tlsExpected},
	{"no_quorum", "no leader: too few voters can be reached", noQuorum},
	{"no_leader_votes", "no leader: the votes don't get through a one-way link", noLeaderVotes},
	{"leader_not_heard", "a member asks for votes, since its leader doesn't get through to it", leaderNotHeard},
	{"vote_split", "no leader: the votes are split", voteSplit},
	{"peer_refuses", "a member is refused by identity: at the one that is refused", peerRefuses},
	{"peer_refused", "the same, at the one that refuses", peerRefused},
	{"stranger_refused", "a member of another cluster knocks, and is refused", strangerRefused},
	{"token_missing", "a node comes without the cluster's token: at that node", tokenMissing},
	{"token_refused", "the same, at a member", tokenRefused},
	{"other_node_there", "a member lost its disk: another node answers at its address", otherNodeThere},
	{"rolled_back", "an older image of a member's disk was started: at that node", rolledBack},
	{"old_generation", "a directory of before the cluster was re-formed was started: at that node", oldGeneration},
	{"old_generation_refused", "the same, at a member", oldGenerationKnocks},
	{"alarms", "alarms are raised: a member over its quota, and one that holds other data", alarmsRaised},
	{"disk_low", "the disk is almost full", diskLow},
	{"disk_full", "the disk is full: the node has stopped", diskFull},
	{"disk_failed", "the disk failed: the node has stopped", diskFailed},
	{"node_removed", "a node was removed, and has stopped", nodeRemoved},
	{"removed_knocks", "the same, at another member: the removed one still knocks", removedKnocks},
}

func waitingForSeed(t *testing.T) server.WhyAnswer {
	c := mustertest.New(t, mustertest.Options{})
	c.Start("n1", "n2")
	time.Sleep(time.Minute)
	return askFor(t, c, "n1", "seed_unreachable")
}

func seedsDiffer(t *testing.T) server.WhyAnswer {
	c := mustertest.New(t, mustertest.Options{Config: func(name string, c *muster.Config) {
		if name == "n2" {
			c.Seeds = []string{mustertest.Addr("n1"), mustertest.Addr("n2"), mustertest.Addr("n4")}
		}
	}})
	c.Start()
	return askFor(t, c, "n1", "seeds_differ")
}

func clusterNameDiffers(t *testing.T) server.WhyAnswer {
	c := mustertest.New(t, mustertest.Options{Config: func(name string, c *muster.Config) {
		if name == "n2" {
			c.Cluster = "other"
		}
	}})
	c.Start()
	return askFor(t, c, "n1", "cluster_name_differs")
}

func versionDiffers(t *testing.T) server.WhyAnswer {
	c := mustertest.New(t, mustertest.Options{})
	newStranger(t, c, "n3", func(h *wire.Hello) { h.Protocol = 99 })
	c.Start("n1", "n2")
	return askFor(t, c, "n1", "version_differs")
}

func joinNobodyThere(t *testing.T) server.WhyAnswer {
	c := mustertest.New(t, mustertest.Options{})
	c.Start("n9")
	time.Sleep(time.Minute)
	return askFor(t, c, "n9", "no_cluster_found")
}

func joinWithoutLeader(t *testing.T) server.WhyAnswer {
	c := led(t, mustertest.Options{})
	c.Crash("n2", "n3")
	time.Sleep(5 * time.Second)
	c.Start("n9")
	time.Sleep(5 * time.Second)
	return askFor(t, c, "n9", "join_pending")
}

func joinRefused(t *testing.T) server.WhyAnswer {
	c := led(t, mustertest.Options{Config: func(name string, c *muster.Config) {
		if name == "n9" {
			c.Name = "n2"
		}
	}})
	c.Start("n9")
	return askFor(t, c, "n9", "join_refused")
}

func joinQueued(t *testing.T) server.WhyAnswer {
	a := askFor(t, crowd(t), "j4", "rate_limited")
	a.Reasons[0].Addr = mustertest.Addr("n1") // whichever member it asked last
	return a
}

func joinsWait(t *testing.T) server.WhyAnswer {
	a := askFor(t, crowd(t), "n1", "joins_wait")
	return only(a, func(r event.Reason) bool { return r.Code == "joins_wait" }) // the rest is about those that don't show up
}

// learnerLagging: n2 was away while much was written, and its link is slow.
func learnerLagging(t *testing.T) server.WhyAnswer {
	wall := newFirewall()
	c := led(t, mustertest.Options{Founders: 1, Config: func(name string, c *muster.Config) {
		c.HeartbeatInterval, c.ElectionTimeout = 100*time.Millisecond, 10*time.Second
		wall.config(name, c)
	}})
	c.Join(t.Context(), "n2")
	c.Crash("n2")
	write(t, c.Member("n1"), 96, 64<<10)
	wall.slow("n1", "n2", 1536<<10)
	c.Start("n3")
	time.Sleep(30 * time.Second)
	c.Start("n2")
	var a server.WhyAnswer
	c.Until(t.Context(), "it says when n2 is there", func() bool {
		a = ask(t, c.Member("n1"))
		others := slices.ContainsFunc(a.Survey.Members, func(m event.Witness) bool { return len(m.Reasons) > 0 || m.Err != "" })
		return !others && len(a.Survey.Reasons) == 0 && slices.ContainsFunc(a.Reasons, func(r event.Reason) bool {
			return r.Code == "catching_up" && strings.Contains(r.Text, "it is there in about")
		})
	})
	return a
}

func learnerUnstable(t *testing.T) server.WhyAnswer {
	c := led(t, mustertest.Options{Founders: 1})
	c.Join(t.Context(), "n2")
	for range 3 {
		c.Crash("n2")
		time.Sleep(2 * time.Second)
		c.Start("n2")
		c.Ready(t.Context(), "n2")
		time.Sleep(time.Second)
	}
	c.Crash("n2")
	time.Sleep(2 * time.Second)
	c.Join(t.Context(), "n3")
	time.Sleep(2 * time.Second)
	c.Start("n2")
	return askFor(t, c, "n1", "not_stable", "needs_pair")
}

func quorumMargin(t *testing.T) server.WhyAnswer {
	c := led(t, mustertest.Options{})
	c.Crash("n3")
	time.Sleep(2 * time.Second)
	c.Join(t.Context(), "n4")
	c.Join(t.Context(), "n5")
	time.Sleep(5 * time.Second)
	return askFor(t, c, "n2", "would_lose_quorum")
}

func needsMember(t *testing.T) server.WhyAnswer {
	c := led(t, mustertest.Options{Founders: 1})
	c.Join(t.Context(), "n2")
	time.Sleep(5 * time.Second)
	return askFor(t, c, "n1", "needs_member")
}

// snapshotUnderWay to n4, throttled.
func snapshotUnderWay(t *testing.T) *mustertest.Cluster {
	c := led(t, mustertest.Options{Config: func(_ string, c *muster.Config) { c.SnapshotSendBytesPerSecond = 64 << 10 }})
	write(t, c.Member("n1"), 8, 128<<10)
	c.Start("n4")
	c.Until(t.Context(), "a snapshot is under way", func() bool { return c.Member("n4").Saw("snapshot_receiving") })
	time.Sleep(5 * time.Second)
	return c
}

func snapshotSending(t *testing.T) server.WhyAnswer {
	return askFor(t, snapshotUnderWay(t), "n1", "snapshot_sending")
}

func snapshotReceiving(t *testing.T) server.WhyAnswer {
	return askFor(t, snapshotUnderWay(t), "n4", "snapshot_receiving")
}

func memberUnreachable(t *testing.T) server.WhyAnswer {
	c := led(t, mustertest.Options{})
	c.Crash("n3")
	time.Sleep(10 * time.Second)
	return askFor(t, c, "n2", "peer_unreachable", "voter_silent")
}

func oneWayLink(t *testing.T) server.WhyAnswer {
	wall := newFirewall()
	c := led(t, mustertest.Options{Config: wall.config})
	wall.close(c, "n2", "n3")
	time.Sleep(10 * time.Second)
	return askFor(t, c, "n1", "one_way_link")
}

func linkDown(t *testing.T) server.WhyAnswer {
	wall := newFirewall()
	c := led(t, mustertest.Options{Config: wall.config})
	wall.close(c, "n2", "n3")
	wall.close(c, "n3", "n2")
	time.Sleep(10 * time.Second)
	return askFor(t, c, "n1", "link_down")
}

func noQuorum(t *testing.T) server.WhyAnswer {
	c := led(t, mustertest.Options{})
	c.Crash("n2", "n3")
	time.Sleep(10 * time.Second)
	return askFor(t, c, "n1", "no_quorum_reachable")
}

// noLeaderVotes: n3 asks n2 for its vote, and n2's answer doesn't get back.
func noLeaderVotes(t *testing.T) server.WhyAnswer {
	wall := newFirewall()
	c := led(t, mustertest.Options{Config: wall.config})
	wall.close(c, "n2", "n3")
	time.Sleep(10 * time.Second)
	c.Crash("n1")
	time.Sleep(20 * time.Second)
	return askFor(t, c, "n3", "no_leader", "one_way_link", "no_quorum_reachable")
}

func leaderNotHeard(t *testing.T) server.WhyAnswer {
	wall := newFirewall()
	c := led(t, mustertest.Options{Config: wall.config})
	wall.close(c, "n1", "n3")
	time.Sleep(20 * time.Second)
	a := askFor(t, c, "n3", "leader_not_heard", "one_way_link", "no_leader")
	return only(a, func(r event.Reason) bool { return r.Code != "voter_silent" }) // it comes and goes with each time that n3 asks
}

// voteSplit: two voters campaign at the same moment, sooner or later.
func voteSplit(t *testing.T) server.WhyAnswer {
	c := led(t, mustertest.Options{Founders: 2})
	says := func(rs []event.Reason, words ...string) bool {
		return slices.ContainsFunc(rs, func(r event.Reason) bool {
			return r.Code == "no_leader" && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(r.Text, w) })
		})
	}
	for range 500 {
		c.Partition([]string{"n1"}, []string{"n2"})
		time.Sleep(1500 * time.Millisecond) // their leader is lost, their connection is not
		c.Heal()
		for range 100 {
			time.Sleep(10 * time.Millisecond)
			if !says(c.Member("n1").Why(), "this node did not vote for n2", "n2 did not vote for this node") {
				continue
			}
			a := ask(t, c.Member("n1"))
			if says(a.Reasons, "this node did not vote for n2", "n2 did not vote for this node") &&
				says(a.Survey.Members[0].Reasons, "this node did not vote for n1", "n1 did not vote for this node") {
				return a
			}
		}
	}
	t.Fatal("the votes were never split")
	return server.WhyAnswer{}
}

// renamed is a cluster of which n3 came back with another cluster name.
func renamed(t *testing.T) *mustertest.Cluster {
	other := false
	c := led(t, mustertest.Options{Config: func(name string, c *muster.Config) {
		if name == "n3" && other {
			c.Cluster = "other"
		}
	}})
	c.Crash("n3")
	other = true
	c.Start("n3")
	time.Sleep(10 * time.Second)
	return c
}

func peerRefuses(t *testing.T) server.WhyAnswer {
	return askFor(t, renamed(t), "n3", "peer_refuses")
}

func peerRefused(t *testing.T) server.WhyAnswer {
	return askFor(t, renamed(t), "n1", "peer_refuses")
}

func strangerRefused(t *testing.T) server.WhyAnswer {
	c := led(t, mustertest.Options{})
	s := newStranger(t, c, "x1", func(h *wire.Hello) { h.ClusterID, h.Stage = cluster.ClusterID{0: 9}, wire.InCluster })
	s.tr.SetPeers(map[cluster.NodeID]string{c.Member("n1").Status().Self.ID: mustertest.Addr("n1")})
	time.Sleep(10 * time.Second)
	return askFor(t, c, "n1", "conflict_two_clusters")
}

func otherNodeThere(t *testing.T) server.WhyAnswer {
	other := false
	c := led(t, mustertest.Options{Config: func(name string, c *muster.Config) {
		if name == "n3" && other {
			c.Name = "n9"
		}
	}})
	c.Wipe("n3")
	other = true
	time.Sleep(time.Second)
	c.Start("n3")
	time.Sleep(10 * time.Second)
	return askFor(t, c, "n1", "other_node_there")
}

func rolledBack(t *testing.T) server.WhyAnswer {
	c := led(t, mustertest.Options{})
	c.Crash("n3")
	image := c.Backup("n3")
	c.Start("n3")
	c.Ready(t.Context())
	c.Crash("n3")
	c.Restore("n3", image)
	c.Start("n3")
	<-c.Member("n3").Done()
	a := askFor(t, c, "n3", "rolled_back")
	a.Reasons[0].Text = strings.ReplaceAll(a.Reasons[0].Text, "n2 at n2:2380", "n1 at n1:2380") // whichever it met first
	return a
}

func diskLow(t *testing.T) server.WhyAnswer {
	c := led(t, mustertest.Options{Config: func(name string, c *muster.Config) {
		c.DiskSpace = func() (int64, int64, error) { return 500 << 20, 100 << 30, nil }
		if name != "n2" {
			c.DiskSpace = func() (int64, int64, error) { return 50 << 30, 100 << 30, nil }
		}
	}})
	return askFor(t, c, "n2", "disk_low")
}

// failing is a machine at n2 that meets an error of the disk.
func failing(t *testing.T, err error) *mustertest.Cluster {
	j := &mustertest.Journal{}
	c := led(t, mustertest.Options{Machine: func(name string) statemachine.Machine {
		if name == "n2" {
			return j
		}
		return new(mustertest.Journal)
	}})
	c.Crash("n2")
	j = &mustertest.Journal{Before: func(_ uint64, entries []statemachine.Entry) error {
		for _, e := range entries {
			if string(e.Command) == "the last straw" {
				return err
			}
		}
		return nil
	}}
	c.Start("n2")
	c.Ready(t.Context())
	if _, err := c.Member("n1").Propose(t.Context(), []byte("the last straw")); err != nil {
		t.Fatal(err)
	}
	<-c.Member("n2").Done()
	return c
}

func diskFull(t *testing.T) server.WhyAnswer {
	c := failing(t, fmt.Errorf("write /data/n2/machine/000012.log: %w", syscall.ENOSPC))
	return askFor(t, c, "n2", "disk_full")
}

func diskFailed(t *testing.T) server.WhyAnswer {
	c := failing(t, fmt.Errorf("%w: sync /data/n2/log/0000000000000003.log: %w", raftlog.ErrFailed, syscall.EIO))
	return askFor(t, c, "n2", "disk_failed")
}

// oneRemoved is a cluster of which n4 was removed while it was cut off.
func oneRemoved(t *testing.T) *mustertest.Cluster {
	wall := newFirewall()
	c := led(t, mustertest.Options{Config: wall.config})
	c.Join(t.Context(), "n4")
	wall.close(c, "n4", "n2") // it will hear of it from n1
	wall.close(c, "n4", "n3")
	c.Isolate("n4")
	time.Sleep(5 * time.Second)
	if err := c.Member("n1").Remove(t.Context(), c.Member("n4").Status().Self.ID); err != nil {
		t.Fatal(err)
	}
	time.Sleep(5 * time.Second)
	c.Heal()
	<-c.Member("n4").Done()
	return c
}

func nodeRemoved(t *testing.T) server.WhyAnswer {
	return askFor(t, oneRemoved(t), "n4", "removed")
}

func removedKnocks(t *testing.T) server.WhyAnswer {
	c := oneRemoved(t)
	return askFor(t, c, "n1", "removed_knocks")
}
