package kv

import (
	"bytes"
	"hash/maphash"

	"github.com/musterhq/muster/kv/internal/mvcc"
)

// metaCache remembers the newest committed meta of keys written lately, so
// that writing them again needs no read. Each key has one slot that it may be
// in; a collision evicts. It belongs to the applier, and must be emptied when
// the database is replaced.
type metaCache struct {
	seed  maphash.Seed // differs between members; decides what is kept, never what is answered
	slots []metaSlot   // a power of two; nil when off
}

type metaSlot struct {
	hash uint64
	key  []byte // nil: the slot is free
	meta mvcc.Meta
}

// maxCachedKey bounds the memory of the cache, in bytes per slot.
const maxCachedKey = 256

func newMetaCache(slots int) metaCache {
	n := 1
	for n < slots {
		n <<= 1
	}
	return metaCache{seed: maphash.MakeSeed(), slots: make([]metaSlot, n)}
}

func (c *metaCache) slot(key []byte) (*metaSlot, uint64) {
	if len(c.slots) == 0 || len(key) > maxCachedKey || len(key) == 0 {
		return nil, 0
	}
	h := maphash.Bytes(c.seed, key)
	return &c.slots[h&uint64(len(c.slots)-1)], h
}

func (c *metaCache) get(key []byte) (mvcc.Meta, bool) {
	s, h := c.slot(key)
	if s == nil || s.hash != h || !bytes.Equal(s.key, key) {
		return mvcc.Meta{}, false
	}
	return s.meta, true
}

// put copies key.
func (c *metaCache) put(key []byte, m mvcc.Meta) {
	s, h := c.slot(key)
	if s == nil {
		return
	}
	s.hash, s.meta = h, m
	s.key = append(s.key[:0], key...)
}

func (c *metaCache) clear() { clear(c.slots) }
