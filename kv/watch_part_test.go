package kv

import (
	"fmt"
	"slices"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// TestPartOfWhatIsDue: where previous versions are too large for one batch of
// what is due to a watch, it is told of the rest, in order, and of what became
// due meanwhile.
func TestPartOfWhatIsDue(t *testing.T) {
	d := newDriver(t)
	d.hub.limits = watchLimits{inbox: 16 << 20, tail: 16 << 20, due: 64, revisions: 1, bytes: 3 * pageEventBytes, events: 1, part: 1}
	d.put("k", "1")
	g := d.NewWatches()
	defer g.Close()
	_, err := g.Add(1, WatchSpec{Key: []byte("k"), PrevKV: true})
	must(t, err)
	for i := range 6 {
		d.put("k", fmt.Sprint(i+2))
	}
	var told []string
	for more := true; more; {
		var b *WatchBatch
		b, more, err = g.Poll()
		must(t, err)
		if b == nil {
			continue
		}
		if _, ok := g.Progress(1); ok && len(told) < 5 {
			t.Errorf("after %q it has been told everything", told)
		}
		for _, e := range b.Events {
			told = append(told, fmt.Sprintf("%d:%s>%s", e.Kv.ModRevision, e.PrevKv.Value, e.Kv.Value))
		}
		if len(told) == 2 {
			d.put("k", "last")
		}
	}
	if want := []string{"3:1>2", "4:2>3", "5:3>4", "6:4>5", "7:5>6", "8:6>7", "9:7>last"}; !slices.Equal(told, want) {
		t.Errorf("told of %q, want %q", told, want)
	}
}

// TestPartsAreBounded: a watch of a large delete with what was before takes no
// more at once than a part, and one event.
func TestPartsAreBounded(t *testing.T) {
	for _, prev := range []bool{false, true} {
		d := newDriver(t)
		d.hub.limits.part = 2000
		for i := range 100 {
			d.put(fmt.Sprintf("k/%03d", i), fmt.Sprintf("%500d", i))
		}
		g := d.NewWatches()
		rev, err := g.Add(1, WatchSpec{Key: []byte("k/"), End: []byte("k0"), PrevKV: prev})
		must(t, err)
		d.applier.limits.first, d.applier.limits.then = 1000, 1000
		d.do(&pb.DeleteRangeRequest{Key: []byte("k/"), RangeEnd: []byte("k0")})
		n := 0
		for more := true; more; {
			var b *WatchBatch
			b, more, err = g.Poll()
			must(t, err)
			if b == nil {
				continue
			}
			size := 0
			for _, e := range b.Events {
				if want := fmt.Sprintf("k/%03d", n); string(e.Kv.Key) != want || e.Kv.ModRevision != rev+1 || prev != (len(e.PrevKv.GetValue()) == 500) {
					t.Fatalf("event %d: %v", n, e)
				}
				size += len(e.Kv.Key) + pageEventBytes + len(e.PrevKv.GetKey()) + len(e.PrevKv.GetValue())
				n++
			}
			if size > 2000+700 {
				t.Errorf("a batch of %d bytes", size)
			}
			if b.Partial != (n < 100) {
				t.Errorf("after %d events: partial is %v", n, b.Partial)
			}
		}
		if n != 100 {
			t.Errorf("%d events", n)
		}
		g.Close()
	}
}

// TestWrittenBetweenParts: what is written while one watch is told of a revision in
// parts is work that is left when that is done, though nobody noted it meanwhile.
func TestWrittenBetweenParts(t *testing.T) {
	d := newDriver(t)
	d.hub.limits.part, d.hub.limits.tail = 1, 1
	d.hub.limits.few = 0 // Apply leaves it to others
	g := d.NewWatches()
	defer g.Close()
	d.do(&pb.TxnRequest{Success: []*pb.RequestOp{putOp("k/1", "a"), putOp("k/2", "b")}})
	_, err := g.Add(1, WatchSpec{Key: []byte("k/"), End: []byte("k0"), From: 2})
	must(t, err)
	_, err = g.Add(2, WatchSpec{Key: []byte("other")})
	must(t, err)
	b, more, err := g.Poll()
	must(t, err)
	if b == nil || !b.Partial || !more {
		t.Fatalf("polled %+v, more %v; want a part", b, more)
	}
	d.put("other", "c")
	if got := pollAll(t, g); got != " k/2=b@2 other=c@3" {
		t.Errorf("told of%s", got)
	}
}
