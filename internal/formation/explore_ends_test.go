package formation

import (
	"fmt"
	"slices"
	"sync"
)

// sample keeps some of the places that a search comes to, the same in each run.
type sample struct {
	mu     sync.Mutex
	every  uint64
	max    int
	places []*place
}

func (s *sample) look(p *place) {
	if key(p.sum)%s.every != 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.places) < s.max {
		c := *p
		c.nodes, c.notes = slices.Clone(p.nodes), slices.Clone(p.notes)
		s.places = append(s.places, &c)
	}
}

// end lets a place go on with no fault any more and with real time. At most
// boundedTicks later all must be in a cluster, or too many founders are gone.
// It returns "" or what is wrong.
func (x *explorer) end(p *place) string {
	w := x.world(p)
	for took := 0; took < boundedTicks && !w.allIn(); took++ {
		w.run(1)
	}
	switch bad := w.check(); {
	case bad != "":
		return "afterwards: " + bad
	case w.allIn() || w.excused():
		return ""
	}
	return fmt.Sprintf("not all in a cluster %d ticks later\n%s", boundedTicks, w.state())
}

// world is a place with clocks, and with a network that loses nothing.
func (x *explorer) world(p *place) *world {
	w := newWorld()
	for h, s := range p.nodes {
		if x.isVacant(s) {
			continue
		}
		n := *s.n
		if n.f != nil {
			n.f = n.f.Clone()
		}
		w.nodes = append(w.nodes, &n)
		for k := range s.nth {
			w.wiped[x.incarnation(disk{h, k})] = true
		}
	}
	for _, f := range x.foundings { // order-free: each by itself
		real := slices.Contains(p.notes, f.real.id)
		if !real && f.holders(p.nodes) == 0 {
			continue
		}
		w.genesis[f.id], w.real[f.id] = f.genesis, real
	}
	for _, id := range p.notes {
		switch n := x.notes[id]; {
		case n.kind <= isAnswer:
			m := n.msg
			m.boot = 1
			w.flying = append(w.flying, m)
		case n.accept != nil:
			w.accepts[*n.accept] = true
		}
	}
	return w
}
