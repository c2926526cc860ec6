package kv

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"
)

// factRange are the facts of [lower, upper).
type factRange struct{ lower, upper string }

func (r factRange) compare(o factRange) int {
	return cmp.Or(strings.Compare(r.lower, o.lower), strings.Compare(r.upper, o.upper))
}

// factRanges are sorted and disjoint.
type factRanges []factRange

func (rs factRanges) hold(key string) bool {
	i, found := slices.BinarySearchFunc(rs, key, func(r factRange, key string) int { return strings.Compare(r.lower, key) })
	if found {
		return rs[i].lower < rs[i].upper
	}
	return i > 0 && key < rs[i-1].upper
}

// with is the union of both.
func (rs factRanges) with(more factRanges) factRanges {
	both := make(factRanges, 0, len(rs)+len(more))
	for len(rs) > 0 || len(more) > 0 {
		if len(rs) == 0 || len(more) > 0 && more[0].compare(rs[0]) < 0 {
			rs, more = more, rs
		}
		r, last := rs[0], len(both)-1
		switch rs = rs[1:]; {
		case r.lower >= r.upper: // it holds none
		case last >= 0 && r.lower <= both[last].upper:
			both[last].upper = max(both[last].upper, r.upper)
		default:
			both = append(both, r)
		}
	}
	return both
}

// dropFacts removes the facts of all ranges, which take memory and not those. own
// names those in them that commands of this call may have written.
func (a *applier) dropFacts(rs factRanges, own iter.Seq[string]) {
	if len(rs) == 0 {
		return
	}
	f := &a.facts
	for k := range own {
		if f.newest[k] != nil && rs.hold(k) {
			f.put(k, nil)
		}
	}
	before := f.dropped
	f.onRefusal(func() { f.dropped = before })
	f.dropped = before.with(rs)
}

// isDropped says that the fact of the database, if there is one, is gone.
func (f *facts) isDropped(key []byte) bool { return f.dropped.hold(text(key)) }

// encodeDropped comes before what was written beside and after the ranges.
func (f *facts) encodeDropped(b *pebble.Batch) error {
	for _, r := range f.dropped {
		if err := b.DeleteRange([]byte(r.lower), []byte(r.upper), nil); err != nil {
			return fmt.Errorf("remove facts from %q: %w", r.lower, err)
		}
	}
	return nil
}
