package formation

import (
	"fmt"
	"slices"
	"testing"

	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/wire"
)

func (f *Former) asksAt() []string {
	var addrs []string
	for _, c := range f.Effects().Calls {
		if c.Request.Probe != nil {
			addrs = append(addrs, c.Addr)
		}
	}
	return addrs
}

// TestOfferIsAsked: what a source finds is asked, but for this node itself, and only
// where the founders are not told by name.
func TestOfferIsAsked(t *testing.T) {
	for _, c := range []struct {
		mode Mode
		want []string
	}{
		{Dynamic, []string{"b", "c"}},
		{JoinOnly, []string{"b", "c"}},
		{Static, nil},
		{Single, nil},
	} {
		w := newWorld()
		n := w.add("a", c.mode, nil, 1)
		n.cfg.Expect = 3
		f := New(n.cfg, Durable{})
		f.Effects()
		f.Offer([]string{"c", "a", "", "b", "c"})
		if got := f.asksAt(); !slices.Equal(got, c.want) {
			t.Errorf("%s asks %q, want %q", c.mode, got, c.want)
		}
		f.Offer([]string{"b"}) // which takes nothing back
		f.Failed("b", nil, "refused")
		f.Failed("c", nil, "refused")
		for range defaultRetryTicks {
			f.Tick()
		}
		if got := f.asksAt(); !slices.Equal(got, c.want) {
			t.Errorf("%s asks %q again, want %q", c.mode, got, c.want)
		}
	}
}

// TestOffersAreBounded: a source can't make a node remember without end, and
// old addresses at which nobody ever answered give way to new ones.
func TestOffersAreBounded(t *testing.T) {
	w := newWorld()
	n := w.add("a", Dynamic, []string{"s"}, 1)
	n.cfg.Expect = 3
	w.add("b", Dynamic, nil, 2).cfg.Expect = 3
	f := New(n.cfg, Durable{})
	f.Offer([]string{"b"})
	f.Answered("b", w.at("b").hello(), wire.Response{Probe: &wire.ProbeReply{}})
	for round := range 5 {
		var addrs []string
		for i := range maxLearned {
			addrs = append(addrs, fmt.Sprintf("x%d-%d", round, i))
		}
		f.Offer(addrs)
		if len(f.peers) > 1+maxLearned {
			t.Fatalf("it knows %d addresses", len(f.peers))
		}
		for _, a := range addrs {
			f.Failed(a, nil, "no such host")
		}
		f.Tick()
	}
	if f.find("x4-0") == nil || f.find("x0-0") != nil || f.find("b") == nil || f.find("s") == nil {
		t.Fatal("it keeps what is dead, or forgets what answers or was told")
	}
}

// TestOffersLeadToACluster is SCENARIOS 47: nodes without seeds, each of which is
// offered itself, part of the others, or addresses at which nobody is any more,
// again and again in another way.
func TestOffersLeadToACluster(t *testing.T) {
	for seed := range uint64(100) {
		c := emptyChaos(seed, 0)
		c.faults = false
		hosts := []string{"a", "b", "c", "d", "e"}
		for i, inc := range c.r.Perm(len(hosts)) {
			c.add(hosts[i], Dynamic, nil, byte(inc+1)).cfg.Expect = 3
		}
		c.add("z", JoinOnly, nil, 9)
		c.startAll()
		for range 30 {
			for _, n := range c.nodes {
				if n.f != nil {
					n.f.Offer([]string{n.host, "gone", hosts[c.r.IntN(len(hosts))]})
					c.drain(n)
				}
			}
			c.run(10)
		}
		if bad := c.check(); bad != "" || !c.allIn() || len(c.clusters()) != 1 {
			t.Fatalf("seed %d: %s, clusters %v\n%s", seed, bad, c.clusters(), c.state())
		}
	}
}

// TestNothingToAsk: a node that was told to join and no address says so.
func TestNothingToAsk(t *testing.T) {
	w := newWorld()
	f := New(w.add("a", JoinOnly, nil, 1).cfg, Durable{})
	if why := f.Why(); len(why) != 1 || why[0].Code != whyNoCluster || why[0].WayOut == "" {
		t.Fatalf("%+v", why)
	}
	f.Offer([]string{"b"})
	f.Failed("b", nil, "connection refused")
	if !slices.ContainsFunc(f.Why(), func(r event.Reason) bool { return r.Code == whyUnreachable && r.Addr == "b" }) {
		t.Fatalf("%+v", f.Why())
	}
}
