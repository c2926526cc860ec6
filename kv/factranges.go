package kv

import (
	"cmp"
	"fmt"
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

// dropFacts removes the facts of all ranges, which take memory and not those.
func (a *applier) dropFacts(rs factRanges) {
	if len(rs) == 0 {
		return
	}
	f := &a.facts
	for k, v := range f.newest {
		if v != nil && rs.hold(k) {
			f.put(k, nil)
		}
	}
	n := len(f.dropped)
	f.onRefusal(func() { f.dropped = f.dropped[:n] })
	f.dropped = append(f.dropped, rs)
}

// isDropped says that the fact of the database, if there is one, is gone.
func (f *facts) isDropped(key []byte) bool {
	return slices.ContainsFunc(f.dropped, func(rs factRanges) bool { return rs.hold(string(key)) })
}

// encodeDropped comes before what was written beside and after the ranges.
func (f *facts) encodeDropped(b *pebble.Batch) error {
	for _, rs := range f.dropped {
		for _, r := range rs {
			if err := b.DeleteRange([]byte(r.lower), []byte(r.upper), nil); err != nil {
				return fmt.Errorf("remove facts from %q: %w", r.lower, err)
			}
		}
	}
	return nil
}
