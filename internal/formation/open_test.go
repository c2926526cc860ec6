package formation

import (
	"slices"
	"testing"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/wire"
)

// sees is a Former at a, of six nodes that expect three, which sees those others;
// each of them sees the same.
func (w *world) sees(seen ...string) *Former {
	f := New(w.nodes[0].cfg, Durable{})
	for _, h := range w.nodes {
		f.Failed(h.host, nil, "connection refused")
	}
	f.Failed("a", &wire.Refusal{Code: wire.RefusedSelf}, "")
	for _, h := range seen {
		f.Answered(h, w.at(h).hello(), wire.Response{Probe: &wire.ProbeReply{Sees: w.incarnations(append(seen, "a"))}})
	}
	f.Effects()
	return f
}

func (w *world) incarnations(hosts []string) []cluster.Incarnation {
	var out []cluster.Incarnation
	for _, h := range hosts {
		out = append(out, w.at(h).cfg.Self.Incarnation)
	}
	return out
}

// TestSaysNoToFoundingOpen: who doesn't take part in a founding of those that
// meet, and in which words.
func TestSaysNoToFoundingOpen(t *testing.T) {
	w := meeting(6, 3, everybody)
	ask := func(f *Former, change func(*wire.Prepare)) string {
		b := w.at("b")
		p := wire.Prepare{
			Ballot: wire.Ballot{Counter: 9, Node: b.cfg.Self.Incarnation}, To: incarnation(1), Expect: 3,
			Founders: []wire.Identity{w.nodes[0].cfg.Self, b.cfg.Self, w.nodes[2].cfg.Self},
		}
		change(&p)
		f.Asked(7, b.hello(), wire.Request{Prepare: &p})
		r := f.Effects().Replies[0].Response.Promise
		if (r.Code == "") != (r.Refused == "") {
			t.Fatalf("%+v", r)
		}
		return r.Code
	}
	same := func(*wire.Prepare) {}
	four := func(p *wire.Prepare) { p.Founders = append(p.Founders, w.nodes[3].cfg.Self) }
	fixed := New(Config{Self: w.nodes[0].cfg.Self, Cluster: "test", Mode: Static, Seeds: []string{"a", "b", "c"}}, Durable{})
	hearsay := w.sees("b", "c")
	hearsay.Answered("c", w.at("c").hello(), wire.Response{Probe: &wire.ProbeReply{Sees: w.incarnations([]string{"a", "b", "d", "e", "f"})}})
	show := func(host string, change func(*wire.Hello)) *Former {
		f := w.sees("b", "c")
		h := w.at(host).hello()
		change(&h)
		f.Answered(host, h, wire.Response{Probe: &wire.ProbeReply{}})
		return f
	}
	accepted := func(h *wire.Hello) { h.Stage = wire.Accepted }
	full := w.sees("b", "c", "d", "e", "f")
	h := w.at("c").hello()
	h.Stage = wire.Accepted
	full.Answered("c", h, wire.Response{Probe: &wire.ProbeReply{}})
	for _, c := range []struct {
		name   string
		f      *Former
		change func(*wire.Prepare)
		want   string
	}{
		{"willing", w.sees("b", "c"), same, ""},
		{"two more are there", w.sees("b", "c", "d", "e"), same, ""},
		{"three more are there", w.sees("b", "c", "d", "e", "f"), same, codeTooMany},
		{"a founder sees three more", hearsay, same, codeTooMany},
		{"it doesn't see one", w.sees("b", "d"), same, codeUnseen},
		{"another is accepted", show("d", accepted), same, codeHeld},
		{"a founder accepted", show("c", accepted), same, ""},
		{"a founder accepted, and many are there", full, same, ""},
		{"another expects more", show("d", func(h *wire.Hello) { h.Expect = 5 }), same, codeExpect},
		{"another has fixed seeds", show("d", func(h *wire.Hello) { h.Expect, h.Seeds = 0, []string{"d"} }), same, codeExpect},
		{"another only joins", show("d", func(h *wire.Hello) { h.Expect = 0 }), same, ""},
		{"other expectation", w.sees("b", "c"), func(p *wire.Prepare) { p.Expect = 2 }, codeExpect},
		{"fixed seeds ask", w.sees("b", "c"), func(p *wire.Prepare) { p.Expect, p.Seeds = 0, []string{"a", "b", "c"} }, codeExpect},
		{"four founders", w.sees("b", "c", "d"), four, codeExpect},
		{"fixed seeds are asked", fixed, same, codeExpect},
	} {
		if got := ask(c.f, c.change); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestSaysWhyItDoesNotFoundOpen: every reason has words and a way out, also
// where this node is at none of the addresses that it asks.
func TestSaysWhyItDoesNotFoundOpen(t *testing.T) {
	w := meeting(6, 3, func(int, []string) []string { return []string{"b", "c", "d"} })
	twin := func(change func(*wire.Hello)) *Former {
		f := w.sees("c")
		h := w.at("b").hello()
		change(&h)
		f.Answered("b", h, wire.Response{Probe: &wire.ProbeReply{Sees: w.incarnations([]string{"a", "c"})}})
		f.Answered("c", w.at("c").hello(), wire.Response{Probe: &wire.ProbeReply{Sees: w.incarnations([]string{"a", "b"})}})
		return f
	}
	unheard := New(w.nodes[0].cfg, Durable{})
	for _, c := range []struct {
		name string
		f    *Former
		want string
	}{
		{"ready", w.sees("b", "c"), whyCoordinator},
		{"alone", w.sees(), whyTooFew},
		{"not asked yet", unheard, whyUnheard},
		{"same name", twin(func(h *wire.Hello) { h.Self.Name = "a" }), whySameName},
		{"same address", twin(func(h *wire.Hello) { h.Self.PeerAddr = "a" }), whySameAddress},
		{"one only joins", twin(func(h *wire.Hello) { h.Expect = 0 }), whyJoins},
	} {
		why := c.f.Why()
		if !slices.ContainsFunc(why, func(r event.Reason) bool { return r.Code == c.want }) {
			t.Errorf("%s: %+v, want %s", c.name, why, c.want)
		}
		for _, r := range why {
			if r.Text == "" || r.WayOut == "" {
				t.Errorf("%s: %+v", c.name, r)
			}
		}
	}
}
