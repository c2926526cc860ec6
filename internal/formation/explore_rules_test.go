package formation

import (
	"fmt"
	"slices"
)

// check holds a step to the rules about more than one node, and notes what
// later steps will be held to.
func (w *walker) check(n *step, old *nodeState) {
	nodes := w.after(n)
	if f := n.to.in; f != nil && old.in == nil && n.to.n.disk.Founded {
		for i, a := range f.accepted {
			if !w.holds(n, a) {
				n.fails("%s was founded without the acceptance of %s", n.to.n.host, f.genesis.Founders[i].Name)
			}
		}
		if f.holders(nodes) >= len(f.founders)/2+1 {
			w.real(n, f, nodes)
		}
	}
	w.oneCluster(n, nodes)
}

func (n *step) fails(format string, args ...any) {
	if n.bad == "" {
		n.bad = fmt.Sprintf(format, args...)
	}
}

// after lists the nodes as the step leaves them; valid until the next step.
func (w *walker) after(n *step) []*nodeState {
	w.nodes = append(w.nodes[:0], w.p.nodes...)
	w.nodes[n.host] = n.to
	if n.moved != nil {
		w.nodes[w.x.spare] = n.moved
	}
	return w.nodes
}

// holds says whether a note is there after a step.
func (w *walker) holds(n *step, x *note) bool {
	return w.in[x.id] == w.round || slices.Contains(n.added, x)
}

// real notes that a cluster has become able to commit something: no other may
// have been, unless all founders of one are lost.
func (w *walker) real(n *step, f *founding, nodes []*nodeState) {
	if !w.holds(n, f.real) {
		n.added = append(n.added, f.real)
		n.sum += f.real.hash
	}
	for _, id := range w.p.notes {
		if o := w.x.notes[id].real; o != nil && o.excludes(f, nodes) {
			n.fails("two clusters could have committed something: %s and %s", o.name(), f.name())
		}
	}
}

// oneCluster finds two clusters on disks. One that was moved is let be: it may
// have been founded with others that founded without it since, and decides
// nothing alone.
func (w *walker) oneCluster(n *step, nodes []*nodeState) {
	if w.x.spare >= 0 {
		nodes = nodes[:w.x.spare]
	}
	for i, s := range nodes {
		for _, o := range nodes[:i] {
			if s.in != o.in && s.in != nil && o.in != nil && s.in.excludes(o.in, nodes) {
				n.fails("two clusters: %s and %s", s.in.name(), o.in.name())
			}
		}
	}
}

// excludes says that there must not be both clusters, see world.exclude.
func (f *founding) excludes(o *founding, nodes []*nodeState) bool {
	if f.id == o.id || f.lost(nodes) || o.lost(nodes) {
		return false
	}
	return len(f.genesis.Seeds) > 0 || slices.ContainsFunc(f.founders, func(d disk) bool { return slices.Contains(o.founders, d) })
}

func (f *founding) name() string {
	return fmt.Sprintf("%s made by %s", short(f.genesis.Encode()), f.genesis.Nonce)
}
