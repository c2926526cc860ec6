package mvcc

import (
	"bytes"

	"github.com/cockroachdb/pebble/v2"
)

// NewComparer returns the order of the store: plain bytes, with a Split that
// tells a user key from its versions. The name is written into every store;
// a change of the encoding needs another one.
func NewComparer() *pebble.Comparer {
	c := *pebble.DefaultComparer
	c.Name = "muster.mvcc.v1"
	c.Split = split
	c.Separator = separator
	c.Successor = successor
	c.ImmediateSuccessor = immediateSuccessor
	return &c
}

// separator shortens only across prefixes. Within one user key the result is
// a itself: a cut suffix would save little and be no version.
func separator(dst, a, b []byte) []byte {
	ap, bp := a[:split(a)], b[:split(b)]
	if bytes.Equal(ap, bp) {
		return append(dst, a...)
	}
	n := len(dst)
	dst = pebble.DefaultComparer.Separator(dst, ap, bp)
	if bytes.Compare(dst[n:], a) < 0 { // it is ap, which sorts before its versions
		dst = append(dst[:n], a...)
	}
	return dst
}

func successor(dst, a []byte) []byte {
	n := len(dst)
	dst = pebble.DefaultComparer.Successor(dst, a[:split(a)])
	if bytes.Compare(dst[n:], a) < 0 {
		dst = append(dst[:n], a...)
	}
	return dst
}

// immediateSuccessor gives the next prefix. Keys that extend "… 00" have that
// very prefix, so that the next one is "… 01".
func immediateSuccessor(dst, a []byte) []byte {
	dst = append(dst, a...)
	if n := len(dst); len(a) > 0 && dst[n-1] == terminator {
		dst[n-1]++
		return dst
	}
	return append(dst, 0)
}
