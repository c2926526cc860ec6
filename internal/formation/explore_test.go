package formation

import (
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/musterhq/muster/internal/wire"
)

// explorer visits every state that a few nodes can come to, with these freedoms:
// a message, once sent, may arrive at any time, any number of times, or never;
// a node may lose patience at any time, and look at the others at any time; within
// a budget, nodes restart, also between a save and what follows it, and disks
// are wiped.
type explorer struct {
	seen   map[[sha256.Size]byte]bool
	limit  int // states
	bad    string
	cut    bool   // the limit was reached
	ballot uint64 // no attempts above this counter
}

// place is a world with what is left of the budget, and how it came to be.
type place struct {
	*world
	restarts, wipes int
	did             *deed
}

// deed is the newest action of a story.
type deed struct {
	what string
	then *deed // before it
}

func (d *deed) String() string {
	if d == nil {
		return ""
	}
	return d.then.String() + "\n" + d.what
}

// refused says that an answer is a no. It changes nothing but how soon the
// asker tries again.
func refused(r wire.Response) bool {
	return r.Promise != nil && r.Promise.Code != "" || r.Accept != nil && r.Accept.Code != ""
}

func (p place) clone(did string) place {
	w := *p.world
	w.nodes = nil
	for _, n := range p.nodes {
		c := *n
		if n.f != nil {
			c.f = n.f.Clone()
		}
		w.nodes = append(w.nodes, &c)
	}
	w.flying = slices.Clone(p.flying)
	w.genesis, w.accepts = maps.Clone(p.genesis), maps.Clone(p.accepts)
	w.real, w.wiped = maps.Clone(p.real), maps.Clone(p.wiped)
	w.learners = maps.Clone(p.learners)
	return place{world: &w, restarts: p.restarts, wipes: p.wipes, did: &deed{did, p.did}}
}

func (p place) key() [sha256.Size]byte {
	h := sha256.New()
	fmt.Fprintln(h, p.restarts, p.wipes)
	for _, n := range p.nodes {
		fmt.Fprintln(h, n.cfg.Self.Incarnation, n.boot)
		h.Write(appendDurable(nil, n.disk))
		if n.f != nil {
			s := n.f.Fingerprint()
			h.Write(s[:])
		}
	}
	var all [sha256.Size]byte // in any order
	for _, m := range p.flying {
		s := m.sum
		for i := range all {
			all[i] ^= s[i]
		}
	}
	h.Write(all[:])
	return [sha256.Size]byte(h.Sum(nil))
}

// settle keeps one of each message for founding, and drops the rest. Time has no
// meaning here: everything may be asked again, and nobody begins an attempt
// before losing patience.
func (p place) settle() {
	for _, n := range p.nodes {
		if n.f == nil {
			continue
		}
		n.f.quiet, n.f.yields, n.f.spoilt, n.f.joinWait = 0, true, 0, 0
		n.f.highest = n.disk.Promised.Counter
		for i := range n.f.peers {
			q := &n.f.peers[i]
			q.wait, q.open, q.no = [questions]int{}, false, nil
		}
	}
	var out []message
	seen := map[[sha256.Size]byte]bool{}
	for _, m := range p.flying {
		if m.kind() == "other" || m.resp != nil && (m.boot != p.at(m.to).boot || refused(*m.resp)) {
			continue
		}
		if m.sum == ([sha256.Size]byte{}) {
			b, err := json.Marshal([]any{m.from, m.to, m.boot, m.hello.Self.Incarnation, m.hello.ClusterID, m.req, m.resp})
			if err != nil {
				panic(err)
			}
			m.sum = sha256.Sum256(b)
		}
		if !seen[m.sum] {
			seen[m.sum] = true
			out = append(out, m)
		}
	}
	p.flying = nil
	p.world.flying = out
}

