package formation

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/race"
	"github.com/musterhq/muster/internal/wire"
)

// chaos is a world that loses, repeats and reorders messages, and crashes and
// wipes nodes, as a seed has it.
type chaos struct {
	*world
	r      *rand.Rand
	faults bool
	wipes  int   // how many more disks may be wiped
	alone  *node // cut off; nil: nobody is

	operator func() // says something now and then; nil: there is none
	spoken   bool   // and was heard

	hunting int  // steps until the hunt ends
	hunted  bool // it has ended
	trace   strings.Builder
}

func newChaos(seed uint64, wipes int) *chaos {
	c := emptyChaos(seed, wipes)
	var seeds []string
	for i := range 2 + c.r.IntN(4) {
		seeds = append(seeds, string(rune('a'+i)))
	}
	for i, inc := range c.r.Perm(len(seeds)) {
		c.add(seeds[i], Static, seeds, byte(inc+1))
	}
	if c.r.IntN(3) == 0 {
		c.add("y", Static, seeds, byte(len(seeds)+1))
		c.add("z", JoinOnly, seeds[:1], byte(len(seeds)+2))
	}
	return c
}

// newOpenChaos is one where those that meet found, so few that two groups of
// them always have a node in common. Each knows one to all others.
func newOpenChaos(seed uint64, wipes int) *chaos {
	c := emptyChaos(seed, wipes)
	expect := 2 + c.r.IntN(3)
	hosts := make([]string, expect+c.r.IntN(expect))
	for i := range hosts {
		hosts[i] = string(rune('a' + i))
	}
	for i, inc := range c.r.Perm(len(hosts)) {
		var seeds []string
		for k := range 1 + c.r.IntN(len(hosts)) {
			seeds = append(seeds, hosts[(i+1+k)%len(hosts)])
		}
		c.add(hosts[i], Dynamic, seeds, byte(inc+1)).cfg.Expect = expect
	}
	if c.r.IntN(4) == 0 {
		c.add("z", JoinOnly, hosts[:1], byte(len(hosts)+1))
	}
	return c
}

func emptyChaos(seed uint64, wipes int) *chaos {
	c := &chaos{world: newWorld(), r: rand.New(rand.NewPCG(seed, 1)), faults: true, wipes: wipes}
	c.crash = func(*node) int {
		if !c.faults {
			return 0
		}
		switch c.r.IntN(60) {
		case 0:
			return 1
		case 1:
			return 2
		}
		return 0
	}
	return c
}

// step does one thing that may happen.
func (c *chaos) step() {
	if c.operator != nil && c.r.IntN(6) == 0 {
		c.operator()
	}
	n := c.nodes[c.r.IntN(len(c.nodes))]
	switch c.r.IntN(20) {
	case 0, 1, 2, 3:
		c.tick(n)
	case 4, 5:
		c.start(n)
	case 6:
		if c.r.IntN(10) == 0 {
			c.logf("%s: crashes", n.host)
			c.stop(n)
		}
	case 7:
		often := 8
		if n.disk.stage() != wire.Blank {
			often = 2 // where it hurts
		}
		if c.r.IntN(often) == 0 && c.wipes > 0 {
			c.wipes--
			c.wipe(n)
			c.logf("%s: wiped, now %02x", n.host, n.cfg.Self.Incarnation[0])
		}
	case 8:
		switch c.r.IntN(12) {
		case 0:
			c.alone = n
		case 1:
			c.alone = nil
		}
	default:
		c.move()
	}
}

// hunt waits for the moment when some are founded and another is not, keeps
// that one in the dark, and wipes those that know.
func (c *chaos) hunt() {
	late := slices.IndexFunc(c.nodes, func(n *node) bool { return n.disk.stage() == wire.Accepted })
	founded := slices.ContainsFunc(c.nodes, func(n *node) bool { return n.disk.Founded })
	switch {
	case c.hunting > 0:
		if c.hunting--; c.hunting > 0 {
			return
		}
		for _, n := range c.nodes {
			if n.disk.Founded && c.r.IntN(4) > 0 {
				c.wipe(n)
				c.logf("%s: wiped, now %02x", n.host, n.cfg.Self.Incarnation[0])
			}
		}
		c.alone, c.hunted = nil, true
	case founded && late >= 0:
		c.alone, c.hunting = c.nodes[late], 60
	}
}

