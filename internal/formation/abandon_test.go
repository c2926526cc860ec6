package formation

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/race"
	"github.com/musterhq/muster/internal/wire"
)

// stuck are a, b and c, where all accepted one genesis and c made it. c is gone,
// and so are others, if they are named.
func stuck(t *testing.T, gone ...string) *world {
	t.Helper()
	w := trio()
	w.nodes[0].setInc(incarnation(3)) // c coordinates
	w.nodes[2].setInc(incarnation(1))
	w.nextInc = 3
	w.lose = "accepted"
	w.startAll()
	w.run(3)
	w.lose = ""
	for _, n := range w.nodes {
		if n.disk.Stage != wire.Accepted {
			t.Fatalf("%s: %s", n.host, describe(n.disk))
		}
	}
	w.flying = nil
	for _, h := range append(gone, "c") {
		w.stop(w.at(h))
	}
	w.run(4 * defaultRetryTicks)
	return w
}

// abandons is an operator's word at a host; "" or the code of a refusal.
func (w *world) abandons(host string, gone ...string) string {
	n := w.at(host)
	err := n.f.Abandon(gone)
	w.drain(n)
	var no *wire.Nack
	if errors.As(err, &no) {
		return no.Code
	}
	return ""
}

// TestAbandonIsChecked: what an operator says is held against what is seen.
func TestAbandonIsChecked(t *testing.T) {
	w := stuck(t)
	c := w.at("c").cfg.Self.Incarnation.String()
	for _, x := range []struct {
		gone []string
		want string
	}{
		{nil, codeNotAllNamed},
		{[]string{"b"}, codeNotAllNamed},
		{[]string{"c", "b"}, codeStillThere},
		{[]string{"c", "a"}, codeStillThere},
		{[]string{"d"}, codeNoFounder},
		{[]string{c, "c"}, ""},
		{[]string{"c"}, codeNothingHeld},
	} {
		if got := w.abandons("a", x.gone...); got != x.want {
			t.Errorf("gone %q: %q, want %q", x.gone, got, x.want)
		}
	}
	w = stuck(t)
	w.start(w.at("c"))
	f := New(w.at("a").cfg, w.at("a").disk)
	var no *wire.Nack
	if err := f.Abandon([]string{"c"}); !errors.As(err, &no) || no.Code != codeBeingChecked {
		t.Errorf("just started: %v", err)
	}
}

// TestAbandonFences: the one that was called gone comes back with what it
// accepted. Nothing is founded by that any more.
func TestAbandonFences(t *testing.T) {
	w := stuck(t)
	old := w.at("a").disk.Genesis
	for _, h := range []string{"a", "b"} {
		if code := w.abandons(h, "c"); code != "" {
			t.Fatal(code)
		}
		if d := w.at(h).disk; d.Stage != wire.Promised || d.Genesis != nil || len(d.Abandoned) != 1 {
			t.Fatalf("%s saved %+v", h, d)
		}
		w.stop(w.at(h))
		w.start(w.at(h)) // it is on the disk
	}
	w.startAll()
	w.run(400)
	if ids := w.clusters(); len(ids) > 0 {
		t.Fatalf("founded %v by what was given up\n%s", ids, w.state())
	}
	refused := w.at("c").f.Why()
	if !slices.ContainsFunc(refused, func(r event.Reason) bool { return strings.Contains(r.Text, "given up") }) {
		t.Errorf("c doesn't say why: %+v", refused)
	}
	w.wipe(w.at("c"))
	w.startAll()
	w.run(200)
	w.one(t, "with c wiped")
	if wire.GenesisID(old) == w.clusters()[0] {
		t.Error("the old one")
	}
}

// TestAbandonTakesEveryFounderLeft: with only one of two told, nobody founds.
func TestAbandonTakesEveryFounderLeft(t *testing.T) {
	hosts := []string{"a", "b", "c", "d", "e"}
	w := newWorld()
	for i, h := range hosts {
		w.add(h, Static, hosts, byte(i+1))
	}
	w.lose = "accepted"
	w.startAll()
	w.run(3)
	w.lose = ""
	w.flying = nil
	for _, h := range hosts[2:] { // a majority: there is no rule for that
		w.wipe(w.at(h))
	}
	w.startAll()
	w.run(200)
	says := func(host string, words ...string) {
		t.Helper()
		for _, r := range w.at(host).f.Why() {
			ok := r.Code == whyBlocked
			for _, x := range words {
				ok = ok && strings.Contains(r.Text+r.WayOut, x)
			}
			if ok {
				return
			}
		}
		t.Fatalf("%s doesn't say %q\n%s", host, words, w.state())
	}
	says("a", "muster abandon-genesis --gone c,d,e", "each of a, b")
	if code := w.abandons("a", hosts[2:]...); code != "" {
		t.Fatal(code)
	}
	w.run(200)
	if len(w.clusters()) > 0 {
		t.Fatalf("founded beside b, which holds it still\n%s", w.state())
	}
	if code := w.abandons("b", hosts[2:]...); code != "" {
		t.Fatal(code)
	}
	w.run(100)
	w.one(t, "both told")
}

