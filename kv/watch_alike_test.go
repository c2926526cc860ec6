package kv

import (
	"fmt"
	"sync/atomic"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// TestWatchesTogether: one batch is for all watches that want the same of a
// revision, and for no other.
func TestWatchesTogether(t *testing.T) {
	d := newDriver(t)
	d.put("b", "1")
	g := d.NewWatches()
	defer g.Close()
	all := WatchSpec{Key: []byte{0}, End: []byte{0}}
	for i, spec := range []WatchSpec{
		all, all, {Key: all.Key, End: all.End, NoPut: true}, {Key: all.Key, End: all.End, NoDelete: true}, all, {Key: []byte("a")}, {Key: []byte("a")},
	} {
		_, err := g.Add(int64(i), spec)
		must(t, err)
	}
	d.do(&pb.TxnRequest{Success: []*pb.RequestOp{putOp("a", "2"), deleteOp("b", "")}})
	told := map[string]string{}
	for more := true; more; {
		var b *WatchBatch
		var err error
		b, more, err = g.Poll()
		must(t, err)
		for _, e := range b.Events {
			told[fmt.Sprint(b.IDs)] += fmt.Sprintf(" %s %s@%d", e.Type, e.Kv.Key, e.Kv.ModRevision)
		}
	}
	want := fmt.Sprint(map[string]string{
		"[0 1]": " PUT a@3 DELETE b@3", "[2]": " DELETE b@3", "[3]": " PUT a@3", "[4]": " PUT a@3 DELETE b@3", "[5 6]": " PUT a@3",
	})
	if got := fmt.Sprint(told); got != want {
		t.Errorf("told\n%s, want\n%s", got, want)
	}
}

// TestWatchesAlike: watches that want the same are told together, each of them
// every event once and in order, also where one began later, lags, ends before it
// is told, or wants almost the same.
func TestWatchesAlike(t *testing.T) {
	var told, together atomic.Int64
	t.Cleanup(func() {
		if together.Load() < 100 {
			t.Errorf("%d events, %d batches for several watches: nothing was tried", told.Load(), together.Load())
		}
	})
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := newWatchWorld(t, seed)
			for range 300 {
				switch n := w.rnd.IntN(10); {
				case n < 3:
					w.watchAlike()
				case n < 4:
					w.remove()
				case n < 7:
					w.write()
				case n < 9:
					w.poll(w.rnd.IntN(len(w.groups)), w.rnd.IntN(4))
				default:
					w.settle()
				}
			}
			w.settle()
			told.Add(int64(w.told))
			together.Add(int64(w.together))
			for _, g := range w.groups {
				g.Close()
			}
			must(t, w.s.Close())
		})
	}
}

// watchAlike begins some watches of one of two spans, from now on.
func (w *watchWorld) watchAlike() {
	group := w.rnd.IntN(len(w.groups))
	span := pick(w.rnd, WatchSpec{Key: []byte("a")}, WatchSpec{Key: []byte{0}, End: []byte{0}})
	for range 1 + w.rnd.IntN(4) {
		spec := span
		switch w.rnd.IntN(8) {
		case 0:
			spec.NoPut = true
		case 1:
			spec.NoDelete = true
		case 2:
			spec.PrevKV = true
		}
		w.ids++
		c := &watching{id: w.ids, spec: spec}
		w.of[group][c.id] = c
		w.begin(group, c)
	}
}