// next lists the places one action away.
func (p place) next() []place {
	var out []place
	for i, m := range p.flying {
		c := p.clone(fmt.Sprintf("%s %s->%s", m.kind(), m.from, m.to))
		c.deliver(c.flying[i])
		out = append(out, c)
		if p.restarts > 0 {
			c := p.clone(fmt.Sprintf("%s %s->%s, restart after its save", m.kind(), m.from, m.to))
			c.crash = func(*node) int { return 2 }
			c.deliver(c.flying[i])
			c.crash = nil
			if n := c.at(m.to); !n.up {
				c.restarts--
				c.start(n)
				out = append(out, c)
			}
		}
	}
	for i, n := range p.nodes {
		if n.f != nil {
			c := p.clone(n.host + " looks around")
			for _, o := range c.nodes {
				if c.nodes[i] != o && c.nodes[i].f != nil {
					c.look(c.nodes[i], o)
				}
			}
			out = append(out, c)
			c = p.clone(n.host + " loses patience")
			c.nodes[i].f.try, c.nodes[i].f.quiet = nil, 1<<20
			c.nodes[i].f.proceed()
			c.drain(c.nodes[i])
			out = append(out, c)
		}
		if p.restarts > 0 {
			c := p.clone(n.host + " restarts")
			c.restarts--
			c.stop(c.nodes[i])
			c.start(c.nodes[i])
			out = append(out, c)
		}
		if p.wipes > 0 {
			c := p.clone(n.host + " is wiped")
			c.wipes--
			c.wipe(c.nodes[i])
			c.start(c.nodes[i])
			out = append(out, c)
		}
	}
	return out
}

// look lets n see what o is now: a probe and its answer in one go.
func (w *world) look(n, o *node) {
	r := Answer(o.disk, w.membership(o.disk.ClusterID), wire.Request{Probe: &wire.Probe{}})
	if o.f != nil {
		p := o.f.ProbeReply()
		r = wire.Response{Probe: &p}
	}
	n.f.Answered(o.host, o.hello(), r)
	w.drain(n)
}

// visit walks breadth first, so that the first fault has the shortest story.
func (x *explorer) visit(start place) {
	queue := []place{start}
	for len(queue) > 0 && x.bad == "" {
		p := queue[0]
		queue[0] = place{}
		queue = queue[1:]
		for _, n := range p.next() {
			n.settle()
			if k := n.key(); x.seen[k] || n.tooHigh(x.ballot) {
				continue
			} else {
				x.seen[k] = true
			}
			if bad := n.check(); bad != "" {
				x.bad = bad + n.did.String()
				return
			}
			if len(x.seen) >= x.limit {
				x.cut = true
				return
			}
			queue = append(queue, n)
		}
	}
}

func (p place) tooHigh(counter uint64) bool {
	return slices.ContainsFunc(p.nodes, func(n *node) bool { return n.disk.Promised.Counter > counter })
}

func explore(nodes, restarts, wipes int, ballot uint64, limit int) *explorer {
	x := &explorer{seen: map[[sha256.Size]byte]bool{}, limit: limit, ballot: ballot}
	p := place{world: newWorld(), restarts: restarts, wipes: wipes}
	var seeds []string
	for i := range nodes {
		seeds = append(seeds, string(rune('a'+i)))
	}
	for i, s := range seeds {
		n := p.add(s, Static, seeds, byte(i+1))
		p.start(n)
	}
	for _, n := range p.nodes {
		n.f.Failed(n.host, &wire.Refusal{Code: wire.RefusedSelf}, "")
		p.drain(n)
	}
	p.settle()
	for _, n := range p.nodes {
		for _, o := range p.nodes {
			if n != o {
				p.look(n, o)
			}
		}
	}
	p.settle()
	x.visit(p)
	return x
}

var deep = flag.Int("explore", 0, "states to visit in each of the larger explorations; 0: a few")

// TestExplore walks through all that can happen in small worlds, and through as
// much as was asked for of what can happen in larger ones.
func TestExplore(t *testing.T) {
	for _, c := range []struct {
		nodes, restarts, wipes int
		ballot                 uint64
		whole                  bool
	}{
		{2, 1, 0, 2, true},
		{2, 0, 1, 2, true},
		{3, 0, 0, 1, true},
		{2, 1, 1, 2, false}, // 16049 states
		{2, 0, 2, 2, false}, // 18066 states
		{3, 0, 1, 2, false},
		{3, 1, 1, 2, false},
	} {
		limit := 1 << 20
		if !c.whole {
			limit = max(*deep, 500)
		}
		x := explore(c.nodes, c.restarts, c.wipes, c.ballot, limit)
		t.Logf("%d nodes, %d restarts, %d wipes: %d states, to the end: %v", c.nodes, c.restarts, c.wipes, len(x.seen), !x.cut)
		if x.bad != "" {
			t.Error(x.bad)
		}
		if c.whole && x.cut {
			t.Error("not explored to the end")
		}
	}
}
