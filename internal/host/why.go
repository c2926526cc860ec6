package host

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/member"
	"github.com/musterhq/muster/internal/transport"
	"github.com/musterhq/muster/internal/wire"
)

// Why says what the node waits for, and what would end the wait. It asks nobody.
func (h *Host) Why() []event.Reason {
	v := h.live.view.Load()
	var out []event.Reason
	if !v.InCluster() {
		out = append(out, v.Why...)
		out = append(out, h.whySources(v)...)
		return append(out, h.disk.why()...)
	}
	own := h.reach(v)
	if v.Status.Leader == 0 {
		out = append(out, whyNoLeader(v, own)...)
	}
	out = append(out, h.whyStreams(v)...)
	out = append(out, h.disk.why()...)
	if v.ImageErr != nil {
		out = append(out, event.Reason{Code: "snapshot_failed", Text: "no snapshot can be taken: " + v.ImageErr.Error(),
			WayOut: "mend the cause, it is tried again each second; until then the log grows, and a new member can't catch up"})
	}
	out = append(out, v.Why...)
	out = append(out, h.whySources(v)...)
	out = append(out, h.whyPeers(v, own)...)
	out = append(out, h.whyRefused(v)...)
	return append(out, h.whyClocks(v)...)
}

// reach is whom this node reaches and hears.
func (h *Host) reach(v *member.View) cluster.Reach {
	r := cluster.Reach{
		Self: v.Status.Self.ID, Name: v.Status.Self.Name, Leader: v.Status.Leader, State: v.Status.State,
		Election: v.Election, Links: []cluster.Link{},
	}
	now := time.Now()
	for _, p := range h.tr.Peers() {
		l := cluster.Link{Peer: p.ID, Connected: p.Connected, Heard: -1, Err: p.Err, Refused: p.Refusal != nil}
		from := p.Since
		if from.IsZero() {
			from = p.Began
		}
		l.For = now.Sub(from).Milliseconds()
		if !p.Heard.IsZero() {
			l.Heard = now.Sub(p.Heard).Milliseconds()
		}
		r.Links = append(r.Links, l)
	}
	return r
}

// settled is how long a link must have been one-way before that is told, in
// milliseconds: one end always comes up first.
const settled = 3000

// whyPeers tells of peers that this node can't reach or doesn't hear, or with
// which it and they want nothing to do.
func (h *Host) whyPeers(v *member.View, own cluster.Reach) []event.Reason {
	var out []event.Reason
	peers := slices.SortedStableFunc(slices.Values(h.tr.Peers()), func(a, b transport.PeerStatus) int {
		return strings.Compare(v.Name(a.ID), v.Name(b.ID))
	})
	for _, p := range peers {
		l, ok := own.Link(p.ID)
		if !ok {
			continue // it has become a peer just now
		}
		if r := whyLink(v, p, l); r.Code != "" {
			r.Peer, r.Addr = p.ID, p.Addr
			out = append(out, r)
		}
	}
	return out
}

