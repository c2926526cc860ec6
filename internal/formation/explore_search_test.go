package formation

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// scope is what one exploration looks at. A story in it has at most so many
// crashes, wipes and attempts to found, and no other bound.
type scope struct {
	seeds    int // nodes at the seed addresses
	late     int // nodes with the same seeds that are none
	open     int // nodes that found with whom they meet
	expect   int // as so many
	joinOnly int // nodes told to join, that ask the first seed
	crashes  int
	wipes    int
	moves    int // of a founder's disk to an address that is no seed; at most one
	words    int // of an operator that gives up a genesis; he names who is gone for good
	attempts int
	falling  bool // a new disk's incarnation is lower than the old one's, not higher

	stages  []stage // by which the search is directed before it goes everywhere
	keep    int     // of the places with which a stage ends; 0: all
	limit   int     // of places; 0: all, as long as there is memory
	literal bool    // does without what makes the search smaller, see walker.over
}

func (s scope) String() string {
	var parts []string
	add := func(count int, what string) {
		if count > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count, what))
		}
	}
	add(s.seeds, "seeds")
	add(s.late, "late")
	add(s.open, fmt.Sprintf("that expect %d", s.expect))
	add(s.joinOnly, "join-only")
	add(s.crashes, "crashes")
	add(s.wipes, "wipes")
	add(s.moves, "moves")
	add(s.words, "words")
	add(s.attempts, "attempts")
	if s.falling {
		parts = append(parts, "incarnations fall")
	}
	for _, x := range s.stages {
		parts = append(parts, "after "+strconv.Quote(x.what))
	}
	return strings.Join(parts, ", ")
}

// nodes are the machines of a scope, not started and without incarnations.
func (s scope) nodes() []*node {
	w := newWorld()
	name := func(i int) string { return string(rune('a' + i)) }
	var seeds []string
	for i := range s.seeds {
		seeds = append(seeds, name(i))
	}
	for i := range s.seeds + s.late {
		w.add(name(i), Static, seeds, 1)
	}
	for i := range s.open {
		seeds = append(seeds, name(i))
	}
	for i := range s.open {
		w.add(name(i), Dynamic, seeds, 1).cfg.Expect = s.expect
	}
	for range s.joinOnly {
		w.add(name(len(w.nodes)), JoinOnly, seeds[:1], 1)
	}
	if s.moves > 0 {
		w.add(name(len(w.nodes)), Static, seeds, 1)
	}
	return w.nodes
}

// explorer goes through all that can happen in a scope, with the real code and
// these freedoms:
//
//   - What was sent may arrive at any time, any number of times, or never. So
//     what is under way only ever grows, and a crash between two sends is one
//     after both of which the second is lost.
//   - A node may lose patience at any time, and begin an attempt with any ballot
//     above its promise. It may see any member at any time, also one that is no
//     member any more, and any node as the blank one that it was. Of those that
//     are not to found with it it may see none.
//   - A node may crash before it saves, after that and before anything leaves it,
//     and at any other time; it is back at once, for to be down is to receive nothing.
//   - A disk may be wiped at any time, and is another disk from then on.
//   - A disk that holds a genesis may be carried to an address that is no seed at
//     any time, and a blank node comes up at the old one. One that holds none is
//     as good as wiped by that: nobody asks it there.
//   - An operator may give up a genesis at any node that accepted it, and names all
//     whose disks are gone for good, and nobody else.
//   - A cluster lets anybody in as long as most of its founders have their disks.
//
// Two tests hold it to account: TestReductionsLoseNothing, and
// TestExplorerCoversTime, which compares it with nodes that have clocks.
type explorer struct {
	scope
	*catalogue
	seen  *seen
	stage *stage       // the present one; nil: behind the last
	begun []int        // per stage: with how many places it ended
	depth int          // all places within so many steps were come to
	whole bool         // there are no others
	look  func(*place) // is shown each place, by several goroutines; may be nil
	fault atomic.Pointer[fault]
}

// fault is a rule that was broken on the way to a place.
type fault struct {
	what string
	slot uint32
}

func newExplorer(s scope) *explorer {
	x := &explorer{scope: s, catalogue: newCatalogue(s.nodes(), s.falling), look: func(*place) {}}
	if s.moves > 0 {
		x.spare = len(x.hosts) - 1
	}
	return x
}

