package host

import (
	"fmt"
	"strings"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/member"
)

// whyNoLeader explains why there is no leader, as far as this member knows.
func whyNoLeader(v *member.View, own cluster.Reach) []event.Reason {
	self, known := v.Membership.Member(v.Status.Self.ID)
	if !known || v.Status.Applied == 0 {
		return []event.Reason{{Code: "waiting_for_leader", Text: "admitted to the cluster; waiting to hear from its leader",
			WayOut: "it comes by itself when the leader can reach this node at " + v.Status.Self.PeerAddr}}
	}
	voters, up, missing := countVoters(v, own)
	need := voters/2 + 1
	e := own.Election
	text := fmt.Sprintf("no leader for %s (term %d): ", event.Span(e.Leaderless), e.Term)
	votes := votesText(e, self.ID, v.Name)
	if up < need {
		return []event.Reason{{Code: "no_quorum_reachable",
			Text:   fmt.Sprintf("%s%d of %d voters can be reached, %d are needed; missing: %s%s", text, up, voters, need, strings.Join(missing, ", "), votes),
			WayOut: fmt.Sprintf("start %d of the missing members again, with their data directories, or mend the network to them", need-up)}}
	}
	out := []event.Reason{{Code: "no_leader",
		Text:   fmt.Sprintf("%san election is under way; %d of %d voters can be reached, %d are needed%s", text, up, voters, need, votes),
		WayOut: "nothing to do, if it ends within some election timeouts; if it doesn't, `muster why` on the other voters tells whom they vote for and whom they hear"}}
	return append(out, splitReason(votesSeen(e, self.ID), e.Term, voters, v.Name)...)
}

// countVoters counts the voters and those of them that can be reached, and
// names the others with the reason.
func countVoters(v *member.View, own cluster.Reach) (voters, up int, missing []string) {
	for _, m := range v.Membership.Members {
		if m.Role != cluster.Voter {
			continue
		}
		voters++
		l, ok := own.Link(m.ID)
		if m.ID == own.Self || ok && l.Connected {
			up++
			continue
		}
		why := "not connected yet"
		if l.Err != "" {
			why = l.Err
		}
		missing = append(missing, fmt.Sprintf("%s at %s (for %s: %s)", m.Name, v.Addr(m), event.Span(l.For), why))
	}
	return voters, up, missing
}

// votesText says who has voted for whom, as a part of a sentence; "" when
// nothing is known.
func votesText(e cluster.Election, self cluster.NodeID, name func(cluster.NodeID) string) string {
	var parts []string
	if e.Vote != 0 {
		who := name(e.Vote)
		if e.Vote == self {
			who = "itself"
		}
		parts = append(parts, fmt.Sprintf("this node voted for %s in term %d", who, e.Term))
	}
	for _, b := range e.Ballots {
		parts = append(parts, ballotText(b, self, name))
	}
	if len(parts) == 0 {
		return ""
	}
	return "; " + strings.Join(parts, "; ")
}

func ballotText(b cluster.Ballot, self cluster.NodeID, name func(cluster.NodeID) string) string {
	who := func(id cluster.NodeID) string {
		if id == self {
			return "this node"
		}
		return name(id)
	}
	asks := fmt.Sprintf("%s asked %s for its vote in term %d %s ago", who(b.Candidate), who(b.Voter), b.Term, event.Span(b.Ago))
	if b.Poll {
		asks = fmt.Sprintf("%s asked %s %s ago whether it would vote for it", who(b.Candidate), who(b.Voter), event.Span(b.Ago))
	}
	if b.Granted {
		return asks + ": yes"
	}
	return asks + ": no" + refusalText(b)
}

func refusalText(b cluster.Ballot) string {
	switch b.Why {
	case cluster.RefusedVoted:
		return ", it has voted for another"
	case cluster.RefusedLogBehind:
		return ", the log of the one that asks is behind"
	case cluster.RefusedHearsLeader:
		return ", it has a leader"
	case cluster.RefusedOldTerm:
		return ", that term is over"
	}
	return ""
}

// votesSeen is for whom each voter has voted in the last term, as far as one
// member has seen it.
func votesSeen(e cluster.Election, self cluster.NodeID) map[cluster.NodeID]cluster.NodeID {
	votes := map[cluster.NodeID]cluster.NodeID{}
	for _, b := range e.Ballots {
		if b.Poll || b.Term != e.Term {
			continue
		}
		votes[b.Candidate] = b.Candidate // who asks votes for itself
		if b.Granted {
			votes[b.Voter] = b.Candidate
		}
	}
	if e.Vote != 0 {
		votes[self] = e.Vote
	}
	return votes
}

// splitReason tells of an election in which more than one had votes, and none
// can have enough any more.
func splitReason(votes map[cluster.NodeID]cluster.NodeID, term uint64, voters int, name func(cluster.NodeID) string) []event.Reason {
	count := map[cluster.NodeID]int{}
	for _, c := range votes {
		count[c]++
	}
	var parts []string
	open := voters - len(votes) // who may still vote for any of them
	for _, c := range sortedKeys(count) {
		if count[c]+open > voters/2 {
			return nil
		}
		parts = append(parts, fmt.Sprintf("%s has %d", name(c), count[c]))
	}
	if len(parts) < 2 {
		return nil
	}
	return []event.Reason{{Code: "vote_split",
		Text:   fmt.Sprintf("the votes of term %d are split, %d are needed: %s", term, voters/2+1, strings.Join(parts, ", ")),
		WayOut: "nothing to do: those that campaign wait for a random time before they ask again; if it goes on, --election-timeout is too short for this network"}}
}
