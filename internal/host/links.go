package host

import (
	"fmt"
	"slices"
	"strings"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/member"
)

// way is whether what one member sends reaches another.
type way struct {
	known, works bool
	millis       int64  // since when it doesn't
	err          string // what the sender meets
}

// wayFrom goes by the word of the one that should hear, else of the one that
// sends; seen holds those that were heard.
func wayFrom(from, to cluster.NodeID, seen map[cluster.NodeID]*cluster.Reach) way {
	var w way
	if r := seen[from]; r != nil {
		if l, ok := r.Link(to); ok {
			w = way{known: true, works: l.Connected, millis: l.For, err: l.Err}
		}
	}
	if r := seen[to]; r != nil {
		if l, ok := r.Link(from); ok {
			silence := l.Silence()
			if w.known && !w.works {
				silence = min(silence, w.millis) // the sender may have begun just now
			}
			w.known, w.works, w.millis = true, l.Hears(), silence
		}
	}
	return w
}

// pair is two members between which something is amiss.
type pair struct {
	a, b       cluster.Member
	there, way way // from a to b, and back
}

// whyLinks tells, for each pair of members, whether they hear each other. A
// member that nobody reaches and that doesn't answer is told of once.
func whyLinks(v *member.View, seen map[cluster.NodeID]*cluster.Reach) []event.Reason {
	var pairs []pair
	bad := map[cluster.NodeID]int{} // links that are down, of members that were not heard
	ms := byName(v.Membership.Members)
	for i, a := range ms {
		for _, b := range ms[i+1:] {
			p := pair{a, b, wayFrom(a.ID, b.ID, seen), wayFrom(b.ID, a.ID, seen)}
			if p.fine() || p.young() || refuse(a.ID, b.ID, seen) {
				continue
			}
			pairs = append(pairs, p)
			for _, id := range []cluster.NodeID{a.ID, b.ID} {
				if seen[id] == nil && !p.oneWay() {
					bad[id]++
				}
			}
		}
	}
	var out []event.Reason
	told := map[cluster.NodeID]bool{}
	for _, p := range pairs {
		gone, by := p.a, p.b
		if bad[p.b.ID] > 0 {
			gone, by = p.b, p.a
		}
		switch {
		case p.oneWay():
			out = append(out, p.whyOneWay(v))
		case bad[gone.ID] > 0 && seen[by.ID] != nil:
			if !told[gone.ID] {
				told[gone.ID] = true
				out = append(out, whyGone(v, gone, pairs))
			}
		case seen[p.a.ID] != nil && seen[p.b.ID] != nil:
			out = append(out, p.whyDown(v))
		}
	}
	return out
}

// fine says that both directions work, as far as is known.
func (p pair) fine() bool {
	return (p.there.works || !p.there.known) && (p.way.works || !p.way.known)
}

// refuse says that one of the two refuses the other: that is another story,
// which both tell.
func refuse(a, b cluster.NodeID, seen map[cluster.NodeID]*cluster.Reach) bool {
	is := func(r *cluster.Reach, peer cluster.NodeID) bool {
		if r == nil {
			return false
		}
		l, _ := r.Link(peer)
		return l.Refused
	}
	return is(seen[a], b) || is(seen[b], a)
}

// oneWay says that one direction works and the other is known not to.
func (p pair) oneWay() bool {
	return p.there.known && p.way.known && p.there.works != p.way.works
}

// young says that what doesn't work doesn't do so for long: one direction
// always comes up first.
func (p pair) young() bool {
	switch {
	case p.there.works || !p.there.known:
		return p.way.millis < settled
	case p.way.works || !p.way.known:
		return p.there.millis < settled
	}
	return min(p.there.millis, p.way.millis) < settled
}

func (p pair) whyOneWay(v *member.View) event.Reason {
	from, to, broken := p.a, p.b, p.there
	if p.there.works {
		from, to, broken = p.b, p.a, p.way
	}
	return event.Reason{Code: "one_way_link", Peer: from.ID, Addr: v.Addr(from),
		Text:   fmt.Sprintf("%s hears %s, %s doesn't hear %s for %s (one-way)%s", from.Name, to.Name, to.Name, from.Name, event.Span(broken.millis), after(": "+from.Name+" meets: ", broken.err)),
		WayOut: fmt.Sprintf("mend the network from %s to %s at %s: a firewall, a route, or the address that %s advertises", from.Name, to.Name, v.Addr(to), to.Name)}
}

func (p pair) whyDown(v *member.View) event.Reason {
	err := p.there.err
	if err == "" {
		err = p.way.err
	}
	return event.Reason{Code: "link_down", Peer: p.a.ID, Addr: v.Addr(p.a),
		Text:   fmt.Sprintf("%s and %s don't hear each other for %s%s", p.a.Name, p.b.Name, event.Span(min(p.there.millis, p.way.millis)), after(": ", err)),
		WayOut: fmt.Sprintf("mend the network between %s at %s and %s at %s", p.a.Name, v.Addr(p.a), p.b.Name, v.Addr(p.b))}
}

// whyGone names all that can't reach a member that doesn't answer.
func whyGone(v *member.View, gone cluster.Member, pairs []pair) event.Reason {
	var by []string
	var err string
	millis := int64(0)
	for _, p := range pairs {
		other, w := p.b, p.way // from b to a
		if p.b.ID == gone.ID {
			other, w = p.a, p.there
		}
		if p.a.ID != gone.ID && p.b.ID != gone.ID || !w.known || w.works {
			continue
		}
		by = append(by, other.Name)
		millis = max(millis, w.millis)
		if err == "" {
			err = w.err
		}
	}
	slices.Sort(by)
	return event.Reason{Code: "peer_unreachable", Peer: gone.ID, Addr: v.Addr(gone),
		Text:   fmt.Sprintf("%s at %s can't be reached by %s for %s%s", gone.Name, v.Addr(gone), strings.Join(by, ", "), event.Span(millis), after(": ", err)),
		WayOut: "start it, or mend the network to it; " + goneForGood(v, gone.ID)}
}

// after is text behind an opening, or nothing.
func after(opening, text string) string {
	if text == "" {
		return ""
	}
	return opening + text
}
