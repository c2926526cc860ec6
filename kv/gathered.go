package kv

import (
	"encoding/binary"
	"iter"
)

// gathered lists keys, with the lease of each, in little more memory than their
// bytes: one command may delete all there are. What it held lives until reset.
//
//	+--------------+-----+---------------+
//	| len, uvarint | key | lease, varint |  one after the other, none over two pages
//	+--------------+-----+---------------+
type gathered struct {
	pages [][]byte // the last one is being filled
	n     int      // keys since the last start
	from  int      // page and offset of the first of them
	at    int
}

// The pages of gathered double from the one size to the other, in bytes.
const (
	minGatheredPage = 1 << 10
	maxGatheredPage = 1 << 20
)

// start begins another list. The keys of those before stay as they are.
func (g *gathered) start() {
	g.n, g.from, g.at = 0, 0, 0
	if last := len(g.pages) - 1; last >= 0 {
		g.from, g.at = last, len(g.pages[last])
	}
}

func (g *gathered) add(key []byte, lease int64) {
	need := len(key) + 2*binary.MaxVarintLen64
	last := len(g.pages) - 1
	if last < 0 || cap(g.pages[last])-len(g.pages[last]) < need {
		size := minGatheredPage
		if last >= 0 {
			size = min(2*cap(g.pages[last]), maxGatheredPage)
		}
		g.pages = append(g.pages, make([]byte, 0, max(size, need)))
		last++
	}
	p := binary.AppendUvarint(g.pages[last], uint64(len(key)))
	p = append(p, key...)
	g.pages[last] = binary.AppendVarint(p, lease)
	g.n++
}

// all goes through the list in the order of add. The keys alias it.
func (g *gathered) all() iter.Seq2[[]byte, int64] {
	return func(yield func([]byte, int64) bool) {
		at := g.at
		for _, p := range g.pages[min(g.from, len(g.pages)):] {
			for p = p[at:]; len(p) > 0; {
				size, n := binary.Uvarint(p)
				key := p[n : n+int(size) : n+int(size)]
				p = p[n+int(size):]
				lease, n := binary.Varint(p)
				p = p[n:]
				if !yield(key, lease) {
					return
				}
			}
			at = 0
		}
	}
}

// reset forgets all lists. It keeps a page that is not large.
func (g *gathered) reset() {
	last := len(g.pages) - 1
	if last < 0 {
		return
	}
	if cap(g.pages[last]) > maxArenaBlock {
		*g = gathered{}
		return
	}
	g.pages[0] = g.pages[last][:0]
	clear(g.pages[1:])
	g.pages = g.pages[:1]
	g.start()
}
