package formation

import "slices"

// step is one thing that happened to one node, and where it leads.
type step struct {
	host    int
	input   input
	to      *nodeState // what the node is then
	moved   *nodeState // what the spare host is then; nil: as it was
	left    budget
	added   []*note
	dropped []uint16 // sorted
	sum     uint64   // of the place
	bad     string   // a rule that is broken; "": none
}

// step works out where a result leads.
func (w *walker) step(host int, s *nodeState, in input, r *result) {
	if r.saved && in < thenCrash && w.p.left.crashes > 0 {
		w.step(host, s, in+thenCrash, w.result(s, in+thenCrash))
	}
	n := &w.next
	*n = step{host: host, input: in, to: r.to, moved: r.moved, bad: r.bad, left: w.p.left,
		added: n.added[:0], dropped: n.dropped[:0]}
	if n.to.base != nil && !w.x.literal {
		n.to = n.to.base
	}
	if in&kinds == restart || in >= thenCrash {
		n.left.crashes--
	}
	switch (in &^ thenCrash) & kinds {
	case wiped:
		n.left.wipes--
	case tries:
		n.left.attempts--
	case moved:
		n.left.moves--
	case word:
		n.left.words--
	}
	old := w.p.nodes[host]
	if w.beyond(n) {
		return
	}
	n.sum = w.p.sum - old.hash + n.to.hash
	n.sum += n.left.hash() - w.p.left.hash()
	if n.moved != nil {
		n.sum += n.moved.hash - w.p.nodes[w.x.spare].hash
	}
	w.drop(n, r)
	w.add(n, r)
	if n.to == old && n.moved == nil && len(n.added) == 0 && n.bad == "" {
		return
	}
	w.check(n, old)
	w.take(n)
}

// drop takes out what is over now for the node that did the step.
func (w *walker) drop(n *step, r *result) {
	if n.to == w.p.nodes[n.host] && !r.lost {
		return
	}
	for _, id := range w.p.notes {
		x := w.x.notes[id]
		if x.to == n.host && x.kind <= isAnswer && (r.lost && x.kind == isAnswer || w.over(n.to, x)) || x.moot(n) {
			n.dropped = append(n.dropped, id)
			n.sum -= x.hash
		}
	}
}

// add takes in what is new.
func (w *walker) add(n *step, r *result) {
	for _, x := range r.notes {
		if w.in[x.id] == w.round {
			continue
		}
		if x.kind <= isAnswer {
			at := w.p.nodes[x.to]
			if x.to == n.host {
				at = n.to
			}
			if w.over(at, x) {
				continue
			}
		}
		n.added = append(n.added, x)
		n.sum += x.hash
	}
}

// place builds the place to which a step leads.
func (w *walker) place(n *step, into *place) {
	into.nodes = append(into.nodes[:0], w.p.nodes...)
	into.nodes[n.host] = n.to
	if n.moved != nil {
		into.nodes[w.x.spare] = n.moved
	}
	into.left, into.sum = n.left, n.sum
	into.notes = into.notes[:0]
	dropped := n.dropped
	for _, id := range w.p.notes {
		if len(dropped) > 0 && dropped[0] == id {
			dropped = dropped[1:]
			continue
		}
		into.notes = append(into.notes, id)
	}
	for _, x := range n.added {
		into.notes = append(into.notes, x.id)
	}
	slices.Sort(into.notes)
}
