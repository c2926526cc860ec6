package differential

import (
	"fmt"
	"math/rand/v2"
)

// gen draws what a program is made of. All of it comes from one seed.
type gen struct {
	*rand.Rand
	writes int64 // about how many revisions the program has made so far
	many   bool  // there are many keys
	lease  bool  // puts name leases
	slow   bool  // the program takes so long that the shortest leases end in it

	learner bool   // there is one
	added   uint64 // how many members were added so far
}

func newGen(seed uint64) *gen { return &gen{Rand: rand.New(rand.NewPCG(seed, 0x6d7573746572))} }

// one in n.
func (g *gen) one(n int) bool { return g.IntN(n) == 0 }

func pick[T any](g *gen, of ...T) T { return of[g.IntN(len(of))] }

// keyNames are few, so that requests meet; some are each other's prefix or
// successor, one is the first key that there can be and one the last but some.
var keyNames = []string{"a", "a\x00", "aa", "ab", "b", "ba", "c", "\x00", "\xff", "\xff\xff", "foo", "fop"}

func (g *gen) key() []byte {
	if g.one(60) {
		return nil
	}
	if g.many && g.one(2) {
		return manyKey(g.IntN(manyKeys))
	}
	return []byte(keyNames[g.IntN(len(keyNames))])
}

// manyKeys is how many keys begin with k where there are many: more than a
// sort treats alike, or a stream sends in one message.
const manyKeys = 40

func manyKey(i int) []byte { return fmt.Appendf(nil, "k%02d", i) }

// end is of a range: none, a key's, everything from the key on, or a prefix's.
func (g *gen) end(key []byte) []byte {
	switch g.IntN(6) {
	case 0, 1:
		return nil
	case 2:
		return []byte{0}
	case 3:
		return prefixEnd(key)
	default:
		return g.key()
	}
}

func prefixEnd(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] < 0xff {
			end[i]++
			return end[:i+1]
		}
	}
	return []byte{0}
}

// revision is mostly one that there was, and sometimes none, negative or to come.
func (g *gen) revision() int64 {
	switch g.IntN(12) {
	case 0:
		return -1 - g.Int64N(3)
	case 1:
		return g.writes + 1 + g.Int64N(4)
	case 2:
		return 1 << 60
	default:
		return 1 + g.Int64N(g.writes+1)
	}
}

// sometimes is a revision in one of n cases, and 0 else.
func (g *gen) sometimes(n int) int64 {
	if !g.one(n) {
		return 0
	}
	return g.revision()
}

func (g *gen) value() []byte {
	return pick(g, nil, []byte("x"), []byte("y"), []byte("longer"), []byte{0})
}