// move delivers, loses or repeats a message.
func (c *chaos) move() {
	if len(c.flying) == 0 {
		return
	}
	i := 0
	if c.r.IntN(3) == 0 {
		i = c.r.IntN(len(c.flying)) // out of order, and late
	}
	m := c.flying[i]
	if c.r.IntN(10) != 0 || len(c.flying) > 200 {
		c.flying = slices.Delete(c.flying, i, i+1)
	}
	if a := c.alone; a != nil && (a.host == m.from) != (a.host == m.to) {
		return
	}
	if c.r.IntN(12) != 0 {
		c.deliver(m)
	}
}

// calm ends all faults and starts everybody; at most ticks later all should be
// in a cluster.
func (c *chaos) calm(ticks int) (took int) {
	c.faults = false
	for _, n := range c.nodes {
		c.start(n)
	}
	for took < ticks && !c.allIn() {
		c.run(1)
		took++
	}
	return took
}

func (w *world) allIn() bool {
	return !slices.ContainsFunc(w.nodes, func(n *node) bool { return !n.member() })
}

// excused says that too many founders are gone for anybody to go on: a cluster
// has no majority left, or a majority of those that an accepted genesis names
// may have been one. Or others, that didn't see a node which had accepted a
// genesis, founded with one that was gone from its founders and came anew. Or,
// where founders are those that meet, two foundings stand in each other's way,
// one of them with a founder that is gone: no rule gives up either, for those
// of one are not the founders of the other, and an operator has to.
func (w *world) excused() bool {
	for _, n := range w.nodes {
		if n.f != nil && n.f.pinned() {
			return true // it waits for a cluster that may be gone
		}
		for _, id := range n.disk.Abandoned {
			if _, founded := w.genesis[id]; founded {
				return true // it was given up here too early, or too late
			}
		}
		if len(n.disk.Abandoned) > 0 && !n.member() && w.founds(n.cfg.Self) {
			return true // so was one that had been given up for it
		}
		g, ok := w.genesis[n.disk.ClusterID]
		if n.disk.stage() == wire.Accepted {
			g, ok = must(wire.DecodeGenesis(n.disk.Genesis)), true
		}
		if !ok {
			continue
		}
		if slices.ContainsFunc(g.Instead, func(old []wire.Identity) bool { return w.gone(old) >= len(old)/2+1 }) {
			return true
		}
		gone, majority := w.gone(g.Founders), len(g.Founders)/2+1
		overtaken := !n.member() && len(g.Seeds) == 0 && gone > 0 && slices.ContainsFunc(w.nodes, (*node).member)
		rivals := n.disk.stage() == wire.Accepted && len(g.Seeds) == 0 && gone > 0 && slices.ContainsFunc(w.nodes, func(o *node) bool {
			return o.disk.stage() == wire.Accepted && !bytes.Equal(o.disk.Genesis, n.disk.Genesis)
		})
		if rivals || gone >= majority || n.member() && len(g.Founders)-gone < majority || overtaken {
			return true
		}
	}
	return false
}

// founds says that a genesis by which somebody was founded names that one.
func (w *world) founds(x wire.Identity) bool {
	for _, g := range w.genesis { // order-free: any will do
		if g.Has(x.Incarnation) {
			return true
		}
	}
	return false
}

func (w *world) gone(ids []wire.Identity) (n int) {
	for _, x := range ids {
		if w.wiped[x.Incarnation] {
			n++
		}
	}
	return n
}

func must(g wire.Genesis, err error) wire.Genesis {
	if err != nil {
		panic(err)
	}
	return g
}

func (w *world) state() string {
	var b strings.Builder
	for _, n := range w.nodes {
		fmt.Fprintf(&b, "%s/%02x: %s\n", n.host, n.cfg.Self.Incarnation[0], describe(n.disk))
		if n.f != nil {
			for _, r := range n.f.Why() {
				fmt.Fprintf(&b, "   %s: %s\n", r.Code, r.Text)
			}
		}
	}
	return b.String()
}

// watchful wraps check with what must hold of each disk over time.
type watchful struct {
	disks map[cluster.Incarnation]Durable
}

func (v *watchful) check(w *world) string {
	for _, n := range w.nodes {
		i := n.cfg.Self.Incarnation
		old := v.disks[i]
		switch {
		case n.disk.Promised.Compare(old.Promised) < 0:
			return n.host + " fell back behind its promise"
		case old.Stage == wire.InCluster && n.disk.ClusterID != old.ClusterID:
			return n.host + " changed its cluster"
		}
		v.disks[i] = n.disk
	}
	return w.check()
}

