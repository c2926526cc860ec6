package mvcc

import "encoding/binary"

// Meta is what a version holds beside key, value and its own revision.
type Meta struct {
	Create  int64 // main revision of the put that created the key
	Version int64 // puts since then, from 1; 0 says that the key does not exist
	Lease   int64 // ID of the lease, 0 for none
}

// MaxMetaLen bounds what [PutMeta] writes, in bytes.
const MaxMetaLen = 3 * binary.MaxVarintLen64

// PutMeta writes the head of a live version's value and returns its length.
// main is the revision of the version, and not lower than m.Create.
func PutMeta(dst []byte, main int64, m Meta) int {
	n := binary.PutUvarint(dst, uint64(main-m.Create))
	n += binary.PutUvarint(dst[n:], uint64(m.Version))
	return n + binary.PutUvarint(dst[n:], uint64(m.Lease))
}

// SplitValue takes the stored value of a version apart. A tombstone has
// Version 0 and no value. value aliases stored; ok is false when it is damaged.
func SplitValue(stored []byte, main int64) (m Meta, value []byte, ok bool) {
	if len(stored) == 0 {
		return Meta{}, nil, true
	}
	var part [3]uint64
	for i := range part {
		v, n := binary.Uvarint(stored)
		if n <= 0 {
			return Meta{}, nil, false
		}
		part[i], stored = v, stored[n:]
	}
	m = Meta{Create: main - int64(part[0]), Version: int64(part[1]), Lease: int64(part[2])}
	return m, stored, m.Version > 0 && m.Create > 0
}
