package kv

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/musterhq/muster/kv/internal/mvcc"
	"github.com/musterhq/muster/statemachine"
)

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

func (d *driver) applyRaw(cmd []byte) ([]statemachine.Result, error) {
	d.index++
	return d.Apply(d.index, []statemachine.Entry{{Index: d.index, Command: cmd, Wanted: true}})
}

// TestRecent: every key written after the durable index is known, as it was
// written last, and so is what is still known of others.
func TestRecent(t *testing.T) {
	r := newRand(1)
	c := newRecent(0)
	type write struct {
		at   uint64
		meta mvcc.Meta
	}
	last := map[string]write{}
	durable := uint64(0)
	for index := uint64(1); index < 60_000; index++ {
		key := fmt.Sprint(r.IntN(5000))
		m := mvcc.Meta{Create: 1, Version: int64(index)}
		c.put([]byte(key), m)
		last[key] = write{index, m}
		if r.IntN(3000) == 0 {
			durable += uint64(r.IntN(int(index - durable)))
			c.flushed(durable, index)
		}
		key = fmt.Sprint(r.IntN(5000))
		w, written := last[key]
		got, known := c.get([]byte(key))
		if known && got != w.meta || written && w.at > durable && !known {
			t.Fatalf("at %d, durable %d: key %s of %d: %+v, %v", index, durable, key, w.at, got, known)
		}
	}
	if len(c.old.slots) > 16<<10 {
		t.Errorf("%d slots for 5000 keys", len(c.old.slots))
	}
	if _, known := c.get([]byte("never")); known {
		t.Error("knows a key that was never written")
	}
}
