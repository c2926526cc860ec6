package kv

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"
)

// watching is a client with one watch, as it sees things, beside the model.
type watching struct {
	spec WatchSpec
	next int64 // it has been told everything older
	part int   // and as many events of this revision
	id   int64
}

// watchWorld is a world with watches, in a few groups.
type watchWorld struct {
	*world
	groups   []*Watches
	of       []map[int64]*watching // by group
	ids      int64
	told     int           // events
	gone     int           // watches that compaction overtook
	together int           // batches for several watches
	parts    int           // batches that ended in the midst of a revision
	going    map[int]int64 // group: the watch that such a batch was for
}

func newWatchWorld(t *testing.T, seed uint64) *watchWorld {
	w := &watchWorld{world: newWorld(t, seed), groups: make([]*Watches, 3), going: map[int]int64{}}
	for range w.groups {
		w.of = append(w.of, map[int64]*watching{})
	}
	w.follow()
	return w
}

func (w *watchWorld) limits() watchLimits {
	return watchLimits{
		inbox: pick(w.rnd, 0, 600, 2000, 16<<20), tail: pick(w.rnd, 0, 600, 2000, 16<<20), few: pick(w.rnd, 0, 2000), due: pick(w.rnd, 1, 3, 64),
		alike:     pick(w.rnd, 1, 2, 64),
		revisions: pick(w.rnd, 1, 3, 1000), bytes: pick(w.rnd, 1, 300, 1<<20), events: pick(w.rnd, 1, 7, 20_000),
		part: pick(w.rnd, 150, 700, 16<<20),
	}
}

// follow has the groups watch the store that runs now, from where they were.
func (w *watchWorld) follow() {
	w.s.hub.limits = w.limits()
	for i := range w.groups {
		w.groups[i] = w.s.NewWatches()
		delete(w.going, i)
		for _, c := range w.of[i] {
			c.spec.From, c.part = c.next, 0
			w.begin(i, c)
		}
	}
}

func (w *watchWorld) begin(group int, c *watching) {
	w.t.Helper()
	rev, err := w.groups[group].Add(c.id, c.spec)
	must(w.t, err)
	if rev != w.model.rev {
		w.t.Fatalf("watch added at revision %d, want %d", rev, w.model.rev)
	}
	if c.next = c.spec.From; c.next <= 0 {
		c.next = w.model.rev + 1
	}
}

func (w *watchWorld) watch() {
	group := w.rnd.IntN(len(w.groups))
	r := w.requests()
	w.ids++
	c := &watching{id: w.ids, spec: WatchSpec{
		Key: r.key(), End: r.end(), PrevKV: r.IntN(3) == 0, NoPut: r.IntN(6) == 0, NoDelete: r.IntN(6) == 0,
		From: pick(w.rnd, 0, 0, -1, r.atRev(), r.rev-int64(r.IntN(60)), r.rev+int64(r.IntN(60)), 1),
	}}
	w.of[group][c.id] = c
	w.begin(group, c)
}

// poll has one group do some pieces of work, or all that there is.
func (w *watchWorld) poll(group, pieces int) {
	w.t.Helper()
	for range pieces {
		b, more, err := w.groups[group].Poll()
		must(w.t, err)
		if b != nil {
			w.check(group, b)
		}
		if !more {
			break
		}
	}
}

// check holds a batch against the model, for each of the watches that it is for.
func (w *watchWorld) check(group int, b *WatchBatch) {
	w.t.Helper()
	if len(b.IDs) == 0 || len(b.IDs) > 1 && (b.Partial || b.Compacted != 0) {
		w.t.Fatalf("batch %+v is for %d watches", b, len(b.IDs))
	}
	for _, id := range b.IDs {
		w.checkOne(group, id, b)
	}
	if len(b.IDs) > 1 {
		w.together++
	}
}

