package replica

import (
	"slices"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/cluster"
)

// ballotOf finds what a member has seen of a vote; zero: nothing.
func (n *node) ballotOf(candidate, voter cluster.NodeID, ok func(cluster.Ballot) bool) bool {
	return slices.ContainsFunc(n.rep.Election().Ballots, func(b cluster.Ballot) bool {
		return b.Candidate == candidate && b.Voter == voter && ok(b)
	})
}

func refusedFor(why cluster.VoteRefusal) func(cluster.Ballot) bool {
	return func(b cluster.Ballot) bool { return !b.Granted && b.Why == why }
}

// A vote is refused to one whose log is behind; both ends tell it, the voter
// with the reason.
func TestElectionTellsLogBehind(t *testing.T) {
	w := newWorld(t, 1, 3, 3)
	l := w.elect(1)
	w.settle()
	w.isolate(3)
	l.proposeBytes([]byte("x"))
	w.settle()
	l.crash()
	w.heal()
	w.lose = func(from, _ cluster.NodeID, m *raftpb.Message) bool {
		return from == 2 && (m.GetType() == raftpb.MsgPreVote || m.GetType() == raftpb.MsgVote)
	}
	w.until("2 says that it refused 3", func() bool { return w.nodes[2].ballotOf(3, 2, refusedFor(cluster.RefusedLogBehind)) })
	w.until("3 says so too", func() bool {
		return w.nodes[3].ballotOf(3, 2, func(b cluster.Ballot) bool { return !b.Granted })
	})
	if e := w.nodes[3].rep.Election(); e.Leaderless == 0 {
		t.Errorf("3 has a leader: %+v", e)
	}
	w.lose = nil
	w.until("2 leads", func() bool { return w.nodes[2].rep.leads() })
	w.ticks(2)
	for _, id := range []cluster.NodeID{2, 3} {
		if e := w.nodes[id].rep.Election(); len(e.Ballots) > 0 || e.Vote != 0 || e.Leaderless != 0 {
			t.Errorf("%d still tells of an election that is over: %+v", id, e)
		}
	}
}

// A member that hears its leader doesn't answer one that doesn't, and tells so.
func TestElectionTellsLeaderHeard(t *testing.T) {
	w := newWorld(t, 1, 3, 3)
	w.elect(1)
	w.settle()
	w.cut[[2]cluster.NodeID{1, 3}] = true // one way
	for _, id := range []cluster.NodeID{1, 2} {
		w.until("it is asked by 3", func() bool { return w.nodes[id].ballotOf(3, id, refusedFor(cluster.RefusedHearsLeader)) })
	}
}

// When two campaign in one term, each tells that it has voted for itself.
func TestElectionTellsSplitVote(t *testing.T) {
	for seed := range uint64(100) {
		w := newWorld(t, seed, 2, 1)
		w.elect(1)
		w.settle()
		w.isolate(1)
		w.until("both have no leader", func() bool {
			return w.nodes[1].rep.basic.Lead == 0 && w.nodes[2].rep.basic.Lead == 0
		})
		w.heal()
		for _, id := range []cluster.NodeID{1, 2} {
			_ = w.nodes[id].rep.raft.Campaign()
			w.nodes[id].drain()
		}
		w.settle()
		one, two := w.nodes[1], w.nodes[2]
		if one.ballotOf(2, 1, refusedFor(cluster.RefusedVoted)) && two.ballotOf(1, 2, refusedFor(cluster.RefusedVoted)) {
			if e := one.rep.Election(); e.Vote != 1 {
				t.Errorf("1 voted for %d", e.Vote)
			}
			return
		}
	}
	t.Error("no votes were split, or none is told")
}
