package kv

import (
	"bytes"
	"slices"
	"unsafe"

	"github.com/musterhq/muster/kv/internal/mvcc"
)

// change is one version written by the commands of the current Apply call.
type change struct {
	key, value []byte
	rev        mvcc.Revision
	meta       mvcc.Meta // Version 0: a tombstone
	older      int32     // index of the change of this key before it, or -1; set by index
}

// pending holds what the commands of one Apply call wrote, or of the current piece
// of one, until it goes to Pebble in one batch. It is how a command sees those before it.
//
// Its slices alias the commands, which is why reset must run before Apply
// returns.
//
// What was added is indexed when somebody asks for it: a command that deletes
// very many keys is often the only one of its call, and then nobody does.
type pending struct {
	changes []change
	grown   int              // bytes, about, that they take and no command brought
	indexed int              // of changes: as many are in newest and order
	newest  map[string]int32 // index of the newest change; the keys alias changes' keys
	order   order            // one index for each key of newest, by key
	arena   arena            // values that no command holds, and keys
	doomed  gathered         // keys that are deleted
}

func (p *pending) reset() {
	if cap(p.changes) > maxKeptChanges {
		*p = pending{}
		return
	}
	clear(p.changes) // let go of the commands
	p.changes, p.indexed, p.grown = p.changes[:0], 0, 0
	clear(p.newest)
	p.order.reset()
	p.arena.reset()
	p.doomed.reset()
}

// maxKeptChanges bounds the memory that is kept from one call for the next.
const maxKeptChanges = 64 << 10

// text makes a map key of b without a copy. b must stay as it is for as long
// as the map holds it, which here is until reset.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// add appends a version. key and value are kept until reset.
func (p *pending) add(c change) {
	c.older = -1
	if c.meta.Version == 0 {
		p.grown += tombstoneBytes(c.key)
	}
	p.changes = append(p.changes, c)
}

// grow makes room for n more changes.
func (p *pending) grow(n int) { p.changes = slices.Grow(p.changes, n) }

// index has at and within find all changes.
func (p *pending) index() {
	if p.newest == nil {
		p.newest = make(map[string]int32)
	}
	for ; p.indexed < len(p.changes); p.indexed++ {
		i, c := int32(p.indexed), &p.changes[p.indexed]
		if old, ok := p.newest[text(c.key)]; ok {
			c.older = old
		} else {
			p.order.add(i)
		}
		p.newest[text(c.key)] = i
	}
}

// at finds the version of key as of revision rev; nil when no change of this
// Apply call is that old.
func (p *pending) at(key []byte, rev int64) *change {
	if len(p.changes) == 0 {
		return nil
	}
	p.index()
	i, ok := p.newest[text(key)]
	if !ok {
		return nil
	}
	for ; i >= 0; i = p.changes[i].older {
		if c := &p.changes[i]; c.rev.Main <= rev {
			return c
		}
	}
	return nil
}

// rollback forgets all changes but the first n.
func (p *pending) rollback(n int) {
	if len(p.changes) == n {
		return
	}
	for i := p.indexed - 1; i >= n; i-- {
		c := &p.changes[i]
		if c.older >= 0 {
			p.newest[text(c.key)] = c.older
		} else {
			delete(p.newest, text(c.key))
		}
	}
	p.order.keep(int32(n))
	clear(p.changes[n:])
	p.changes, p.indexed = p.changes[:n], min(p.indexed, n)
}

// within lists the keys changed inside the span, sorted; one index of any of
// their changes each. The result is valid until the next add.
func (p *pending) within(s span) []int32 {
	p.index()
	p.order.settle(func(a, b int32) int { return bytes.Compare(p.changes[a].key, p.changes[b].key) })
	byKey := func(i int32, key []byte) int { return bytes.Compare(p.changes[i].key, key) }
	all := p.order.at
	lo, _ := slices.BinarySearchFunc(all, s.from, byKey)
	if s.open {
		return all[lo:]
	}
	hi, _ := slices.BinarySearchFunc(all, s.to, byKey)
	return all[lo:max(lo, hi)]
}

// arena hands out byte slices that live until reset, in few allocations.
type arena struct{ block []byte }

// The blocks of an arena double from the one size to the other, in bytes.
const (
	minArenaBlock = 1 << 10
	maxArenaBlock = 64 << 10
)

// clone copies b. It is never nil.
func (a *arena) clone(b []byte) []byte {
	if cap(a.block)-len(a.block) < len(b) {
		size := min(max(2*cap(a.block), minArenaBlock), maxArenaBlock)
		a.block = make([]byte, 0, max(size, len(b)))
	}
	n := len(a.block)
	a.block = append(a.block, b...)
	return a.block[n:len(a.block):len(a.block)]
}

// reset makes the newest block free for use again.
func (a *arena) reset() {
	if cap(a.block) > maxArenaBlock {
		a.block = nil
	}
	a.block = a.block[:0]
}
