package kv

import (
	"bytes"
	"slices"
)

// permittedRange is [from, to); with to nil, all from on.
type permittedRange struct{ from, to []byte }

func permittedRangeOf(key, end []byte) permittedRange {
	s := spanOf(key, end)
	switch {
	case s.single:
		return permittedRange{key, append(bytes.Clone(key), 0)}
	case s.open:
		return permittedRange{from: key}
	}
	return permittedRange{key, end}
}

// keySet is a set of keys: after merge sorted, and no two of its ranges touch.
type keySet []permittedRange

func (s *keySet) add(key, end []byte) { *s = append(*s, permittedRangeOf(key, end)) }

func (s *keySet) merge() {
	slices.SortFunc(*s, func(a, b permittedRange) int { return bytes.Compare(a.from, b.from) })
	out := (*s)[:0]
	for _, r := range *s {
		last := len(out) - 1
		if last < 0 || out[last].to != nil && bytes.Compare(r.from, out[last].to) > 0 {
			out = append(out, r)
		} else if !reaches(out[last].to, r.to) {
			out[last].to = r.to
		}
	}
	*s = out
}

// reaches says whether a range that ends at to goes on until end.
func reaches(to, end []byte) bool {
	return to == nil || end != nil && bytes.Compare(end, to) <= 0
}

// covers says whether all keys that a request names, by key and range_end, are
// in the set. As in etcd, a range that ends before it begins counts as its
// first key.
func (s keySet) covers(key, end []byte) bool {
	r := permittedRangeOf(key, end)
	i, found := slices.BinarySearchFunc(s, r.from, func(k permittedRange, from []byte) int { return bytes.Compare(k.from, from) })
	if !found {
		i--
	}
	return i >= 0 && (s[i].to == nil || bytes.Compare(r.from, s[i].to) < 0) && reaches(s[i].to, r.to)
}