// TestAbandonOnAFalseWord: what an operator vouches for is what keeps this from
// being two clusters. b and c are called gone, and have founded.
func TestAbandonOnAFalseWord(t *testing.T) {
	w := trio()
	w.hold = "commit"
	w.startAll()
	w.run(3)
	w.hold = ""
	for _, m := range w.held {
		if m.to != "c" {
			w.deliver(m)
		}
	}
	w.flying = nil
	if got := w.at("c").disk.Stage; got != wire.Accepted || !w.at("a").member() || !w.at("b").member() {
		t.Fatalf("not the story that was to be told\n%s", w.state())
	}
	for _, h := range []string{"a", "b", "c"} {
		w.stop(w.at(h))
	}
	others := []string{"c", "d", "e"}
	w.at("c").cfg.Seeds = others
	w.add("d", Static, others, 8)
	w.add("e", Static, others, 9)
	for _, h := range others {
		w.start(w.at(h))
	}
	w.run(20)
	if code := w.abandons("c", "a", "b"); code != codeBeingChecked { // c's seeds don't name them any more
		t.Fatal(code)
	}
	w.run(1)
	if code := w.abandons("c", "a", "b"); code != "" {
		t.Fatal(code)
	}
	w.run(100)
	if !w.at("c").member() || !strings.Contains(w.check(), "two clusters") {
		t.Fatalf("nobody sees two clusters: %q\n%s", w.check(), w.state())
	}
}

// TestAbandonNamesThoseBefore: the genesis that b gives up was accepted instead of
// another, by which the moved founder and c had founded. b forgets of both with
// it; so the operator has to speak of the moved one, too, and that isn't gone.
func TestAbandonNamesThoseBefore(t *testing.T) {
	w, old := movedFoundsAlone(t)
	lost := w.at("a").cfg.Self.Incarnation // of the blank one, that answers
	for _, h := range []string{"a", "b", "c"} {
		w.start(w.at(h))
	}
	w.run(300)
	var hint string
	for _, r := range w.at("b").f.Why() {
		hint += r.WayOut
	}
	if !strings.Contains(hint, "--gone a,c` at b") {
		t.Errorf("the way out is said to be %q", hint)
	}
	if code := w.abandons("b", "c"); code != codeNotAllNamed {
		t.Fatalf("with the moved one not named: %q", code)
	}
	if code := w.abandons("b", "c", lost.String()); code != codeStillThere {
		t.Fatalf("with the one in its place named: %q", code)
	}
	w.start(old)
	w.at("b").f.Met(old.hello())
	w.drain(w.at("b"))
	w.run(20)
	for _, gone := range [][]string{{"c"}, {"a", "c"}} {
		if code := w.abandons("b", gone...); code != codeClusterCame && code != codeStillThere {
			t.Fatalf("%q, with the moved one there: %q", gone, code)
		}
	}
	w.run(300)
	if len(w.genesis) > 1 {
		t.Fatalf("a second cluster\n%s", w.state())
	}

	w, _ = movedFoundsAlone(t)
	for _, h := range []string{"a", "b", "c"} {
		w.start(w.at(h))
	}
	w.run(300)
	for _, h := range []string{"a", "b"} { // who holds it
		if code := w.abandons(h, "a", "c"); code != "" && code != codeNothingHeld {
			t.Fatalf("on the word that it is gone: %q", code)
		}
	}
	w.run(300)
	if !w.at("a").member() || !w.at("b").member() {
		t.Fatalf("the word is of no use\n%s", w.state())
	}
}

// speak lets an operator give up a genesis somewhere. He names whom he knows to
// be gone.
func (c *chaos) speak() {
	n := c.nodes[c.r.IntN(len(c.nodes))]
	if n.f == nil || n.f.accepted == nil || c.r.IntN(4) > 0 {
		return
	}
	var gone []string
	for _, x := range n.f.vouched() {
		if c.wiped[x.Incarnation] {
			gone = append(gone, x.Incarnation.String())
		}
	}
	err := n.f.Abandon(gone)
	c.logf("%s: is told that %q are gone: %v", n.host, gone, err)
	c.spoken = c.spoken || err == nil
	c.drain(n)
}

// TestAbandonModel: whatever happens, two clusters never come of an operator's
// word that is true.
func TestAbandonModel(t *testing.T) {
	spoken, runs := 0, race.Share(1000)
	for seed := range uint64(runs) {
		for _, begin := range []func(uint64, int) *chaos{newChaos, newOpenChaos} {
			speaking := func(seed uint64, wipes int) *chaos {
				c := begin(seed, wipes)
				c.operator = c.speak
				return c
			}
			wipes := 1 + int(seed%4)
			c := speaking(seed, wipes)
			if run(c, seed, false) != "" {
				t.Fatal(trial(speaking, seed, wipes))
			}
			if c.spoken {
				spoken++
			}
		}
	}
	if t.Logf("a genesis was given up in %d of %d runs", spoken, 2*runs); spoken < runs/100 {
		t.Error("hardly ever")
	}
}