// checkOne holds what a watch is told against the model: it is the next events of
// the watch, and none of its last revision is missing, but for what comes with the
// next batch of the group.
func (w *watchWorld) checkOne(group int, id int64, b *WatchBatch) {
	w.t.Helper()
	c := w.of[group][id]
	if c == nil {
		w.t.Fatalf("batch for watch %d, which is not there", id)
	}
	if going, is := w.going[group]; is && going != id {
		w.t.Fatalf("batch for watch %d, when watch %d has a part of revision %d", id, going, w.of[group][going].next)
	}
	delete(w.going, group)
	if b.Compacted != 0 {
		if b.Compacted != w.model.compacted || c.next >= b.Compacted || len(b.Events) > 0 {
			w.t.Fatalf("%+v of watch %+v; compacted is %d", b, c, w.model.compacted)
		}
		w.gone++
		delete(w.of[group], id)
		return
	}
	last := b.Events[len(b.Events)-1].Kv.ModRevision
	want := w.expected(c, last)[c.part:]
	if b.Partial && len(b.Events) < len(want) && want[len(b.Events)].main == last {
		want = want[:len(b.Events)]
	}
	if len(b.Events) != len(want) || b.Revision < last || b.Revision > w.model.rev {
		w.t.Fatalf("watch %+v at %d: got %d events up to %d, header %d; want %d\n%v\n%v", c, w.model.rev, len(b.Events), last, b.Revision, len(want), b.Events, want)
	}
	for i, e := range b.Events {
		w.sameEvent(c, e, want[i])
	}
	w.told += len(want)
	if !b.Partial {
		c.next, c.part = last+1, 0
		return
	}
	w.parts++
	w.going[group] = id
	if c.next != last {
		c.next, c.part = last, 0
	}
	for _, e := range want {
		if e.main == last {
			c.part++
		}
	}
}

func (w *watchWorld) expected(c *watching, through int64) (out []modelEvent) {
	for _, e := range w.model.events {
		if e.main >= c.next && e.main <= through && modelIn(e.key, c.spec.Key, c.spec.End) &&
			!(e.kv == nil && c.spec.NoDelete) && !(e.kv != nil && c.spec.NoPut) {
			out = append(out, e)
		}
	}
	return out
}

func (w *watchWorld) sameEvent(c *watching, got *mvccpb.Event, e modelEvent) {
	w.t.Helper()
	want := &mvccpb.Event{Type: mvccpb.Event_PUT, Kv: e.kv}
	if e.kv == nil {
		want = &mvccpb.Event{Type: mvccpb.Event_DELETE, Kv: &mvccpb.KeyValue{Key: []byte(e.key), ModRevision: e.main}}
	}
	if kvs := w.model.live([]byte(e.key), nil, e.main-1); c.spec.PrevKV && len(kvs) == 1 && !(e.kv != nil && e.kv.CreateRevision == e.main) {
		if e.main-1 >= w.model.compacted {
			want.PrevKv = kvs[0]
		}
	}
	if !proto.Equal(got, want) {
		w.t.Fatalf("watch %+v:\n got %v\nwant %v", c, got, want)
	}
}

// settle polls everything, after which no watch lacks anything.
func (w *watchWorld) settle() {
	w.t.Helper()
	for i := range w.groups {
		w.poll(i, 1<<30)
	}
	if h := &w.s.hub; h.lagging != 0 || len(h.chunks.list) > 0 {
		w.t.Fatalf("%d watches are behind, and history is kept in %d chunks, when all were told everything", h.lagging, len(h.chunks.list))
	}
	for i, g := range w.groups {
		for id, c := range w.of[i] {
			if missing := w.expected(c, w.model.rev); len(missing) > c.part {
				w.t.Fatalf("watch %+v of group %d was not told of %v", c, i, missing[0])
			}
			rev, ok := g.Progress(id)
			if early := c.spec.From > w.model.rev; ok == early || ok && rev != w.model.rev {
				w.t.Fatalf("progress of watch %+v: %d, %v; want %d", c, rev, ok, w.model.rev)
			}
		}
	}
}

