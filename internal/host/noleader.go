package host

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/member"
)

// stuckElection is after how long an election is more than a matter of a
// moment, in milliseconds.
const stuckElection = 10_000

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
			WayOut: missingWayOut(need-up, len(missing), refusedVoters(v, own))}}
	}
	r := event.Reason{Code: "no_leader",
		Text:   fmt.Sprintf("%san election is under way; %d of %d voters can be reached, %d are needed%s", text, up, voters, need, votes),
		WayOut: "nothing to do: it ends within some election timeouts"}
	if e.Leaderless > stuckElection {
		r.Text = fmt.Sprintf("%selections come to nothing, though %d of %d voters can be reached and %d are needed%s", text, up, voters, need, votes)
		r.WayOut = "see whom the other voters vote for and whom they don't hear: their answers have to get back; start the voters that are down, and mend links that work in one direction alone"
	}
	out := []event.Reason{r}
	return append(out, splitReason(votesSeen(e, self.ID), e.Term, voters, v.Name)...)
}

// missingWayOut is how to come to so many voters more, where some of the missing
// ones answer and there is a refusal in between.
func missingWayOut(more, missing, refused int) string {
	start := fmt.Sprintf("start %d of the missing members again, with their data directories, or mend the network to them", more)
	switch refused {
	case 0:
		return start
	case missing:
		return "the missing ones run: end what they are, or this node is, refused for"
	}
	return start + "; or end what those that run are refused for"
}

// refusedVoters counts those that answer and refuse this node, or are refused.
func refusedVoters(v *member.View, own cluster.Reach) (n int) {
	for _, m := range v.Membership.Members {
		if l, ok := own.Link(m.ID); ok && m.Role == cluster.Voter && !l.Connected && l.Refused {
			n++
		}
	}
	return n
}

// countVoters counts the voters and those of them that can be reached, and
// names the others with the reason.
func countVoters(v *member.View, own cluster.Reach) (voters, up int, missing []string) {
	for _, m := range byName(v.Membership.Members) {
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
		switch {
		case l.Refused:
			why = "refused, see below"
		case l.Err != "":
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
	if e.Vote == self {
		parts = append(parts, fmt.Sprintf("this node voted for itself in term %d", e.Term))
	} else if e.Vote != 0 {
		parts = append(parts, fmt.Sprintf("this node voted for %s in term %d", name(e.Vote), e.Term))
	}
	ballots := slices.SortedStableFunc(slices.Values(e.Ballots), func(a, b cluster.Ballot) int {
		return cmp.Or(strings.Compare(name(a.Candidate), name(b.Candidate)), strings.Compare(name(a.Voter), name(b.Voter)))
	})
	for _, b := range ballots {
		overtaken := func(x cluster.Ballot) bool {
			return b.Poll && !x.Poll && x.Candidate == b.Candidate && x.Voter == b.Voter && x.Term >= b.Term
		}
		if slices.ContainsFunc(ballots, overtaken) || b.Granted && !b.Poll && b.Voter == self && b.Candidate == e.Vote {
			continue // what came of it is told
		}
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
	did := "voted for"
	switch {
	case b.Poll && b.Granted:
		did = "would vote for"
	case b.Poll:
		did = "would not vote for"
	case !b.Granted:
		did = "did not vote for"
	}
	return fmt.Sprintf("%s %s %s in term %d (asked %s ago%s)", who(b.Voter), did, who(b.Candidate), b.Term, event.Span(b.Ago), refusalText(b))
}

func refusalText(b cluster.Ballot) string {
	switch b.Why {
	case cluster.RefusedVoted:
		return "; it had voted for another"
	case cluster.RefusedLogBehind:
		return "; the log of the one that asks is behind"
	case cluster.RefusedHearsLeader:
		return "; it had a leader"
	case cluster.RefusedOldTerm:
		return "; that term was over"
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
	candidates := slices.SortedFunc(maps.Keys(count), func(a, b cluster.NodeID) int { return strings.Compare(name(a), name(b)) })
	for _, c := range candidates {
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
