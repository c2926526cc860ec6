package kv

import (
	"cmp"
	"slices"
	"testing"
)

// TestOrder: it is that of a sort of everything, whatever was added and dropped
// between.
func TestOrder(t *testing.T) {
	rnd := newRand(3)
	keys := rnd.Perm(3000)
	compare := func(a, b int32) int { return cmp.Compare(keys[a], keys[b]) }
	var o order
	var all []int32
	for next := int32(0); int(next) < len(keys)-300; {
		for range pick(rnd, 0, 1, 3, 300) {
			o.add(next)
			all = append(all, next)
			next++
		}
		if rnd.IntN(3) == 0 {
			n := next - int32(rnd.IntN(20))
			o.keep(n)
			all = slices.DeleteFunc(all, func(i int32) bool { return i >= n })
		}
		if rnd.IntN(2) == 0 {
			o.settle(compare)
			slices.SortFunc(all, compare)
			if !slices.Equal(o.at, all) {
				t.Fatalf("of %d, order is %v, want %v", next, o.at, all)
			}
		}
	}
	o.reset()
	o.add(2)
	if o.settle(compare); !slices.Equal(o.at, []int32{2}) {
		t.Errorf("having begun anew, order is %v", o.at)
	}
}

// TestOrderOfOneMore: what is in order is not sorted anew for each one more, of
// which there may be as many.
func TestOrderOfOneMore(t *testing.T) {
	rnd := newRand(4)
	const many = 5000
	keys := rnd.Perm(many)
	var o order
	compared := 0
	for i := range int32(many) {
		o.add(i)
		o.settle(func(a, b int32) int { compared++; return cmp.Compare(keys[a], keys[b]) })
	}
	if compared > 20*many {
		t.Errorf("%d comparisons for %d that came one by one", compared, many)
	}
}
