package formation

import (
	"flag"
	"fmt"
	"runtime"
	"testing"

	"github.com/musterhq/muster/internal/race"
)

var deep = flag.Bool("explore", false, "explore tens of millions of states; takes some minutes")

// TestExplore walks through all that can happen to a few nodes: at each state
// the rules are held, and from some the nodes are let go on without faults.
func TestExplore(t *testing.T) {
	scopes := []scope{
		{seeds: 2, crashes: 1, wipes: 1, attempts: 3},
		{seeds: 3, crashes: 1, attempts: 2},
		{seeds: 3, wipes: 2, attempts: 2},
		{seeds: 2, late: 1, joinOnly: 1, crashes: 1, attempts: 2},
		{open: 3, expect: 2, wipes: 1, attempts: 2},
		{seeds: 3, wipes: 1, words: 1, attempts: 2},
		{seeds: 3, moves: 1, attempts: 2},
		{seeds: 3, wipes: 1, moves: 1, attempts: 3, stages: unheardOf[:4], keep: 4, limit: 3 << 18},
	}
	if race.Enabled {
		scopes = scopes[:1]
	}
	if *deep {
		scopes = []scope{
			{seeds: 2, crashes: 2, wipes: 2, attempts: 3},
			{seeds: 3, crashes: 2, wipes: 2, attempts: 2},
			{seeds: 3, crashes: 1, wipes: 2, attempts: 2, falling: true},
			{seeds: 3, crashes: 2, wipes: 2, attempts: 3, limit: 2 << 20},
			{seeds: 3, crashes: 2, attempts: 3},
			{seeds: 3, wipes: 1, attempts: 3},
			{seeds: 3, late: 1, crashes: 1, attempts: 3},
			{seeds: 3, joinOnly: 1, wipes: 1, attempts: 2},
			{seeds: 4, wipes: 1, attempts: 2},
			{seeds: 4, crashes: 1, wipes: 1, attempts: 2},
			{seeds: 2, crashes: 1, wipes: 1, words: 2, attempts: 3},
			{seeds: 3, crashes: 1, wipes: 2, words: 1, attempts: 2, limit: 2 << 20},
			{seeds: 2, crashes: 1, wipes: 1, moves: 1, attempts: 2},
			{seeds: 3, crashes: 1, moves: 1, attempts: 2},
			{seeds: 3, wipes: 1, moves: 1, attempts: 2, limit: 3 << 20},
			{seeds: 3, wipes: 1, moves: 1, words: 1, attempts: 3, stages: unheardOf[:1], limit: 3 << 20},
			{seeds: 3, wipes: 1, moves: 1, words: 1, attempts: 3, stages: []stage{acceptedAndMoved}, limit: 3 << 20},
			{seeds: 3, wipes: 1, moves: 1, attempts: 3, stages: unheardOf[:4], keep: 16, limit: 3 << 20},
			{seeds: 3, wipes: 1, moves: 1, words: 1, attempts: 3, stages: unheardOf[:], keep: 12},
			{open: 3, expect: 2, wipes: 1, attempts: 3},
			{open: 3, expect: 2, crashes: 1, wipes: 1, attempts: 2},
			{open: 3, expect: 3, crashes: 1, wipes: 1, attempts: 2, falling: true},
			{open: 4, expect: 3, crashes: 1, attempts: 2},
			{open: 4, expect: 3, wipes: 1, attempts: 2, limit: 3 << 20},
			{open: 5, expect: 3, attempts: 2, limit: 3 << 20},
			{open: 6, expect: 3, attempts: 2, limit: 2 << 20},
		}
	}
	var total int64
	for _, s := range scopes {
		total += exploreScope(t, s)
	}
	t.Logf("%d states", total)
	if *deep && total < 5_000_000 {
		t.Errorf("only %d states", total)
	}
}

func exploreScope(t *testing.T, s scope) int64 {
	if race.Enabled && !*deep {
		// The search's goroutines meet from its first steps on. What a node does is
		// done by one of them: the detector has nothing to say about more of it.
		s.limit = 1 << 14
	}
	x := newExplorer(s)
	ends := sample{every: 100, max: 2000}
	if *deep {
		ends = sample{every: 1000, max: 10000}
	}
	if s.open < 2*s.expect || s.open == 0 {
		x.look = func(p *place) {
			if x.spare < 0 || x.isVacant(p.nodes[x.spare]) { // else one may stay behind
				ends.look(p)
			}
		}
	} // else they don't found in the end
	x.search(runtime.GOMAXPROCS(0))
	states := x.seen.count.Load()
	if f := x.fault.Load(); f != nil {
		t.Fatalf("%s: %d states\n%s:\n%s", s, states, f.what, x.story(f.slot))
	}
	for _, p := range ends.places {
		if bad := x.end(p); bad != "" {
			t.Fatalf("%s\n%s:\n%s", s, bad, x.story(p.slot))
		}
	}
	for i, n := range x.begun {
		if n == 0 && s.stages[i].spend.words == 0 { // an operator may be refused
			t.Errorf("%s: never came to %q", s, s.stages[i].what)
		}
	}
	how := fmt.Sprintf("to the end, %d steps deep", x.depth)
	if !x.whole {
		how = fmt.Sprintf("all within %d steps", x.depth)
		if s.limit == 0 {
			t.Errorf("%s: not explored to the end", s)
		}
	}
	t.Logf("%s: %d states, %s; %d go on to a good end", s, states, how, len(ends.places))
	return states
}
