package formation

import (
	"math/bits"
	"slices"
)

// walker goes from one place to all those that are one step away. It is owned
// by one goroutine.
type walker struct {
	x     *explorer
	cache map[uint64]*result
	p     *place
	in    []uint32 // per note: the round in which it was found among p.notes
	round uint32   // counts places

	next step
	take func(*step) // owns the step until it returns

	answers []uint16     // used by arrivals
	reading []*nodeState // used by read
	nodes   []*nodeState // used by after
}

func (x *explorer) newWalker(take func(*step)) *walker {
	return &walker{x: x, cache: map[uint64]*result{}, in: make([]uint32, maxNotes), take: take}
}

// result is catalogue.result without its lock, mostly.
func (w *walker) result(s *nodeState, in input) *result {
	k := uint64(s.id)<<32 | uint64(in)
	r := w.cache[k]
	if r == nil {
		r = w.x.result(s, in)
		w.cache[k] = r
	}
	return r
}

// walk takes every step that is possible at p.
func (w *walker) walk(p *place) {
	w.p = p
	w.round++
	for _, id := range p.notes {
		w.in[id] = w.round
	}
	for host, s := range p.nodes {
		if w.x.isVacant(s) {
			continue
		}
		w.arrivals(host, s)
		if s.n.f != nil {
			w.views(host, s)
			w.attempts(host, s)
		}
		w.faults(host, s)
	}
}

// arrivals lets each note that may reach a node do so.
func (w *walker) arrivals(host int, s *nodeState) {
	w.answers = w.answers[:0]
	for _, id := range w.p.notes {
		n := w.x.notes[id]
		switch {
		case n.kind == isQuestion && n.to == host:
			if n.msg.req.Join == nil || s.in != nil && w.leads(s.in) {
				w.happens(host, s, arrives|input(id))
			}
		case s.n.f == nil:
		case n.kind == isAnswer && n.to == host:
			w.answers = append(w.answers, id)
		case n.kind == isSight && n.from != host && w.x.diskOfNote(n) != w.x.origin(s.disk) && w.tells(s, n):
			w.happens(host, s, arrives|input(id))
		}
	}
	if w.x.literal {
		for _, id := range w.answers {
			w.happens(host, s, arrives|input(id))
		}
	} else if len(w.answers) > 0 {
		w.read(host, s)
	}
}

// leads says whether a cluster may have a leader.
func (w *walker) leads(f *founding) bool {
	return f.holders(w.p.nodes) >= len(f.founders)/2+1
}

// read lets a node read answers in every order up to the first that does more
// than to be counted. Those before it are no steps: until then a node does all
// that it does as if it had not read them, and they can still be read.
func (w *walker) read(host int, s *nodeState) {
	w.reading = append(w.reading[:0], s)
	for i := 0; i < len(w.reading); i++ {
		at := w.reading[i]
		for _, id := range w.answers {
			r := w.result(at, arrives|input(id))
			switch {
			case r.bad != "" || r.to != s && r.to.base != s || w.news(r):
				w.step(host, at, arrives|input(id), r)
			case !slices.Contains(w.reading, r.to):
				w.reading = append(w.reading, r.to)
			}
		}
	}
}

// news says whether a result adds to what is under way.
func (w *walker) news(r *result) bool {
	return slices.ContainsFunc(r.notes, func(n *note) bool {
		return w.in[n.id] != w.round && (n.kind > isAnswer || !w.over(w.p.nodes[n.to], n))
	})
}

// views lets a node that has seen members see them otherwise.
func (w *walker) views(host int, s *nodeState) {
	if s.views == 0 {
		return
	}
	for o, other := range w.p.nodes {
		if s.views&(1<<o) == 0 {
			continue
		}
		if s.torn || w.x.literal {
			w.happens(host, s, silent|input(o))
		}
		w.happens(host, s, blank|numberOf(other.disk))
	}
}

// attempts lets a node begin to found with the disks that the others have now.
// It may know an older disk of one, but an attempt with that can do no more
// than this one does while the new disk doesn't answer it.
func (w *walker) attempts(host int, s *nodeState) {
	if s.n.cfg.Mode == JoinOnly || s.views != 0 || w.p.left.attempts == 0 {
		return
	}
	var o outlook
	for i, other := range w.p.nodes[:w.x.seeds+w.x.open] {
		o.nth[i] = uint8(other.nth)
	}
	if host < w.x.seeds+w.x.open {
		o.nth[host] = 0
	}
	for o.hosts = range uint8(1 << len(w.p.nodes)) {
		if !w.x.mayFoundWith(host, o.hosts) {
			continue
		}
		for c := int(s.n.disk.Promised.Counter) + 1; c <= w.x.attempts; c++ {
			w.happens(host, s, attemptWith(c, o))
			for i := range o.nth {
				for known := o; w.x.literal && known.nth[i] > 0; {
					known.nth[i]--
					w.happens(host, s, attemptWith(c, known))
				}
			}
		}
	}
}

// mayFoundWith says that a host and those others are as many as found.
func (s scope) mayFoundWith(host int, others uint8) bool {
	among := s.seeds + s.open
	return host < among && others < 1<<among && others&(1<<host) == 0 && bits.OnesCount8(others)+1 == max(s.seeds, s.expect)
}

// faults restarts and wipes. A restart that changes nothing but the budget
// leads to where less can happen, and is left out.
func (w *walker) faults(host int, s *nodeState) {
	if w.p.left.crashes > 0 {
		if r := w.result(s, restart); r.to != s || w.x.literal {
			w.step(host, s, restart, r)
		}
	}
	if w.p.left.wipes > 0 && host != w.x.spare { // a moved disk that is lost is one that isn't heard of any more
		w.step(host, s, wiped, w.result(s, wiped))
	}
	if w.p.left.moves > 0 && host < w.x.seeds && s.n.disk.Genesis != nil && w.x.isVacant(w.p.nodes[w.x.spare]) {
		w.step(host, s, moved, w.result(s, moved))
	}
	if w.p.left.words > 0 && s.n.f != nil && s.n.f.accepted != nil {
		w.happens(host, s, w.x.wordOf(w.p.nodes))
	}
}

// happens lets an input reach a node, unless it does nothing.
func (w *walker) happens(host int, s *nodeState, in input) {
	if r := w.result(s, in); !r.nothing(s) {
		w.step(host, s, in, r)
	}
}
