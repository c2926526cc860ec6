package kv

import (
	"fmt"
	"math/rand/v2"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

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

// TestTooMuchIsNotRemembered: what one call changed beyond the bound takes no
// memory, not even until it is flushed.
func TestTooMuchIsNotRemembered(t *testing.T) {
	d := newDriver(t)
	a, g := &d.applier, d.live
	a.recent.most = 3
	for i, want := range []struct {
		puts, known int
		stale       bool
	}{{3, 3, false}, {4, 3, true}} {
		if err := a.start(g); err != nil {
			t.Fatal(err)
		}
		for j := range want.puts {
			cmd, err := EncodePut(&pb.PutRequest{Key: fmt.Append(nil, i, "/", j)})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := a.run(statemachine.Entry{Index: uint64(i + 1), Command: cmd}); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.commit(g, &state{applied: uint64(i + 1), current: a.begin}); err != nil {
			t.Fatal(err)
		}
		if a.recent.young.used != want.known || a.recent.stale != want.stale {
			t.Errorf("after %d changes: %d keys known, stale %v; want %+v", want.puts, a.recent.young.used, a.recent.stale, want)
		}
		if err := a.finish(); err != nil {
			t.Fatal(err)
		}
	}
}