// first is the place where all stories begin: every disk is empty.
func (x *explorer) first() *place {
	p := &place{left: x.budget()}
	for h := range x.hosts {
		s := x.boot(disk{h, 0}, 0, Durable{})
		if h == x.spare {
			s = x.vacant()
		}
		p.nodes = append(p.nodes, s)
		p.sum += s.hash
	}
	p.sum += p.left.hash()
	return p
}

func (s scope) budget() budget {
	return budget{uint8(s.crashes), uint8(s.wipes), uint8(s.attempts), uint8(s.moves), uint8(s.words)}
}

const (
	// maxPlaces is for how many a deep exploration has room, 0.4 GB of it.
	maxPlaces = 20 << 20
	// blockSize is about how many bytes of places a goroutine takes at a time.
	blockSize = 1 << 18
)

// search goes breadth first, so that the first fault has the shortest story.
func (x *explorer) search(workers int) {
	if x.limit == 0 {
		x.limit = 1 << 20
		if *deep {
			x.limit = maxPlaces
		}
	}
	x.seen = newSeen(x.limit)
	p := x.first()
	p.slot, _ = x.seen.put(key(p.sum), 0)
	x.seen.from[p.slot] = p.slot
	x.look(p)
	l := &level{x: x, blocks: [][]byte{appendPlace(nil, p)}}
	for range workers {
		l.workers = append(l.workers, l.worker())
	}
	for i := range x.stages {
		x.stage = &x.stages[i]
		for x.fault.Load() == nil && len(l.blocks) > 0 && len(l.behind) == 0 {
			l.pass()
		}
		x.begun = append(x.begun, len(l.behind))
		l.blocks, l.behind = x.firstOf(l.behind), nil
	}
	x.stage = nil
	for x.fault.Load() == nil {
		if l.pass(); l.full.Load() {
			return
		}
		if len(l.blocks) == 0 {
			x.whole = true
			return
		}
		x.depth++
	}
}

// level is all the places that the same number of steps leads to.
type level struct {
	x       *explorer
	workers []*worker
	blocks  [][]byte
	behind  [][]byte     // where the next stage begins
	taken   atomic.Int64 // of blocks
	full    atomic.Bool  // the limit was reached
}

// pass goes on to the next level.
func (l *level) pass() {
	l.taken.Store(0)
	var group sync.WaitGroup
	for _, w := range l.workers {
		group.Go(w.work)
	}
	group.Wait()
	l.blocks = nil
	for _, w := range l.workers {
		l.blocks, l.behind = append(l.blocks, w.blocks...), append(l.behind, w.behind...)
		w.blocks, w.behind = nil, nil
	}
}

// worker takes the steps from some of a level's places.
type worker struct {
	*walker
	level  *level
	blocks [][]byte // of the next level
	block  []byte   // the one being filled
	behind [][]byte // where the next stage begins
	to     place
}

func (l *level) worker() *worker {
	w := &worker{level: l}
	w.walker = l.x.newWalker(w.arrive)
	return w
}

func (w *worker) work() {
	l, p := w.level, &place{}
	for !l.full.Load() {
		i := int(l.taken.Add(1)) - 1
		if i >= len(l.blocks) {
			break
		}
		for b := l.blocks[i]; len(b) > 0 && !l.full.Load(); {
			b = w.x.readPlace(b, p)
			w.walk(p)
		}
		l.blocks[i] = nil
	}
	w.flush()
}

// arrive takes in the place to which a step leads, unless it is known.
func (w *worker) arrive(s *step) {
	slot, fresh := w.x.seen.put(key(s.sum), w.p.slot)
	if !fresh {
		return
	}
	if s.bad != "" {
		w.x.fault.CompareAndSwap(nil, &fault{s.bad, slot})
	}
	if w.x.seen.count.Load() >= int64(w.x.limit) {
		w.level.full.Store(true)
	}
	w.place(s, &w.to)
	w.to.slot = slot
	w.x.look(&w.to)
	if w.x.reached(&w.to) {
		w.behind = append(w.behind, appendPlace(nil, &w.to))
		return
	}
	if w.block = appendPlace(w.block, &w.to); len(w.block) > blockSize {
		w.flush()
	}
}

func (w *worker) flush() {
	if len(w.block) > 0 {
		w.blocks = append(w.blocks, slices.Clip(w.block))
	}
	w.block = nil
}
