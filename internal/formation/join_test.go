package formation

import (
	"slices"
	"strings"
	"testing"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/wire"
)

// TestJoinTellsNews: a node that asks one member after the other to let it in
// tells of an answer that is another than before, and not each time that it asks.
func TestJoinTellsNews(t *testing.T) {
	w := trio()
	cfg := w.nodes[0].cfg
	cfg.Mode, cfg.Seeds = JoinOnly, []string{"b", "c"}
	f := New(cfg, Durable{})
	hello := map[string]wire.Hello{}
	for i, at := range map[int]string{1: "b", 2: "c"} {
		h := w.nodes[i].hello()
		h.Stage, h.ClusterID = wire.InCluster, cluster.ClusterID{1}
		hello[at] = h
		f.Answered(at, h, wire.Response{Probe: &wire.ProbeReply{}})
	}
	var told, asked []string
	// for a while, until it has asked both again and again: each says the same.
	hear := func(r *wire.JoinReply) {
		for range 12 * defaultRetryTicks {
			f.Tick()
			eff := f.Effects()
			for _, e := range eff.Events {
				told = append(told, e.(event.Forming).Reasons[0].Text)
			}
			for _, c := range eff.Calls {
				switch {
				case c.Request.Join == nil:
					f.Answered(c.Addr, hello[c.Addr], wire.Response{Probe: &wire.ProbeReply{}})
				case r == nil:
					asked = append(asked, c.Addr)
					f.Failed(c.Addr, nil, "no answer")
				default:
					asked = append(asked, c.Addr)
					f.Answered(c.Addr, hello[c.Addr], wire.Response{Join: r})
				}
			}
		}
	}
	hear(nil)
	hear(&wire.JoinReply{Status: wire.JoinPending, Code: "no_leader", Reason: "no leader"})
	hear(&wire.JoinReply{Status: wire.JoinPending, Code: "queued", Reason: "third in turn"})
	hear(&wire.JoinReply{Status: wire.JoinRefused, Code: "name_taken", Reason: "the name is taken"})
	if !slices.Contains(asked, "b") || !slices.Contains(asked, "c") || len(asked) < 8 {
		t.Fatalf("asked %v", asked)
	}
	want := []string{"asks to join", "no leader", "third in turn", "the name is taken"}
	if !slices.EqualFunc(told, want, strings.Contains) {
		t.Errorf("told\n%s\nwant one of each of %q", strings.Join(told, "\n"), want)
	}
}
