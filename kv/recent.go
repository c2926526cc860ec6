package kv

import (
	"bytes"
	"hash/maphash"

	"github.com/musterhq/muster/kv/internal/mvcc"
)

// recent knows the newest meta of every key written since a raft index that
// Pebble has made durable since. So a key that it does not know has its newest
// version in a table on disk, if anywhere, and the applier need not look into
// the memtables: a search there touches some twenty cache lines, while the
// tables' bloom filters tell most absent keys in one each.
//
// It holds two tables. The young one takes all writes; once what it started
// from is durable, it becomes the old one and the one before is dropped. The
// size is bounded by that of the memtables, which hold the same keys.
//
// It belongs to the applier and starts anew when the database is replaced.
//
// One command can delete all keys there are. So much is not put into tables:
// it is flushed at once, after which there is nothing that must be known.
type recent struct {
	young, old recentTable

	most  int  // changes that are taken of one Apply call
	taken int  // of the current one
	stale bool // there were more: what it knows is wrong until it starts anew
}

func newRecent(applied uint64) recent {
	seed := maphash.MakeSeed()
	return recent{
		young: recentTable{seed: seed, from: applied}, old: recentTable{seed: seed, from: applied},
		most: maxRecentChanges,
	}
}

// maxRecentChanges of one Apply call take some 40 MiB.
const maxRecentChanges = 1 << 18

// take notes what an Apply call wrote, or a piece of it.
func (r *recent) take(changes []change) {
	if r.taken += len(changes); r.taken > r.most {
		r.stale = true
		return
	}
	for i := range changes {
		r.put(changes[i].key, changes[i].meta)
	}
}

// settleRecent flushes what was too much for recent, so that it can start anew.
func (s *Store) settleRecent(g *generation) error {
	a := &s.applier
	if !a.recent.stale {
		return nil
	}
	if err := s.flush(g); err != nil {
		return err
	}
	most := a.recent.most
	a.recent = newRecent(g.state.Load().applied)
	a.recent.most = most
	return nil
}

// flushed drops keys that the tables on disk have. durable is the index that
// they are at; applied is where the store is now.
func (r *recent) flushed(durable, applied uint64) {
	if durable < r.young.from {
		return
	}
	r.old, r.young = r.young, r.old
	r.young.reset(applied)
}

func (r *recent) get(key []byte) (mvcc.Meta, bool) {
	h := maphash.Bytes(r.young.seed, key)
	if s := r.young.find(h, key); s != nil {
		return s.meta, true
	}
	if s := r.old.find(h, key); s != nil {
		return s.meta, true
	}
	return mvcc.Meta{}, false
}

// put copies key. Version 0 says that it was deleted.
func (r *recent) put(key []byte, m mvcc.Meta) {
	h := maphash.Bytes(r.young.seed, key)
	if s := r.young.find(h, key); s != nil {
		s.meta = m
		return
	}
	r.young.add(h, key, m)
}

// recentTable is an open-addressing hash table without pointers to scan.
type recentTable struct {
	seed  maphash.Seed // differs between members; decides where keys lie and nothing else
	from  uint64       // holds the keys of all commands applied after this index, and up to the next table's
	slots []recentSlot // a power of two, at most three quarters in use
	used  int
	keys  recentKeys
}

type recentSlot struct {
	hash uint64
	key  recentKey
	meta mvcc.Meta
}

func (t *recentTable) find(h uint64, key []byte) *recentSlot {
	if t.used == 0 {
		return nil
	}
	mask := uint64(len(t.slots) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		s := &t.slots[i]
		if s.key.page == 0 {
			return nil
		}
		if s.hash == h && bytes.Equal(t.keys.at(s.key), key) {
			return s
		}
	}
}

// add takes a key that is not there yet.
func (t *recentTable) add(h uint64, key []byte, m mvcc.Meta) {
	if 4*(t.used+1) > 3*len(t.slots) {
		t.grow()
	}
	t.insert(recentSlot{hash: h, key: t.keys.add(key), meta: m})
	t.used++
}

func (t *recentTable) insert(s recentSlot) {
	mask := uint64(len(t.slots) - 1)
	i := s.hash & mask
	for t.slots[i].key.page != 0 {
		i = (i + 1) & mask
	}
	t.slots[i] = s
}

func (t *recentTable) grow() {
	old := t.slots
	t.slots = make([]recentSlot, max(1024, 2*len(old)))
	for _, s := range old {
		if s.key.page != 0 {
			t.insert(s)
		}
	}
}

// reset empties the table. It keeps its memory, unless most of it was idle.
func (t *recentTable) reset(from uint64) {
	t.from = from
	if 8*t.used < len(t.slots) {
		t.slots = nil
		t.keys = recentKeys{}
	}
	clear(t.slots)
	t.used = 0
	t.keys.reset()
}

// recentKeys stores keys in pages, so that growing copies nothing.
type recentKeys struct {
	pages [][]byte
	full  int // pages before this one are full
}

// recentKey says where a key lies. The zero value is none.
type recentKey struct {
	page        uint32 // from 1
	offset, len uint32
}

const recentPage = 256 << 10

func (k *recentKeys) at(r recentKey) []byte { return k.pages[r.page-1][r.offset : r.offset+r.len] }

func (k *recentKeys) add(key []byte) recentKey {
	for k.full < len(k.pages) && cap(k.pages[k.full])-len(k.pages[k.full]) < len(key) {
		k.full++
	}
	if k.full == len(k.pages) {
		k.pages = append(k.pages, make([]byte, 0, max(recentPage, len(key))))
	}
	p := &k.pages[k.full]
	at := recentKey{page: uint32(k.full + 1), offset: uint32(len(*p)), len: uint32(len(key))}
	*p = append(*p, key...)
	return at
}

func (k *recentKeys) reset() {
	for i := range k.pages {
		k.pages[i] = k.pages[i][:0]
	}
	k.full = 0
}
