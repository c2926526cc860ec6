package kv

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/musterhq/muster/kv/internal/mvcc"
)

// TestWatchFromTheMark: a watch that starts at the compacted revision is told all
// of it, also after the purge and where it changes a key more than once; one that
// starts after it, what came then; one from before it, that this is compacted.
func TestWatchFromTheMark(t *testing.T) {
	d := newDriver(t)
	d.put("k/a", "1") // 2
	d.put("k/b", "1") // 3
	// A delete to the end may stand beside puts, as in etcd: see checkWrites.
	d.do(&pb.TxnRequest{Success: []*pb.RequestOp{putOp("k/a", "2"), deleteOp("k/a", "\x00"), putOp("k/b", "2")}}) // 4
	d.put("k/a", "3")                                                                                             // 5
	must(t, d.purged(4))
	for _, span := range []struct{ key, end, at4, at5 string }{
		{"k/", "k0", " k/a=2@4 k/a=@4 k/b=@4 k/b=2@4 k/a=3@5", " k/a=3@5"},
		{"k/a", "", " k/a=2@4 k/a=@4 k/a=3@5", " k/a=3@5"},
	} {
		g := d.NewWatches()
		for from, want := range map[int64]string{4: span.at4, 5: span.at5} {
			_, err := g.Add(from, WatchSpec{Key: []byte(span.key), End: []byte(span.end), From: from})
			must(t, err)
			if got := pollAll(t, g); got != want {
				t.Errorf("watch of %q from %d is told%s, want%s", span.key, from, got, want)
			}
		}
		_, err := g.Add(3, WatchSpec{Key: []byte(span.key), End: []byte(span.end), From: 3})
		must(t, err)
		if b, _, err := g.Poll(); err != nil || b == nil || b.Compacted != 4 {
			t.Errorf("watch of %q from before the mark: %v, %v", span.key, b, err)
		}
		g.Close()
	}
}

// TestWatchMissesNothingSilently: of what the event log names, a version that is
// gone is damage, at the compacted revision too.
func TestWatchMissesNothingSilently(t *testing.T) {
	d := newDriver(t)
	for rev := int64(2); rev <= 3; rev++ {
		d.put("k/a", fmt.Sprint(rev))
	}
	must(t, d.purged(3))
	lost := mvcc.AppendSuffix(mvcc.AppendPrefix(nil, []byte("k/a")), mvcc.Revision{Main: 3})
	must(t, d.live.db.Delete(lost, pebble.NoSync))
	g := d.NewWatches()
	defer g.Close()
	_, err := g.Add(1, WatchSpec{Key: []byte("k/"), End: []byte("k0"), From: 3})
	must(t, err)
	if b, _, err := g.Poll(); err == nil || !strings.Contains(err.Error(), "there is no such version") {
		t.Errorf("told %v, %v", b, err)
	}
}
