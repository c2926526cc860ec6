package formation

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/musterhq/muster/internal/race"
	"github.com/musterhq/muster/internal/wire"
)

// onDisks is what an exploration found to be possible on all disks together,
// with the place of each.
type onDisks struct {
	mu    sync.Mutex
	slots map[uint64]uint32
}

func (o *onDisks) look(p *place) {
	var sum uint64
	for h, s := range p.nodes {
		sum += diskSum(h, s.nth, s.n.disk)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, ok := o.slots[sum]; !ok {
		o.slots[sum] = p.slot
	}
}

func diskSum(host, nth int, d Durable) uint64 {
	h := sha256.Sum256(appendDurable([]byte{byte(host), byte(nth)}, d))
	return binary.LittleEndian.Uint64(h[:])
}

// exploreDisks explores to the end.
func exploreDisks(t *testing.T, s scope) (*explorer, *onDisks) {
	x, o := newExplorer(s), &onDisks{slots: map[uint64]uint32{}}
	x.look = o.look
	x.search(runtime.GOMAXPROCS(0))
	if f := x.fault.Load(); f != nil || !x.whole {
		t.Fatalf("%s: to the end: %v, fault: %v", s, x.whole, f)
	}
	return x, o
}

// TestReductionsLoseNothing: what can come to be on disks in a search that
// takes every step by itself comes to be there in the reduced one.
func TestReductionsLoseNothing(t *testing.T) {
	scopes := []scope{
		{seeds: 2, crashes: 1, wipes: 1, attempts: 2},
		{seeds: 3, crashes: 1, attempts: 2},
		{open: 3, expect: 2, crashes: 1, attempts: 2},
		{seeds: 2, crashes: 1, moves: 1, attempts: 2},
		{seeds: 2, wipes: 1, words: 1, attempts: 2},
	}
	if race.Enabled {
		scopes = scopes[:1]
	}
	if *deep {
		scopes = append(scopes,
			scope{seeds: 2, crashes: 1, wipes: 2, attempts: 2},
			scope{seeds: 3, wipes: 1, attempts: 2},
			scope{open: 3, expect: 2, wipes: 1, attempts: 2})
	}
	for _, s := range scopes {
		_, reduced := exploreDisks(t, s)
		s.literal = true
		x, all := exploreDisks(t, s)
		for sum, slot := range all.slots {
			if _, ok := reduced.slots[sum]; !ok {
				t.Fatalf("%s: a reduced search doesn't come to\n%s", s, x.story(slot))
			}
		}
		t.Logf("%s: %d ways to fill the disks", s, len(all.slots))
	}
}

// TestExplorerCoversTime: what comes to be on disks where nodes wait, retry and
// yield as they do is among what the explorer finds, which knows no time.
func TestExplorerCoversTime(t *testing.T) {
	scopes, runs := []scope{
		{seeds: 3, wipes: 1, attempts: 2},
		{open: 3, expect: 2, wipes: 1, attempts: 2},
		{seeds: 3, moves: 1, attempts: 2},
	}, uint64(race.Share(300))
	if race.Enabled { // as in exploreScope
		scopes = scopes[:1]
	}
	if *deep {
		scopes, runs = append(scopes, scope{seeds: 3, wipes: 1, crashes: 1, attempts: 2}, scope{open: 4, expect: 3, crashes: 1, attempts: 2}), 3000
	}
	for _, s := range scopes {
		x, possible := exploreDisks(t, s)
		met := possible.compare(t, x, runs)
		t.Logf("%s: met %d of %d ways to fill the disks", s, met, len(possible.slots))
	}
}

// compare lets nodes with clocks run so often, and counts what came to be on
// their disks. All of it has to be possible.
func (o *onDisks) compare(t *testing.T, x *explorer, runs uint64) int {
	met := map[uint64]bool{}
	for seed := range runs {
		w := x.timed(seed)
		for range 300 {
			w.step()
			if w.attempts > x.attempts {
				break
			}
			sum := w.sum()
			if _, ok := o.slots[sum]; !ok {
				t.Fatalf("%s, seed %d: the explorer doesn't come to\n%s%s", x.scope, seed, w.story.String(), w.state())
			}
			met[sum] = true
		}
	}
	return len(met)
}

// timed is a world with clocks on the machines of an exploration, with no more
// faults than that has.
type timed struct {
	*world
	x        *explorer
	r        *rand.Rand
	hosts    []machine
	left     budget
	attempts int
	story    strings.Builder
}

// machine is what the explorer knows of a host beside its disk.
type machine struct {
	disk
	nonce    int
	spent    bool
	promised wire.Ballot
}

func (x *explorer) timed(seed uint64) *timed {
	w := &timed{world: newWorld(), x: x, r: rand.New(rand.NewPCG(seed, 2)), left: x.first().left}
	w.log = func(format string, args ...any) { fmt.Fprintf(&w.story, format+"\n", args...) }
	w.crash = func(n *node) int {
		if w.left.crashes == 0 || w.r.IntN(40) > 0 {
			return 0
		}
		w.left.crashes--
		w.logf("%s: crashes", n.host)
		return 1 + w.r.IntN(2)
	}
	for h := range x.hosts {
		w.hosts = append(w.hosts, machine{disk: disk{h, 0}})
		w.nodes = append(w.nodes, &node{host: x.hosts[h], cfg: x.cfg[h]})
		w.nodes[h].setInc(x.incarnation(disk{h, 0}))
	}
	return w
}

// step does one thing that may happen.
func (w *timed) step() {
	h := w.r.IntN(len(w.nodes))
	n := w.nodes[h]
	switch i := w.r.IntN(100); {
	case i < 30:
		w.tick(n)
	case i < 40:
		w.boot(h)
	case i < 42 && n.up && w.left.crashes > 0:
		w.left.crashes--
		w.logf("%s: crashes", n.host)
		w.stop(n)
	case i < 43 && w.left.moves > 0 && h < w.x.seeds && n.disk.Genesis != nil:
		w.left.moves--
		w.move(h)
	case i < 44 && w.left.wipes > 0 && h != w.x.spare:
		w.left.wipes--
		w.erase(h)
	case len(w.flying) > 0:
		i := w.r.IntN(len(w.flying))
		m := w.flying[i]
		if w.r.IntN(5) > 0 {
			w.flying = slices.Delete(w.flying, i, i+1)
		}
		if w.r.IntN(8) > 0 {
			w.deliver(m)
		}
	}
	for h, n := range w.nodes {
		w.hosts[h].observe(n, w)
	}
}

// observe counts attempts, and notes whether a genesis was made in this boot.
func (m *machine) observe(n *node, w *timed) {
	if p := n.disk.Promised; p != m.promised {
		m.promised = p
		if p.Node == n.cfg.Self.Incarnation {
			w.attempts++
		}
	}
	if n.disk.Genesis != nil {
		m.spent = m.spent || bytes.Equal(must(wire.DecodeGenesis(n.disk.Genesis)).Nonce, n.cfg.Nonce)
	}
}

func (w *timed) boot(h int) {
	n, m := w.nodes[h], &w.hosts[h]
	if n.up || h == w.x.spare && m.nth == 0 {
		return
	}
	if m.spent {
		m.nonce, m.spent = m.nonce+1, false
	}
	n.up = true
	n.boot++
	n.cfg.Nonce = nonceOf(m.disk, m.nonce)
	if !n.member() {
		n.f = New(n.cfg, n.disk)
		w.drain(n)
	}
}

func (w *timed) erase(h int) {
	n, m := w.nodes[h], &w.hosts[h]
	w.stop(n)
	n.disk = Durable{}
	w.wiped[n.cfg.Self.Incarnation] = true
	*m = machine{disk: disk{h, m.nth + 1}}
	n.setInc(w.x.incarnation(m.disk))
	w.logf("%s: wiped", n.host)
}

// move brings a disk to the spare host.
func (w *timed) move(h int) {
	n, m, to := w.nodes[h], w.hosts[h], w.x.spare
	w.stop(n)
	w.hosts[to] = machine{disk: w.x.taken(m.disk), nonce: m.nonce + 1, promised: m.promised}
	w.nodes[to].disk, w.nodes[to].cfg.Self = n.disk, w.x.identity(w.hosts[to].disk)
	n.disk = Durable{}
	w.hosts[h] = machine{disk: disk{h, m.nth + 1}}
	n.setInc(w.x.incarnation(w.hosts[h].disk))
	w.logf("%s: moved to %s", n.host, w.nodes[to].host)
}

func (w *timed) sum() uint64 {
	var sum uint64
	for h, n := range w.nodes {
		sum += diskSum(h, w.hosts[h].nth, n.disk)
	}
	return sum
}
