package kv

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/musterhq/muster/kv/internal/mvcc"
)

// TestWatchesShareHistory: watches that go through the past side by side read it
// once, narrow ones and wide ones, and have the very same events; one that comes
// later reads it for itself, and holds nobody back. Nothing is kept afterwards.
func TestWatchesShareHistory(t *testing.T) {
	d := newDriver(t)
	d.hub.limits.events, d.hub.limits.tail, d.hub.limits.inbox = 10, 1, 0
	const changes, dirs = 200, 8
	for i := range changes {
		d.put(fmt.Sprintf("k/%d/%03d", i%dirs, i), fmt.Sprint(i))
	}
	d.do(&pb.DeleteRangeRequest{Key: []byte("k/0/"), RangeEnd: []byte("k/00")}) // three chunks
	const deleted = changes / dirs
	groups := make([]*Watches, 3*dirs)
	for i := range groups {
		groups[i] = d.NewWatches()
		defer groups[i].Close()
		spec := WatchSpec{Key: fmt.Appendf(nil, "k/%d/", i%dirs), End: fmt.Appendf(nil, "k/%d0", i%dirs), From: 2}
		if i >= 2*dirs {
			spec.Key, spec.End = []byte("k/"), []byte("k0")
		}
		_, err := groups[i].Add(1, spec)
		must(t, err)
	}
	told := make([][]*mvccpb.Event, len(groups))
	poll := func(i int) (more bool) {
		t.Helper()
		b, more, err := groups[i].Poll()
		must(t, err)
		if b != nil {
			told[i] = append(told[i], b.Events...)
		}
		return more
	}
	late := len(groups) - 1
	for busy := true; busy; {
		busy = false
		for i := range late {
			busy = poll(i) || busy
		}
	}
	if most := (changes+deleted)/10 + 1; d.hub.chunks.read > most {
		t.Errorf("history was read in %d chunks for %d watches, want at most %d", d.hub.chunks.read, late, most)
	}
	for poll(late) {
	}
	for i, events := range told {
		want := changes / dirs
		switch {
		case i >= 2*dirs:
			want = changes + deleted
		case i%dirs == 0:
			want += deleted
		}
		if len(events) != want {
			t.Errorf("watch %d is told of %d events, want %d", i, len(events), want)
		}
	}
	same := 0
	for i, e := range told[1] { // it is the second to come, and looks versions up for all others
		if e == told[dirs+1][i] {
			same++
		}
	}
	if want := len(told[1]); same != want {
		t.Errorf("two watches share %d events, want %d", same, want)
	}
	if n := len(d.hub.chunks.list); n > 0 || d.hub.lagging != 0 {
		t.Errorf("%d chunks are kept, %d watches behind, when all were told", n, d.hub.lagging)
	}
}

// TestChunkIsBounded: what others are spared of looking up takes no more than its
// room, and there are only so many chunks.
func TestChunkIsBounded(t *testing.T) {
	d := newDriver(t)
	d.hub.limits.events = 4
	value := make([]byte, chunkRoom/3)
	for i := range 20 {
		d.put(fmt.Sprintf("k/%02d", i), string(value))
	}
	d.hub.reset(21) // all of it is read from disk
	a, b := d.NewWatches(), d.NewWatches()
	defer a.Close()
	defer b.Close()
	for _, g := range []*Watches{a, b} {
		_, err := g.Add(1, WatchSpec{Key: []byte("k/"), End: []byte("k0"), From: 2})
		must(t, err)
	}
	for more, kept := true, 0; more; {
		var err error
		if _, _, err = a.Poll(); err == nil {
			_, more, err = b.Poll()
		}
		must(t, err)
		for _, r := range d.hub.chunks.list {
			n := 0
			for i := range r.c.events {
				if r.c.events[i].found.Load() != nil {
					n++
				}
			}
			if kept = max(kept, n); n > 2 {
				t.Errorf("%d versions of %d bytes are kept in a chunk", n, len(value))
			}
		}
		if n := len(d.hub.chunks.list); n > maxChunks {
			t.Errorf("%d chunks", n)
		}
		if !more && kept == 0 {
			t.Error("nothing was kept for the other watch")
		}
	}
}

// TestChunkReadOnce: who wants a chunk that is being read waits for it; one that
// could not be read is tried again.
func TestChunkReadOnce(t *testing.T) {
	var cs chunks
	at := mvcc.Revision{Main: 5}
	reading, goOn := make(chan struct{}), make(chan error)
	read := func() (*chunk, error) {
		close(reading)
		if err := <-goOn; err != nil {
			return nil, err
		}
		return &chunk{from: at, next: mvcc.Revision{Main: 7}}, nil
	}
	for _, want := range []error{errCut, nil} {
		reading = make(chan struct{})
		var readers sync.WaitGroup
		readers.Go(func() {
			if _, err := cs.get(at, &watcher{}, read); !errors.Is(err, want) {
				t.Errorf("who reads gets %v, want %v", err, want)
			}
		})
		<-reading
		r, mine := cs.find(at)
		if mine {
			t.Fatal("it is read twice")
		}
		goOn <- want
		<-r.done
		readers.Wait()
		if !errors.Is(r.err, want) {
			t.Errorf("who waits gets %v, want %v", r.err, want)
		}
	}
	for main, there := range map[int64]bool{4: false, 5: true, 6: true, 7: false} {
		if _, mine := cs.find(mvcc.Revision{Main: main}); mine == there {
			t.Errorf("revision %d: there is %v, want %v", main, !mine, there)
		}
	}
}
