package replica

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/cluster"
)

// election is what this member has seen of votes since it last knew a leader.
// Nothing is decided by it: it is for people.
type election struct {
	since   uint64   // tick since which no leader is known
	decided uint64   // the last term in which there was one
	ballots []ballot // at most one for each candidate, voter and kind; no more than maxBallots
	asked   []asked  // requests that raft has not answered yet; at most one for each candidate and kind
}

type ballot struct {
	cluster.Ballot
	tick uint64
}

type asked struct {
	from cluster.NodeID
	term uint64
	poll bool
	led  bool // this member had a leader then
}

const (
	// maxBallots bounds what others can make a member remember.
	maxBallots = 64
	// ballotsLast is for how many election timeouts a ballot is worth telling.
	ballotsLast = 10
)

// campaignTransfer marks the request of one to which leadership is handed over;
// raft doesn't export it.
var campaignTransfer = []byte("CampaignTransfer")

// noteVote looks at a message about votes before raft does.
func (r *Replica) noteVote(m *raftpb.Message) {
	from, self := cluster.NodeID(m.GetFrom()), r.cfg.Self.ID
	poll := m.GetType() == raftpb.MsgPreVote || m.GetType() == raftpb.MsgPreVoteResp
	switch m.GetType() {
	case raftpb.MsgVote, raftpb.MsgPreVote:
		a := asked{from: from, term: m.GetTerm(), poll: poll, led: r.led()}
		if r.ignores(m) {
			r.ballot(cluster.Ballot{Candidate: from, Voter: self, Term: a.term, Poll: poll, Why: cluster.RefusedHearsLeader})
			return
		}
		e := &r.election
		e.asked = slices.DeleteFunc(e.asked, func(x asked) bool { return x.from == from && x.poll == poll })
		if len(e.asked) < maxBallots {
			e.asked = append(e.asked, a)
		}
	case raftpb.MsgVoteResp, raftpb.MsgPreVoteResp:
		b := cluster.Ballot{Candidate: self, Voter: from, Term: m.GetTerm(), Poll: poll, Granted: !m.GetReject()}
		if m.GetReject() && m.GetTerm() > r.basic.GetTerm()+1 {
			b.Why = cluster.RefusedOldTerm
		}
		r.ballot(b)
	}
}

// noteAnswer looks at a message that raft sends: it may be this member's vote.
func (r *Replica) noteAnswer(m *raftpb.Message) {
	if m.GetType() != raftpb.MsgVoteResp && m.GetType() != raftpb.MsgPreVoteResp {
		return
	}
	to, poll := cluster.NodeID(m.GetTo()), m.GetType() == raftpb.MsgPreVoteResp
	e := &r.election
	i := slices.IndexFunc(e.asked, func(x asked) bool { return x.from == to && x.poll == poll })
	if i < 0 {
		return // to itself, for instance
	}
	b := cluster.Ballot{Candidate: to, Voter: r.cfg.Self.ID, Term: e.asked[i].term, Poll: poll, Granted: !m.GetReject()}
	if m.GetReject() {
		b.Why = r.refusal(e.asked[i])
	}
	e.asked = slices.Delete(e.asked, i, i+1)
	r.ballot(b)
}

// ignores says whether raft doesn't even answer: a member that has heard from a
// leader within an election timeout (Raft thesis §4.2.3).
func (r *Replica) ignores(m *raftpb.Message) bool {
	return m.GetTerm() > r.basic.GetTerm() && r.led() && !bytes.Equal(m.GetContext(), campaignTransfer)
}

// led says that this member leads, or has heard from its leader lately.
func (r *Replica) led() bool {
	return r.termStart > 0 || r.basic.Lead != raft.None && r.tick-r.leaderAt < uint64(r.cfg.ElectionTicks)
}

// refusal is why raft has refused a request, by its rules in their order.
func (r *Replica) refusal(a asked) cluster.VoteRefusal {
	vote := cluster.NodeID(r.basic.GetVote())
	switch {
	case a.term < r.basic.GetTerm():
		return cluster.RefusedOldTerm
	case a.led:
		return cluster.RefusedHearsLeader
	case a.term == r.basic.GetTerm() && vote != 0 && vote != a.from:
		return cluster.RefusedVoted
	}
	return cluster.RefusedLogBehind
}

// ballot takes the place of an older one.
func (r *Replica) ballot(b cluster.Ballot) {
	e := &r.election
	e.ballots = slices.DeleteFunc(e.ballots, func(x ballot) bool {
		return x.Candidate == b.Candidate && x.Voter == b.Voter && x.Poll == b.Poll
	})
	if len(e.ballots) < maxBallots {
		e.ballots = append(e.ballots, ballot{b, r.tick})
	}
}

// noteLeader runs when this member follows another leader than before, or none.
func (e *election) noteLeader(lead, term, tick uint64) {
	e.since, e.asked = tick, nil
	if lead != raft.None {
		e.ballots, e.decided = nil, term // that election is over
	}
}

// Election is what this member has seen of the votes.
func (r *Replica) Election() cluster.Election {
	out := cluster.Election{Term: r.basic.GetTerm(), Ballots: []cluster.Ballot{}}
	if out.Term != r.election.decided {
		out.Vote = cluster.NodeID(r.basic.GetVote())
	}
	if r.basic.Lead == raft.None {
		out.Leaderless = max(1, r.millis(r.tick-r.election.since))
	}
	for _, x := range r.election.ballots {
		if r.tick-x.tick <= uint64(ballotsLast*r.cfg.ElectionTicks) {
			x.Ago = r.millis(r.tick - x.tick)
			out.Ballots = append(out.Ballots, x.Ballot)
		}
	}
	slices.SortFunc(out.Ballots, func(a, b cluster.Ballot) int {
		return cmp.Or(cmp.Compare(a.Candidate, b.Candidate), cmp.Compare(a.Voter, b.Voter), cmp.Compare(a.Term, b.Term))
	})
	return out
}

// millis is how long so many ticks are, in milliseconds.
func (r *Replica) millis(ticks uint64) int64 {
	return time.Duration(int64(ticks) * int64(r.cfg.Tick)).Milliseconds()
}
