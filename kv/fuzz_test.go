package kv

import (
	"bytes"
	"slices"
	"testing"
)

// FuzzDecodeState: the store's own record is what was written, by this version or
// the one before, or refused.
func FuzzDecodeState(f *testing.F) {
	f.Add((&state{applied: 1, current: 2, compacted: 3}).append(nil))
	f.Add(append([]byte{oldFormat}, make([]byte, stateLen-1)...))
	f.Add([]byte{stateFormat})
	f.Add((&state{applied: 1, current: 2, compacted: 3, unfinished: true}).append(nil))
	f.Add([]byte{0xff, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		st, err := decodeState(b)
		if err != nil {
			return
		}
		want := slices.Clone(b)
		if want[0] == oldFormat {
			want[0] = stateFormat // what an older version wrote is written anew in this one's format
		}
		if got := st.append(nil); !bytes.Equal(got, want) {
			t.Fatalf("%x was read as what is written %x", b, got)
		}
	})
}