func whyLink(v *member.View, p transport.PeerStatus, l cluster.Link) event.Reason {
	name := v.Name(p.ID)
	who := fmt.Sprintf("%s at %s", name, p.Addr)
	switch {
	case p.Connected && !l.Hears() && l.For >= settled && l.Silence() >= settled:
		return event.Reason{Code: "one_way_link",
			Text:   fmt.Sprintf("this node reaches %s, but has heard nothing from it for %s: %s can't connect to this node", who, event.Span(min(l.For, l.Silence())), name),
			WayOut: fmt.Sprintf("mend the network from %s to %s, where this node listens; `muster why` at %s tells what it meets", name, v.Status.Self.PeerAddr, name)}
	case p.Connected:
	case p.Refusal != nil && p.Refusal.Code.TLS():
		return event.Reason{Code: string(p.Refusal.Code),
			Text: fmt.Sprintf("no connection to %s: %s", who, p.Refusal.Reason), WayOut: p.Refusal.Code.WayOut(name)}
	case p.OwnRefusal && p.Refusal.Code == wire.RefusedRolledBack:
		return event.Reason{Code: "peer_rolled_back",
			Text: fmt.Sprintf("%s is not trusted: %s", who, p.Refusal.Reason), WayOut: p.Refusal.Code.WayOut(name)}
	case p.Refusal != nil && p.Refusal.Code == wire.RefusedNotMe:
		if slices.ContainsFunc(v.Membership.Members, func(m cluster.Member) bool { return m.Replaces == p.ID }) {
			return event.Reason{} // it came back with a new disk, and the leader tells what becomes of it
		}
		return event.Reason{Code: "other_node_there",
			Text:   fmt.Sprintf("another node than %s (%s) answers at its address %s: the disk of %s was emptied, or its address was given to another", name, p.ID, p.Addr, name),
			WayOut: fmt.Sprintf("if the data of %s is gone: `muster remove %s`, once another member can take its place; else start %s again with its data directory", name, p.ID, name)}
	case p.Refusal != nil && p.Refusal.Code.Passing():
		return whyPassing(who, name, p, l)
	case p.OwnRefusal:
		return event.Reason{Code: "peer_refused",
			Text: fmt.Sprintf("this node refuses %s: %s", who, p.Refusal.Reason), WayOut: p.Refusal.Code.WayOut(name)}
	case p.Refusal != nil:
		return event.Reason{Code: "peer_refuses",
			Text: fmt.Sprintf("%s refuses this node: %s", who, p.Refusal.Reason), WayOut: p.Refusal.Code.WayOut(name)}
	case p.Err != "" && l.Hears() && l.For >= settled:
		return event.Reason{Code: "one_way_link",
			Text:   fmt.Sprintf("this node hears %s, but has not reached it at %s for %s: %s", name, p.Addr, event.Span(l.For), p.Err),
			WayOut: fmt.Sprintf("mend the network from this node to %s, or correct the address that %s advertises", p.Addr, name)}
	case p.Err != "":
		return event.Reason{Code: "peer_unreachable",
			Text:   fmt.Sprintf("%s can't be reached for %s: %s", who, event.Span(l.For), p.Err),
			WayOut: "start it, or mend the network between the two; " + goneForGood(v, p.ID)}
	}
	return event.Reason{}
}

// whyPassing is about a peer that will be let in as soon as it, or this node,
// has heard of a change. Nothing is said of it at first.
func whyPassing(who, name string, p transport.PeerStatus, l cluster.Link) event.Reason {
	switch {
	case l.For < settled:
		return event.Reason{}
	case p.Refusal.Code == wire.RefusedMoving && p.OwnRefusal:
		return event.Reason{Code: "peer_moving",
			Text:   fmt.Sprintf("this node doesn't take %s for the one that it knows yet: %s", who, p.Refusal.Reason),
			WayOut: "nothing to do: it takes seconds; if it goes on, see that it runs at one address only"}
	case p.Refusal.Code == wire.RefusedMoving:
		return event.Reason{Code: "peer_moving",
			Text:   fmt.Sprintf("%s doesn't take this node for the one that it knows yet: %s", who, p.Refusal.Reason),
			WayOut: "nothing to do: it takes seconds; if it goes on, see that it runs at one address only"}
	}
	return event.Reason{Code: "peer_joining",
		Text:   who + " is there, but doesn't know yet that it is a member",
		WayOut: fmt.Sprintf("nothing to do: it is told when it asks to join again; if it goes on, `muster why` at %s tells what keeps it from that", name)}
}

// goneForGood is the way out of a member that will not come back.
func goneForGood(v *member.View, id cluster.NodeID) string {
	text := fmt.Sprintf("if it is gone for good: `muster remove %s`", v.Name(id))
	if m, _ := v.Membership.Member(id); m.Role == cluster.Voter {
		text += ", once another member can take its place"
	}
	return text
}
