package kv

import (
	"bytes"
	"testing"
)

// TestGathered: lists come back as they were given, also after others and after
// a reset, and what was listed before is not written over.
func TestGathered(t *testing.T) {
	rnd := newRand(7)
	var g gathered
	for range 20 {
		var kept [][2][]byte
		for range 1 + rnd.IntN(4) {
			var keys [][]byte
			var leases []int64
			g.start()
			for range rnd.IntN(300) {
				key := bytes.Repeat([]byte{byte(rnd.IntN(256))}, pick(rnd, 0, 1, 30, 200, 5000))
				lease := pick(rnd, 0, 1, -1, 1<<62, int64(-1<<63))
				g.add(key, lease)
				keys, leases = append(keys, key), append(leases, lease)
			}
			i := 0
			for key, lease := range g.all() {
				if i >= len(keys) || !bytes.Equal(key, keys[i]) || lease != leases[i] {
					t.Fatalf("%d of %d: %q %d", i, len(keys), key, lease)
				}
				kept = append(kept, [2][]byte{key, keys[i]})
				i++
			}
			if i != len(keys) || g.n != i {
				t.Fatalf("%d keys and n %d, want %d", i, g.n, len(keys))
			}
		}
		for _, k := range kept {
			if !bytes.Equal(k[0], k[1]) {
				t.Fatalf("%q has become %q", k[1], k[0])
			}
		}
		g.reset()
		for range g.all() {
			t.Fatal("a key after a reset")
		}
	}
}
