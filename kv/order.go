package kv

import "slices"

// order lists things by an index each, in an order that is asked for now and
// then. What is added between is few or many, and sorted in at the next question:
// few cost a search each, and that what sorts behind them is moved.
type order struct {
	at     []int32
	sorted int // the first of at, up to here, are in order
}

func (o *order) add(i int32) { o.at = append(o.at, i) }

// settle puts all in order.
func (o *order) settle(compare func(a, b int32) int) {
	old, end := o.at[:o.sorted], len(o.at)
	if len(old) == end {
		return
	}
	slices.SortFunc(o.at[o.sorted:], compare)
	added := slices.Clone(o.at[o.sorted:])
	for _, i := range slices.Backward(added) {
		before, _ := slices.BinarySearchFunc(old, i, compare)
		end -= copy(o.at[end-(len(old)-before):], old[before:])
		end--
		o.at[end], old = i, old[:before]
	}
	o.sorted = len(o.at)
}

// keep drops all indexes from n on.
func (o *order) keep(n int32) {
	at, sorted := o.at[:0], 0
	for place, i := range o.at {
		if i >= n {
			continue
		}
		if at = append(at, i); place < o.sorted {
			sorted++
		}
	}
	o.at, o.sorted = at, sorted
}

func (o *order) reset() { o.at, o.sorted = o.at[:0], 0 }
