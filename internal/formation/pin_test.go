package formation

import (
	"slices"
	"strings"
	"testing"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/race"
	"github.com/musterhq/muster/internal/wire"
)

// TestPinHolds: every disk is wiped, and no second cluster comes of it; not even
// if a single pin is left. With all pins deleted one does.
func TestPinHolds(t *testing.T) {
	for _, left := range [][]string{{"a", "b", "c"}, {"b"}} {
		w := trio()
		w.pins = map[string]cluster.ClusterID{}
		w.startAll()
		w.run(50)
		w.one(t, "first")
		first := w.clusters()[0]
		for _, n := range w.nodes {
			w.wipe(n)
			if !slices.Contains(left, n.host) {
				delete(w.pins, n.host)
			}
		}
		w.startAll()
		w.run(400)
		if ids := w.clusters(); len(ids) > 0 {
			t.Fatalf("pins at %q: another cluster came out of the seeds\n%s", left, w.state())
		}
		for _, n := range w.nodes {
			want := whyPeerPinned
			if slices.Contains(left, n.host) {
				want = whyPinned
			}
			k := slices.IndexFunc(n.f.Why(), func(r event.Reason) bool { return r.Code == want })
			if k < 0 || !strings.Contains(n.f.Why()[k].Text, first.String()) || n.f.Why()[k].WayOut == "" {
				t.Fatalf("%s doesn't say %s: %+v", n.host, want, n.f.Why())
			}
		}
		clear(w.pins)
		for _, n := range w.nodes {
			w.stop(n)
		}
		w.startAll()
		w.run(100)
		if !w.allIn() || w.clusters()[0] == first {
			t.Fatalf("with no pin\n%s", w.state())
		}
	}
}

// TestPinLeadsBack: a node that lost its disk joins the cluster of its pin, also
// where it sees another of the same name, which it joins never.
func TestPinLeadsBack(t *testing.T) {
	w := newWorld()
	w.add("x", Single, nil, 1)
	w.add("y", Single, nil, 2)
	z := w.add("z", JoinOnly, []string{"x", "y"}, 3)
	w.pins = map[string]cluster.ClusterID{}
	w.startAll()
	w.run(2)
	w.stop(z)
	w.pins["z"] = w.at("x").disk.ClusterID
	w.stop(w.at("x"))
	w.start(z)
	w.run(100)
	if z.member() || !slices.ContainsFunc(z.f.Why(), func(r event.Reason) bool { return r.Code == whyPinOther && r.Addr == "y" }) {
		t.Fatalf("it is to wait for x\n%s", w.state())
	}
	w.start(w.at("x"))
	w.run(100)
	if z.disk.ClusterID != w.at("x").disk.ClusterID {
		t.Fatalf("it is to join x\n%s", w.state())
	}
}

// TestPinOfAFounderThatCrashed: between the pin and the disk. What it accepted is
// on the disk, and it goes on by that.
func TestPinOfAFounderThatCrashed(t *testing.T) {
	w := trio()
	w.pins = map[string]cluster.ClusterID{}
	w.crash = func(n *node) int {
		if n.host == "a" && len(w.pins) == 0 {
			return 3
		}
		return 0
	}
	w.startAll()
	w.run(20)
	if len(w.pins) != 1 || w.at("a").up || len(w.clusters()) > 0 {
		t.Fatalf("not the story that was to be told\n%s", w.state())
	}
	w.crash = nil
	w.startAll()
	w.run(100)
	w.one(t, "it goes on")
	if id := w.clusters()[0]; w.pins["a"] != id || w.pins["b"] != id {
		t.Fatalf("pins %v", w.pins)
	}
	single := Config{Self: w.at("a").cfg.Self, Cluster: "test", Mode: Single, Nonce: []byte("n")}
	own := wire.Genesis{Protocol: wire.Protocol, Cluster: "test", Founders: []wire.Identity{single.Self}, Nonce: []byte("o")}.Encode()
	single.Pin = wire.GenesisID(own)
	f := New(single, Durable{Stage: wire.Accepted, Accepted: wire.Ballot{Counter: 1}, Promised: wire.Ballot{Counter: 1}, Genesis: own})
	if e := f.Effects(); e.Save == nil || e.Save.ClusterID != single.Pin {
		t.Fatalf("one that founds alone does not go on: %+v", e)
	}
	if e := New(single, Durable{}).Effects(); e.Save != nil {
		t.Fatalf("it founds beside its pin: %+v", e.Save)
	}
}

// TestPinModel: whatever is lost, crashed and wiped, and be it every disk, two
// clusters of which both could have committed something never come out of a
// seed list, and nobody that was in one is in another.
func TestPinModel(t *testing.T) {
	again := 0
	for seed := range uint64(race.Share(1000)) {
		begin := func(seed uint64, wipes int) *chaos {
			c := newChaos(seed, wipes)
			c.pins = map[string]cluster.ClusterID{}
			crash := c.crash
			c.crash = func(n *node) int {
				if fate := crash(n); fate == 0 || c.r.IntN(2) == 0 {
					return fate
				}
				return 3
			}
			return c
		}
		c := begin(seed, 12)
		if run(c, seed, false) != "" {
			t.Fatal(trial(begin, seed, 12))
		}
		if len(c.genesis) > 1 {
			again++
		}
	}
	t.Logf("several were founded, of which at most one could commit, in %d runs", again)
}
