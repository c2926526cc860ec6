package main

import "testing"

// promise is something that a node may wait for, and the files that show it.
type promise struct {
	what  string
	shown []string
}

// promised is all that `muster why` is to tell of.
var promised = []promise{
	{"waiting for a seed", []string{"waiting_for_seed"}},
	{"seeds disagree on the list", []string{"seeds_differ"}},
	{"seeds disagree on the number of founders", []string{"expect_differs"}},
	{"seeds disagree on the cluster's name", []string{"cluster_name_differs"}},
	{"seeds disagree on the protocol's version", []string{"version_differs"}},
	{"too few nodes are there", []string{"too_few_eligible"}},
	{"too many nodes are there", []string{"too_many_eligible"}},
	{"two clusters are seen", []string{"two_clusters_blank", "two_clusters_member", "stranger_refused"}},
	{"a founding was accepted with nodes that are gone", []string{"accepted_genesis_blocks", "genesis_abandoned"}},
	{"a source of addresses fails, or finds nobody", []string{"discovery_failed", "discovery_found_nothing"}},
	{"a disk is lost, and its pin is left", []string{"pinned", "seed_pinned"}},
	{"a clock is off", []string{"clock_skew"}},
	{"trouble with TLS", []string{"tls_expired_own", "tls_expired", "tls_expected_plain", "tls_expected"}},
	{"a join waits: nobody is there, or leads", []string{"join_nobody_there", "join_without_leader"}},
	{"a join is queued", []string{"join_queued", "joins_wait"}},
	{"a join is rate-limited", []string{"join_queued"}},
	{"a join is refused", []string{"join_refused"}},
	{"a join is done, and the node hasn't heard of it", []string{"peer_joining"}},
	{"a learner lags", []string{"learner_lagging"}},
	{"a learner is unstable", []string{"learner_unstable"}},
	{"a promotion is held back by the number of members", []string{"promotion_needs_member"}},
	{"a promotion is held back by the quorum", []string{"promotion_quorum_margin"}},
	{"a promotion is held back by a zone", []string{"promotion_zone", "zone_has_half", "plan_zones"}},
	{"a promotion waits for somebody's word", []string{"promotion_announced", "members_announced"}},
	{"a promotion is held back by a pause", []string{"promotion_paused", "plan_paused"}},
	{"a promotion in place of a wiped voter waits", []string{"voter_wiped", "members_wiped"}},
	{"a removal is held back by the floor", []string{"remove_below_floor", "kept_for_floor"}},
	{"a removal is held back by the quorum", []string{"removal_waits"}},
	{"leadership should be in another zone", []string{"leader_zone_waits"}},
	{"no leader: who votes for whom", []string{"no_leader_votes", "vote_split"}},
	{"no leader: who can't be reached from where", []string{"no_quorum", "leader_not_heard"}},
	{"a member is down", []string{"member_unreachable", "member_unreachable_standby"}},
	{"a link works in one direction, or in none", []string{"one_way_link", "link_down"}},
	{"a peer is refused by its identity", []string{"peer_refuses", "peer_refused", "stranger_refused", "other_node_there", "rolled_back"}},
	{"a peer is refused for its token", []string{"token_missing", "token_refused"}},
	{"a peer is refused since the cluster was re-formed", []string{"old_generation", "old_generation_refused"}},
	{"a snapshot is on its way", []string{"snapshot_sending", "snapshot_receiving"}},
	{"an alarm is raised", []string{"alarms"}},
	{"the disk is full, or almost", []string{"disk_full", "disk_low"}},
	{"the disk failed", []string{"disk_failed"}},
	{"a node was removed", []string{"node_removed", "removed_knocks"}},
}

// TestPromisedScreens: each promise has a screen, and each screen shows one.
func TestPromisedScreens(t *testing.T) {
	unused := map[string]bool{}
	for _, x := range whyCases {
		unused[x.name] = true
	}
	for _, x := range commandCases {
		unused[x.name] = true
	}
	known := len(unused)
	shows := map[string]bool{}
	for _, p := range promised {
		if len(p.shown) == 0 {
			t.Errorf("no screen shows: %s", p.what)
		}
		for _, name := range p.shown {
			if _, ok := unused[name]; !ok {
				t.Errorf("%s: there is no case %s", p.what, name)
			}
			unused[name] = false
			shows[name] = true
		}
	}
	if len(shows) != known {
		for name, left := range unused {
			if left {
				t.Errorf("%s shows nothing that is promised", name)
			}
		}
	}
}
