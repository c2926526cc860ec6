package mvcc

import (
	"bytes"
	"encoding/binary"
)

// The keyspaces. Their order on disk is the order of these bytes.
const (
	attachSpace = 'a'
	eventSpace  = 'e'
	keySpace    = 'k'
	leaseSpace  = 'l'
	metaSpace   = 'm'
	authSpace   = 'u'
)

// SuffixLen is the length of a version's suffix, in bytes.
const SuffixLen = 8 + 4

const (
	escape     = 0x01 // starts a two-byte sequence in an escaped user key
	escapedNul = 0x01 // 01 01 stands for the byte 00
	escapedEsc = 0x02 // 01 02 stands for the byte 01
	terminator = 0x00 // ends the user key
)

// Revision orders changes: Main counts write commands, Sub the changes
// within one.
type Revision struct {
	Main int64
	Sub  uint32
}

// Newest is the sub-revision that reading "at main" means: every change of it.
const Newest = ^uint32(0)

// AppendPrefix appends the Pebble prefix of a user key: everything of a
// version's key but its suffix.
func AppendPrefix(dst, user []byte) []byte {
	dst = append(dst, keySpace)
	dst = appendEscaped(dst, user)
	return append(dst, terminator)
}

// AppendSuffix appends the part of a version's key that holds its revision.
func AppendSuffix(dst []byte, r Revision) []byte {
	dst = binary.BigEndian.AppendUint64(dst, ^uint64(r.Main))
	return binary.BigEndian.AppendUint32(dst, ^r.Sub)
}

// AppendBound appends a Pebble key that sorts before every version of every
// user key >= user, and after every version of a lower one. It serves as
// lower and as upper bound of ranges.
func AppendBound(dst, user []byte) []byte {
	return appendEscaped(append(dst, keySpace), user)
}

// AppendEnd appends the bound above every version of every user key.
func AppendEnd(dst []byte) []byte { return append(dst, keySpace+1) }

// SplitVersion takes a version's Pebble key apart. user aliases key, or newBuf
// (buf, grown as needed) when the user key had to be unescaped; ok is false
// when key is no version.
func SplitVersion(key, buf []byte) (user, newBuf []byte, r Revision, ok bool) {
	n := len(key) - SuffixLen
	if n < 2 || key[0] != keySpace || key[n-1] != terminator {
		return nil, buf, Revision{}, false
	}
	r = Revision{
		Main: int64(^binary.BigEndian.Uint64(key[n:])),
		Sub:  ^binary.BigEndian.Uint32(key[n+8:]),
	}
	user = key[1 : n-1]
	if bytes.IndexByte(user, escape) < 0 {
		return user, buf, r, true
	}
	buf, ok = appendUnescaped(buf[:0], user)
	return buf, buf, r, ok
}

// PrefixOf cuts the suffix off a version's key.
func PrefixOf(key []byte) []byte { return key[:len(key)-SuffixLen] }

func appendEscaped(dst, user []byte) []byte {
	if bytes.IndexByte(user, terminator) < 0 && bytes.IndexByte(user, escape) < 0 {
		return append(dst, user...)
	}
	for _, b := range user {
		switch b {
		case terminator:
			dst = append(dst, escape, escapedNul)
		case escape:
			dst = append(dst, escape, escapedEsc)
		default:
			dst = append(dst, b)
		}
	}
	return dst
}

func appendUnescaped(dst, esc []byte) ([]byte, bool) {
	for {
		i := bytes.IndexByte(esc, escape)
		if i < 0 {
			return append(dst, esc...), true
		}
		if i+1 >= len(esc) || esc[i+1] < escapedNul || esc[i+1] > escapedEsc {
			return dst, false
		}
		dst = append(append(dst, esc[:i]...), esc[i+1]-1)
		esc = esc[i+2:]
	}
}

// split is the comparer's Split: the length of the prefix. Outside of the
// versions' keyspace it means nothing, but stays consistent with the order.
func split(key []byte) int {
	if i := bytes.IndexByte(key, terminator); i >= 0 {
		return i + 1
	}
	return len(key) // a bound or a separator: no suffix
}
