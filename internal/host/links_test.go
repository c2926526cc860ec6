package host

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/member"
)

// seenBy builds what members say of their links. "a-b" means that a's connection
// to b stands and b hears a; what isn't listed is broken for a minute.
func seenBy(heard string, links ...string) (*member.View, map[cluster.NodeID]*cluster.Reach) {
	v := &member.View{}
	ids := map[string]cluster.NodeID{"a": 1, "b": 2, "c": 3}
	for _, name := range []string{"a", "b", "c"} {
		v.Membership.Members = append(v.Membership.Members, cluster.Member{ID: ids[name], Name: name, Role: cluster.Voter, PeerAddr: name + ":1"})
	}
	seen := map[cluster.NodeID]*cluster.Reach{}
	for from, id := range ids {
		if !strings.Contains(heard, from) {
			continue
		}
		r := &cluster.Reach{Self: id, Name: from}
		for to, peer := range ids {
			if to == from {
				continue
			}
			l := cluster.Link{Peer: peer, For: 60_000, Heard: 60_000, Err: "no route"}
			if slices.Contains(links, from+"-"+to) {
				l.Connected, l.Err = true, ""
			}
			if slices.Contains(links, to+"-"+from) {
				l.Heard = 100
			}
			r.Links = append(r.Links, l)
		}
		seen[id] = r
	}
	return v, seen
}

// TestLinksTold: what is told of links, by who was heard and what works.
func TestLinksTold(t *testing.T) {
	all := []string{"a-b", "b-a", "a-c", "c-a", "b-c", "c-b"}
	but := func(broken ...string) []string {
		return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(broken, s) })
	}
	for _, x := range []struct {
		heard string
		links []string
		want  []string // code, and words of the text
	}{
		{"abc", all, nil},
		{"abc", but("b-c"), []string{"one_way_link: b hears c, c doesn't hear b for 1m0s (one-way): b meets: no route"}},
		{"abc", but("c-b"), []string{"one_way_link: c hears b, b doesn't hear c for 1m0s (one-way): c meets: no route"}},
		{"ab", but("b-c"), []string{"one_way_link: b hears c, c doesn't hear b for 1m0s (one-way): b meets: no route"}},
		{"abc", but("b-c", "c-b"), []string{"link_down: b and c don't hear each other for 1m0s: no route"}},
		{"ab", but("b-c", "c-b", "a-c", "c-a"), []string{"peer_unreachable: c at c:1 can't be reached by a, b for 1m0s: no route"}},
		{"a", but("b-c", "c-b", "a-c", "c-a"), []string{"peer_unreachable: c at c:1 can't be reached by a for 1m0s: no route"}},
		{"a", but("a-b"), []string{"one_way_link: a hears b, b doesn't hear a for 1m0s (one-way): a meets: no route"}},
	} {
		v, seen := seenBy(x.heard, x.links...)
		var got []string
		for _, r := range whyLinks(v, seen) {
			got = append(got, r.Code+": "+r.Text)
			if r.WayOut == "" {
				t.Errorf("%s has no way out", r.Code)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(x.want) {
			t.Errorf("heard %s, without %v:\n got %q\nwant %q", x.heard, len(all)-len(x.links), got, x.want)
		}
	}
}

// TestYoungLinksNotTold: one direction of a link always comes up first.
func TestYoungLinksNotTold(t *testing.T) {
	v, seen := seenBy("abc", "a-b", "b-a", "a-c", "c-a", "c-b")
	for _, r := range seen {
		for i := range r.Links {
			r.Links[i].For = min(r.Links[i].For, settled-1)
		}
	}
	if got := whyLinks(v, seen); len(got) > 0 {
		t.Errorf("told: %v", got)
	}
}

// TestRefusedLinksNotTold: that one refuses the other is told by both of them.
func TestRefusedLinksNotTold(t *testing.T) {
	v, seen := seenBy("abc", "a-b", "b-a", "a-c", "c-a")
	for i := range seen[2].Links {
		if seen[2].Links[i].Peer == 3 {
			seen[2].Links[i].Refused = true
		}
	}
	if got := whyLinks(v, seen); len(got) > 0 {
		t.Errorf("told: %v", got)
	}
}
