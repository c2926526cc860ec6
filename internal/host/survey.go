package host

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/member"
	"github.com/musterhq/muster/internal/wire"
)

// surveyPatience bounds how long one member is asked what it sees.
const surveyPatience = time.Second

// answerReach tells a peer what this node sees. It is for members of the same
// cluster alone.
func (h *Host) answerReach(peer wire.Hello) wire.Response {
	v := h.live.view.Load()
	if !v.InCluster() || peer.ClusterID != v.Status.ClusterID {
		return wire.Response{Nack: &wire.Nack{Code: "not_a_member", Reason: "only members of the same cluster may ask"}}
	}
	why, err := json.Marshal(h.Why())
	if err != nil {
		return wire.Response{Nack: &wire.Nack{Code: "failed", Reason: err.Error()}}
	}
	return wire.Response{Reach: &wire.ReachReply{Reach: h.reach(v), Why: why}}
}

// Survey asks all other members, at once and on the peers' own connections,
// what they see: clients' ports may be out of reach. It takes at most about a
// second.
func (h *Host) Survey(ctx context.Context) event.Survey {
	v := h.live.view.Load()
	out := event.Survey{Members: []event.Witness{}, Reasons: []event.Reason{}}
	if !v.InCluster() || h.ctx.Err() != nil {
		return out
	}
	var others []cluster.Member
	for _, m := range byName(v.Membership.Members) {
		if m.ID != v.Status.Self.ID {
			others = append(others, m)
		}
	}
	out.Members = make([]event.Witness, len(others))
	var group sync.WaitGroup
	for i, m := range others {
		group.Go(func() { out.Members[i] = h.witness(ctx, v.Addr(m), m) })
	}
	group.Wait()
	out.Reasons = append(out.Reasons, together(v, h.reach(v), out.Members)...)
	return out
}

func (h *Host) witness(ctx context.Context, addr string, m cluster.Member) event.Witness {
	ctx, cancel := context.WithTimeout(ctx, surveyPatience)
	defer cancel()
	w := event.Witness{ID: m.ID, Name: m.Name}
	resp, _, err := h.tr.Call(ctx, addr, m.ID, wire.Request{Reach: &wire.Reach{}})
	switch {
	case err != nil && errors.Is(err, context.DeadlineExceeded):
		w.Err = fmt.Sprintf("no answer at %s within %s", addr, surveyPatience)
	case err != nil:
		w.Err = err.Error()
	case resp.Reach == nil && resp.Nack != nil:
		w.Err = "it doesn't say: " + resp.Nack.Reason
	case resp.Reach == nil:
		w.Err = "it doesn't understand the question: it runs another version"
	default:
		w.Reach = &resp.Reach.Reach
		if err := json.Unmarshal(resp.Reach.Why, &w.Reasons); err != nil {
			w.Err = "its reasons can't be read: " + err.Error()
		}
	}
	return w
}

// together is what shows when all members are heard: links that don't work, and
// votes that are split.
func together(v *member.View, own cluster.Reach, witnesses []event.Witness) []event.Reason {
	seen := map[cluster.NodeID]*cluster.Reach{own.Self: &own}
	elections := []cluster.Election{own.Election}
	leader := own.Leader
	for _, w := range witnesses {
		if w.Reach != nil {
			seen[w.ID] = w.Reach
			elections = append(elections, w.Reach.Election)
			leader = max(leader, w.Reach.Leader)
		}
	}
	out := append(whyLinks(v, seen), whyUnheard(v, seen)...)
	if leader == 0 && len(elections) > 1 {
		voters := len(v.Membership.Voters())
		out = append(out, splitReason(votesOf(seen), lastTerm(elections), voters, v.Name)...)
	}
	return out
}

// whyUnheard tells of members that know no leader while others have one.
func whyUnheard(v *member.View, seen map[cluster.NodeID]*cluster.Reach) []event.Reason {
	var leader cluster.NodeID
	term := uint64(0)
	for _, r := range seen {
		if r.Leader != 0 && r.Election.Term >= term {
			leader, term = r.Leader, r.Election.Term
		}
	}
	if leader == 0 {
		return nil
	}
	var out []event.Reason
	for _, m := range byName(v.Membership.Members) {
		r := seen[m.ID]
		if r == nil || r.Leader != 0 || r.Election.Leaderless < settled {
			continue
		}
		out = append(out, event.Reason{Code: "leader_not_heard", Peer: m.ID, Addr: v.Addr(m),
			Text:   fmt.Sprintf("%s leads in term %d, and %s has not heard it for %s", v.Name(leader), term, m.Name, event.Span(r.Election.Leaderless)),
			WayOut: fmt.Sprintf("mend the network from %s to %s; what it votes for changes nothing while the others hear their leader", v.Name(leader), m.Name)})
	}
	return out
}

// votesOf is for whom each member voted in the last term, by its own word.
func votesOf(seen map[cluster.NodeID]*cluster.Reach) map[cluster.NodeID]cluster.NodeID {
	term := uint64(0)
	for _, r := range seen {
		term = max(term, r.Election.Term)
	}
	votes := map[cluster.NodeID]cluster.NodeID{}
	for id, r := range seen {
		if r.Election.Term == term && r.Election.Vote != 0 {
			votes[id] = r.Election.Vote
		}
	}
	return votes
}

func lastTerm(es []cluster.Election) (term uint64) {
	for _, e := range es {
		term = max(term, e.Term)
	}
	return term
}

// byName sorts members as people would.
func byName(ms []cluster.Member) []cluster.Member {
	return slices.SortedFunc(slices.Values(ms), func(a, b cluster.Member) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.Replaces, b.Replaces), cmp.Compare(a.ID, b.ID))
	})
}

func sortedKeys[V any](m map[cluster.NodeID]V) []cluster.NodeID {
	return slices.Sorted(maps.Keys(m))
}
