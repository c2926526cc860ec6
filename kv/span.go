package kv

import "github.com/musterhq/muster/kv/internal/mvcc"

// span is what a request's key and range_end mean.
type span struct {
	from   []byte
	to     []byte // exclusive; unless single or open
	single bool   // from alone
	open   bool   // all from on
}

// spanOf reads etcd's convention: no range_end is one key, and the range_end
// 00 is no upper end.
func spanOf(key, end []byte) span {
	switch {
	case len(end) == 0:
		return span{from: key, single: true}
	case len(end) == 1 && end[0] == 0:
		return span{from: key, open: true}
	}
	return span{from: key, to: end}
}

// bounds gives the span's limits in Pebble's order. It is not for a single key.
func (s span) bounds() (lower, upper []byte) { return s.appendBounds(nil, nil) }

// appendBounds is bounds, appended to what there is of each.
func (s span) appendBounds(lower, upper []byte) ([]byte, []byte) {
	lower = mvcc.AppendBound(lower, s.from)
	if s.open {
		return lower, mvcc.AppendEnd(upper)
	}
	return lower, mvcc.AppendBound(upper, s.to)
}