func (w *watchWorld) step() {
	switch n := w.rnd.IntN(100); {
	case n < 40:
		w.write()
	case n < 55:
		w.watch()
	case n < 85:
		w.poll(w.rnd.IntN(len(w.groups)), w.rnd.IntN(20))
	case n < 90:
		w.remove()
	case n < 93:
		w.settle()
	case n < 95:
		must(w.t, w.s.Prepare())
	case n < 96:
		w.purge()
	case n < 97:
		w.restart(func() { must(w.t, w.s.Close()); w.open() })
	case n < 98:
		w.restart(pick(w.rnd, w.crash, w.crashWithin))
	default:
		w.restart(w.image)
	}
}

// remove ends a watch of one group, if that has any.
func (w *watchWorld) remove() {
	group := w.rnd.IntN(len(w.groups))
	for id := range w.of[group] {
		if !w.groups[group].Remove(id) {
			w.t.Fatalf("watch %d can't be removed", id)
		}
		delete(w.of[group], id)
		if w.going[group] == id {
			delete(w.going, group)
		}
		break
	}
}

// restart does what may end in another store; the watches then go on there, as
// those of clients do that come from another member.
func (w *watchWorld) restart(f func()) {
	before := w.s
	f()
	if w.s == before {
		return
	}
	if _, _, err := w.groups[0].Poll(); !errors.Is(err, ErrClosed) {
		w.t.Fatalf("poll after Close: %v", err)
	}
	for _, g := range w.groups {
		g.Close()
	}
	w.follow()
}

// TestWatchesSeeTheModel: whatever happens to the store, and however slow its
// reader is, each watch is told every event that it wants once and in order,
// or that history which it still wanted is compacted.
func TestWatchesSeeTheModel(t *testing.T) {
	var told, gone, parts atomic.Int64
	t.Cleanup(func() {
		if told.Load() == 0 || gone.Load() == 0 || parts.Load() == 0 {
			t.Errorf("%d events, %d watches overtaken, %d parts of revisions: nothing was tried", told.Load(), gone.Load(), parts.Load())
		}
	})
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := newWatchWorld(t, seed)
			for range 400 {
				w.step()
			}
			w.settle()
			told.Add(int64(w.told))
			gone.Add(int64(w.gone))
			parts.Add(int64(w.parts))
			for _, g := range w.groups {
				g.Close()
			}
			if n := len(w.s.hub.index.all); n != 0 || w.s.hub.in.on.Load() {
				t.Errorf("%d watches are left of closed groups", n)
			}
			must(t, w.s.Close())
		})
	}
}

// TestWatchIndex: a key's watches are those whose span holds it, while spans
// come and go.
func TestWatchIndex(t *testing.T) {
	r := requests{newRand(7), 0}
	x := newWatchIndex()
	var all []*watcher
	for range 4000 {
		if len(all) > 0 && r.IntN(5) < 2 {
			i := r.IntN(len(all))
			x.remove(all[i])
			all = slices.Delete(all, i, i+1)
		} else {
			w := &watcher{id: int64(len(all)), WatchSpec: WatchSpec{Key: r.key(), End: r.end()}}
			if len(w.End) > 0 && string(w.End) != "\x00" && string(w.End) <= string(w.Key) {
				continue
			}
			x.add(w)
			all = append(all, w)
		}
		key := r.key()
		got, want := map[*watcher]int{}, 0
		for set := range x.at(key) {
			for _, w := range set.watchers {
				got[w]++
			}
		}
		for _, w := range all {
			if modelIn(string(key), w.Key, w.End) {
				want++
				if got[w] != 1 {
					t.Fatalf("%v is found %d times for key %q", w, got[w], key)
				}
			}
		}
		if len(got) != want {
			t.Fatalf("%d watches of key %q, want %d", len(got), key, want)
		}
	}
	for _, w := range all {
		x.remove(w)
	}
	if x.ranges != nil || len(x.single) > 0 || len(x.all) > 0 {
		t.Error("spans are left of watches that are gone")
	}
}
