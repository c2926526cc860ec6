package formation

import (
	"slices"
	"strings"
	"testing"

	"github.com/musterhq/muster/internal/wire"
)

// TestRivalFoundings: of four that expect three, two hold one genesis and two
// another, of which a founder has lost its disk. Neither is given up by rule:
// the reason says so and names who is gone, and the operator's word ends it.
func TestRivalFoundings(t *testing.T) {
	w := meeting(4, 3, everybody)
	hosts := []string{"a", "b", "c", "d"}
	lost := w.at("b").cfg.Self
	w.wipe(w.at("b"))
	self := func(h string) wire.Identity { return w.at(h).cfg.Self }
	hold := func(counter uint64, founders []wire.Identity, at ...string) {
		slices.SortFunc(founders, func(a, b wire.Identity) int { return a.Incarnation.Compare(b.Incarnation) })
		g := wire.Genesis{Protocol: wire.Protocol, Cluster: w.at("a").cfg.Cluster, Founders: founders, Nonce: []byte{byte(counter)}}
		b := wire.Ballot{Counter: counter, Node: self(at[0]).Incarnation}
		for _, h := range at {
			w.at(h).disk = Durable{Stage: wire.Accepted, Promised: b, Accepted: b, Genesis: g.Encode()}
		}
	}
	hold(1, []wire.Identity{self("a"), self("b"), self("c")}, "a", "b")
	hold(2, []wire.Identity{lost, self("c"), self("d")}, "c", "d")
	for _, h := range hosts {
		w.start(w.at(h))
	}
	w.run(400)
	if len(w.genesis) > 0 {
		t.Fatalf("founded: no rule allows that\n%s", w.state())
	}
	told := false
	for _, h := range hosts {
		for _, r := range w.at(h).f.Why() {
			told = told || r.Code == whyBlocked && strings.Contains(r.Text, "in each other's way") && strings.Contains(r.WayOut, "--gone b`")
		}
	}
	if !told {
		t.Fatalf("nobody says what stands in the way\n%s", w.state())
	}
	for _, h := range []string{"c", "d"} {
		if code := w.abandons(h, lost.Incarnation.String()); code != "" {
			t.Fatalf("at %s: %q", h, code)
		}
	}
	w.run(400)
	if !w.allIn() || len(w.genesis) != 1 {
		t.Fatalf("no cluster came of it\n%s", w.state())
	}
}
