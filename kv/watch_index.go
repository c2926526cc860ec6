package kv

import (
	"iter"
	"math/rand/v2"
)

// watchIndex finds the watches of a key: those of it alone in a map, those of
// ranges in a tree. Watches of the same span share one set.
type watchIndex struct {
	all    map[*watcher]struct{}
	single map[string]*watchSet
	ranges *rangeNode
	rnd    *rand.Rand
}

// watchSet are the watches of one span, in no order.
type watchSet struct {
	watchers []*watcher
}

func newWatchIndex() watchIndex {
	return watchIndex{
		all: map[*watcher]struct{}{}, single: map[string]*watchSet{},
		rnd: rand.New(rand.NewPCG(1, 1)), // for the shape of the tree alone
	}
}

func (x *watchIndex) add(w *watcher) {
	x.all[w] = struct{}{}
	var set *watchSet
	if s := spanOf(w.Key, w.End); s.single {
		if set = x.single[string(s.from)]; set == nil {
			set = &watchSet{}
			x.single[string(s.from)] = set
		}
	} else {
		r := rangeOf(s)
		n := x.ranges.find(r)
		if n == nil {
			n = &rangeNode{keyRange: r, prio: x.rnd.Uint64()}
			x.ranges = x.ranges.insert(n)
		}
		set = &n.set
	}
	w.set, w.pos = set, len(set.watchers)
	set.watchers = append(set.watchers, w)
}

func (x *watchIndex) remove(w *watcher) {
	if w.set == nil {
		return
	}
	delete(x.all, w)
	set, last := w.set.watchers, len(w.set.watchers)-1
	set[w.pos] = set[last]
	set[w.pos].pos = w.pos
	set[last] = nil
	w.set.watchers = set[:last]
	w.set = nil
	if last > 0 {
		return
	}
	if s := spanOf(w.Key, w.End); s.single {
		delete(x.single, string(s.from))
	} else {
		x.ranges = x.ranges.delete(rangeOf(s))
	}
}

// at yields every set that has key in its span.
func (x *watchIndex) at(key []byte) iter.Seq[*watchSet] {
	return func(yield func(*watchSet) bool) {
		if set := x.single[string(key)]; set != nil && !yield(set) {
			return
		}
		if x.ranges != nil {
			x.ranges.stab(string(key), yield)
		}
	}
}

// keyRange is a span that is not a single key.
type keyRange struct {
	from string
	to   rangeEnd
}

// rangeEnd is where a range ends: before key, or nowhere.
type rangeEnd struct {
	key  string
	open bool
}

func rangeOf(s span) keyRange {
	return keyRange{from: string(s.from), to: rangeEnd{key: string(s.to), open: s.open}}
}

func (e rangeEnd) less(f rangeEnd) bool  { return !e.open && (f.open || e.key < f.key) }
func (e rangeEnd) after(key string) bool { return e.open || key < e.key }

func (r keyRange) less(s keyRange) bool {
	return r.from < s.from || r.from == s.from && r.to.less(s.to)
}

// rangeNode is a node of a treap: a search tree by the start of ranges, and a
// heap by random priorities, which keep it flat. Each node knows the furthest
// end below it, so that whole branches which end before a key are passed by.
type rangeNode struct {
	keyRange
	set         watchSet
	prio        uint64
	far         rangeEnd // of this and all below
	left, right *rangeNode
}

func (n *rangeNode) find(r keyRange) *rangeNode {
	for n != nil {
		switch {
		case r.less(n.keyRange):
			n = n.left
		case n.less(r):
			n = n.right
		default:
			return n
		}
	}
	return nil
}

// update sets far after a change of a child.
func (n *rangeNode) update() *rangeNode {
	n.far = n.to
	for _, c := range []*rangeNode{n.left, n.right} {
		if c != nil && n.far.less(c.far) {
			n.far = c.far
		}
	}
	return n
}

// insert returns the tree with m, whose range is not in it.
func (n *rangeNode) insert(m *rangeNode) *rangeNode {
	switch {
	case n == nil:
		return m.update()
	case m.prio > n.prio:
		m.left, m.right = n.split(m.keyRange)
		return m.update()
	case m.less(n.keyRange):
		n.left = n.left.insert(m)
	default:
		n.right = n.right.insert(m)
	}
	return n.update()
}

// split divides the tree into what sorts before r and after.
func (n *rangeNode) split(r keyRange) (before, after *rangeNode) {
	switch {
	case n == nil:
		return nil, nil
	case n.less(r):
		n.right, after = n.right.split(r)
		return n.update(), after
	default:
		before, n.left = n.left.split(r)
		return before, n.update()
	}
}

// delete returns the tree without r.
func (n *rangeNode) delete(r keyRange) *rangeNode {
	switch {
	case n == nil:
		return nil
	case r.less(n.keyRange):
		n.left = n.left.delete(r)
	case n.less(r):
		n.right = n.right.delete(r)
	default:
		return n.left.join(n.right)
	}
	return n.update()
}

// join is the tree of two of which one sorts before the other.
func (n *rangeNode) join(m *rangeNode) *rangeNode {
	switch {
	case n == nil:
		return m
	case m == nil:
		return n
	case n.prio > m.prio:
		n.right = n.right.join(m)
		return n.update()
	default:
		m.left = n.join(m.left)
		return m.update()
	}
}

// stab yields the sets of all ranges that hold key, until yield says no.
func (n *rangeNode) stab(key string, yield func(*watchSet) bool) bool {
	if n == nil || !n.far.after(key) {
		return true
	}
	if !n.left.stab(key, yield) {
		return false
	}
	if key < n.from {
		return true // and so are all to the right
	}
	return (!n.to.after(key) || yield(&n.set)) && n.right.stab(key, yield)
}
