package kv

import (
	"bytes"
	"testing"
)

// FuzzDecodeState: the store's own record is what was written, or refused.
func FuzzDecodeState(f *testing.F) {
	f.Add((&state{applied: 1, current: 2, compacted: 3}).append(nil))
	f.Add([]byte{stateFormat})
	f.Add([]byte{0xff, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if st, err := decodeState(b); err == nil && !bytes.Equal(st.append(nil), b) {
			t.Fatalf("%x was read as what is written %x", b, st.append(nil))
		}
	})
}