const boundedTicks = 400

// trial is one run: "" or what went wrong, with the story.
func trial(begin func(seed uint64, wipes int) *chaos, seed uint64, wipes int) string {
	if run(begin(seed, wipes), seed, false) == "" {
		return ""
	}
	return run(begin(seed, wipes), seed, true)
}

func run(c *chaos, seed uint64, verbose bool) string {
	if verbose {
		c.log = func(format string, args ...any) { fmt.Fprintf(&c.trace, format+"\n", args...) }
	}
	v := &watchful{disks: map[cluster.Incarnation]Durable{}}
	steps := 100 + c.r.IntN(400)
	for range steps {
		c.step()
		if seed%5 == 4 && !c.hunted {
			c.hunt()
		}
		if bad := v.check(c.world); bad != "" {
			return fmt.Sprintf("seed %d: %s\n%s%s", seed, bad, c.trace.String(), c.state())
		}
	}
	took := c.calm(boundedTicks)
	if bad := v.check(c.world); bad != "" {
		return fmt.Sprintf("seed %d, in the end: %s\n%s%s", seed, bad, c.trace.String(), c.state())
	}
	if took >= boundedTicks && !c.excused() {
		return fmt.Sprintf("seed %d: not all in a cluster %d ticks after the last fault\n%s%s", seed, took, c.trace.String(), c.state())
	}
	return ""
}

// TestModel: whatever is lost, repeated, crashed and wiped, at most one cluster
// comes out of a seed list, and everybody ends in it when faults stop, but
// where a majority of those that accepted a genesis is gone. SCENARIOS 2, 11,
// 20, 21, 22, 23, 25.
func TestModel(t *testing.T) {
	runs := race.Share(1200)
	if testing.Short() {
		runs = 500
	}
	for seed := range uint64(runs) {
		if bad := trial(newChaos, seed, int(seed%4)); bad != "" {
			t.Fatal(bad)
		}
		if bad := trial(newOpenChaos, seed, int(seed%4)); bad != "" {
			t.Fatal(bad)
		}
	}
}

// caught says whether a planted bug shows within so many runs.
func caught(runs uint64, wipes int, plant func(*chaos)) bool {
	for seed := range runs {
		c := newChaos(seed, wipes)
		plant(c)
		if run(c, seed, false) != "" {
			return true
		}
	}
	return false
}

// TestPromiseLostInCrash is SCENARIOS 20: the model sees a promise, an
// acceptance or a founding that is shown before it is saved, and a wiped disk
// that passes for the old one.
func TestPromiseLostInCrash(t *testing.T) {
	for _, stage := range []wire.Stage{wire.Promised, wire.Accepted, wire.InCluster} {
		if !caught(400, 0, func(c *chaos) {
			c.forget = func(d Durable) bool { return d.Stage == stage }
		}) {
			t.Errorf("a node that shows it is %s without saving it went unnoticed", stage)
		}
	}
	if !caught(4000, 3, func(c *chaos) { c.sameDisk = true }) {
		t.Error("a wiped disk that keeps its incarnation went unnoticed")
	}
}

// TestNoFaultsNoDelay: with nothing lost, all start at once and are in a
// cluster within a few ticks, in any order of incarnations.
func TestNoFaultsNoDelay(t *testing.T) {
	for seed := range uint64(200) {
		c := newChaos(seed, 0)
		if took := c.calm(50); took > 3*defaultRetryTicks {
			t.Fatalf("seed %d: took %d ticks\n%s%s", seed, took, c.trace.String(), c.state())
		}
		if bad := c.check(); bad != "" {
			t.Fatal(bad)
		}
	}
}

// TestAnyStartOrder is SCENARIOS 11, ThreeNodeFormationTimesOut: any order, any
// delay between the starts.
func TestAnyStartOrder(t *testing.T) {
	for seed := range uint64(40) {
		c := newChaos(seed, 0)
		c.faults = false
		for _, i := range c.r.Perm(len(c.nodes)) {
			c.start(c.nodes[i])
			c.run(c.r.IntN(600))
		}
		c.run(3 * slow * defaultRetryTicks)
		if !c.allIn() || c.check() != "" {
			t.Fatalf("seed %d: %s\n%s", seed, c.check(), c.state())
		}
	}
}
