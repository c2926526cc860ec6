package formation

import "sync/atomic"

// seen is the set of places that were come to, by key, and from where each was
// first come to. Any number of goroutines may put.
type seen struct {
	keys  []atomic.Uint64 // open addressing; 0: free
	from  []uint32        // slot of the place before; the first place is its own
	count atomic.Int64
}

// newSeen makes room for so many places.
func newSeen(places int) *seen {
	size := 1 << 12
	for size < places*3/2 {
		size *= 2
	}
	return &seen{keys: make([]atomic.Uint64, size), from: make([]uint32, size)}
}

// put adds a key unless it is there, and says which.
func (s *seen) put(key uint64, from uint32) (slot uint32, added bool) {
	mask := uint64(len(s.keys) - 1)
	for i := key & mask; ; i = (i + 1) & mask {
		k := s.keys[i].Load()
		if k == 0 && s.keys[i].CompareAndSwap(0, key) {
			s.from[i] = from
			s.count.Add(1)
			return uint32(i), true
		}
		if k == key || s.keys[i].Load() == key {
			return uint32(i), false
		}
	}
}

// way lists the keys from the first place to the one in slot.
func (s *seen) way(slot uint32) []uint64 {
	var keys []uint64
	for {
		keys = append(keys, s.keys[slot].Load())
		if s.from[slot] == slot {
			break
		}
		slot = s.from[slot]
	}
	for i, j := 0, len(keys)-1; i < j; i, j = i+1, j-1 {
		keys[i], keys[j] = keys[j], keys[i]
	}
	return keys
}
