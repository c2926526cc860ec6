package host

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/member"
	"github.com/musterhq/muster/internal/transport"
	"github.com/musterhq/muster/internal/wire"
)

// refusals remembers the last refusal of and by each peer.
type refusals struct {
	mu   sync.Mutex
	last map[refusalKey]refused
}

type refusalKey struct {
	id     cluster.NodeID
	addr   string
	byPeer bool
}

type refused struct {
	name    string
	code    wire.RefusalCode
	reason  string
	first   time.Time // of this reason
	last    time.Time
	attempt int // how often
}

const (
	// maxRefusals bounds what strangers can make a node remember.
	maxRefusals = 256
	// refusalsLast is for how long a refusal is told of after the last attempt.
	refusalsLast = 5 * time.Minute
	// turnedLast is the same for those about certificates: they may be mended at
	// any time, and whoever still has that trouble comes again every few seconds.
	turnedLast = 10 * time.Second
)

// news says that a refusal was met not long ago.
func (x refused) news(now time.Time) bool {
	if x.code.TLS() {
		return now.Sub(x.last) < turnedLast
	}
	return now.Sub(x.last) < refusalsLast
}

// put says whether this refusal differs from the last one.
func (r *refusals) put(k refusalKey, name string, x *wire.Refusal, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old, ok := r.last[k]; ok && old.code == x.Code && old.reason == x.Reason {
		old.last, old.attempt = now, old.attempt+1
		r.last[k] = old
		return false
	}
	if r.last == nil || len(r.last) >= maxRefusals {
		r.last = map[refusalKey]refused{}
	}
	r.last[k] = refused{name: name, code: x.Code, reason: x.Reason, first: now, last: now, attempt: 1}
	return true
}

// knocks lists whom this node refused lately, sorted by address.
func (r *refusals) knocks(now time.Time) (keys []refusalKey, was []refused) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, x := range r.last {
		if !k.byPeer && x.news(now) {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b refusalKey) int {
		return cmp.Or(cmp.Compare(a.addr, b.addr), cmp.Compare(a.id, b.id))
	})
	for _, k := range keys {
		was = append(was, r.last[k])
	}
	return keys, was
}

// whyRefused tells of nodes that connect to this one and are refused by their
// identity. Peers that this node dials are told of by whyPeers.
func (h *Host) whyRefused(v *member.View) []event.Reason {
	var out []event.Reason
	now := time.Now()
	keys, was := h.live.refusals.knocks(now)
	for i, k := range keys {
		x := was[i]
		if x.code.TLS() {
			if slices.ContainsFunc(v.Membership.Members, func(m cluster.Member) bool { return v.Addr(m) == k.addr }) {
				continue // dialled: whyPeers tells
			}
			out = append(out, event.Reason{Code: string(x.code), Addr: k.addr,
				Text: fmt.Sprintf("a connection from %s came to nothing: %s", k.addr, x.reason), WayOut: x.code.WayOut("")})
			continue
		}
		if _, is := v.Membership.Member(k.id); is && (x.code == wire.RefusedNotMe || h.dialledRefused(k.id)) {
			continue // of who was here before, the other end tells
		}
		if x.code == wire.RefusedClusterID && inConflict(v, k.addr) {
			continue
		}
		who := fmt.Sprintf("%s at %s", cmp.Or(x.name, k.id.String()), k.addr)
		r := event.Reason{Code: "peer_refused", Peer: k.id, Addr: k.addr,
			Text:   fmt.Sprintf("%s is refused: %s (%s, last %s ago)", who, x.reason, tried(x.attempt), event.Span(now.Sub(x.last).Milliseconds())),
			WayOut: x.code.WayOut(cmp.Or(x.name, k.id.String()))}
		if x.code == wire.RefusedRemoved {
			r.Code = "removed_knocks"
		}
		out = append(out, r)
	}
	return out
}

// inConflict says whether the node at an address is named already as one of
// another cluster of this name.
func inConflict(v *member.View, addr string) bool {
	return slices.ContainsFunc(v.Why, func(r event.Reason) bool {
		return r.Code == "conflict_two_clusters" && strings.Contains(r.Text, " at "+addr)
	})
}

// dialledRefused says whether the connection to the peer is refused as well.
func (h *Host) dialledRefused(id cluster.NodeID) bool {
	return slices.ContainsFunc(h.tr.Peers(), func(p transport.PeerStatus) bool { return p.ID == id && p.Refusal != nil })
}

func tried(n int) string {
	if n == 1 {
		return "tried once"
	}
	return fmt.Sprintf("tried %d times", n)
}
