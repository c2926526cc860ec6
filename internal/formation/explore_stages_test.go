package formation

import (
	"bytes"
	"slices"

	"github.com/musterhq/muster/internal/wire"
)

// stage is a part of a search that is directed: with no more than so much spent
// of the budget it goes on until something has come about. All places where that
// is so for the first time are where the next stage begins.
type stage struct {
	what  string
	spend budget
	until func(*explorer, *place) bool
}

// unheardOf is the story of a cluster that nobody remembers, part by part: a
// directed search begins with the first so many. Each ends at places from which
// everything is possible again that the rest of the budget allows.
var unheardOf = [...]stage{
	{"a founder is founded, tells nobody, and is moved", budget{attempts: 1, moves: 1},
		func(x *explorer, p *place) bool { f := p.nodes[x.spare].in; return f != nil && f.holders(p.nodes) == 1 }},
	{"another accepts to found without it", budget{attempts: 2, moves: 1},
		func(x *explorer, p *place) bool {
			return slices.ContainsFunc(p.nodes, func(s *nodeState) bool {
				return s.n.disk.Stage == wire.Accepted && !bytes.Equal(s.n.disk.Genesis, p.nodes[x.spare].n.disk.Genesis)
			})
		}},
	{"one that promised finds the moved one, and they are a majority", budget{attempts: 2, moves: 1},
		func(x *explorer, p *place) bool {
			f := p.nodes[x.spare].in
			return f != nil && f.holders(p.nodes) > len(f.founders)/2
		}},
	{"it loses its disk", budget{attempts: 2, moves: 1, wipes: 1},
		func(x *explorer, p *place) bool { return p.nodes[x.spare].in.holders(p.nodes) == 1 }},
	{"an operator gives up what the other accepted", budget{attempts: 2, moves: 1, wipes: 1, words: 1},
		func(x *explorer, p *place) bool { return p.left.words == 0 }},
}

// acceptedAndMoved is another beginning.
var acceptedAndMoved = stage{"one that accepted is moved", budget{attempts: 1, moves: 1},
	func(x *explorer, p *place) bool { return p.nodes[x.spare].n.disk.Stage == wire.Accepted }}

// beyond says that a step spends more than the present stage may.
func (w *walker) beyond(n *step) bool {
	s := w.x.stage
	if s == nil {
		return false
	}
	all, left, may := w.x.budget(), n.left, s.spend
	return all.crashes-left.crashes > may.crashes || all.wipes-left.wipes > may.wipes || all.words-left.words > may.words ||
		all.attempts-left.attempts > may.attempts || all.moves-left.moves > may.moves
}

// firstOf is with which places a stage begins, the same in each run.
func (x *explorer) firstOf(places [][]byte) [][]byte {
	slices.SortFunc(places, func(a, b []byte) int { return bytes.Compare(a[4:12], b[4:12]) }) // the sum
	if x.keep > 0 && len(places) > x.keep {
		return places[:x.keep]
	}
	return places
}

// reached says that a place is where the next stage begins.
func (x *explorer) reached(p *place) bool { return x.stage != nil && x.stage.until(x, p) }
