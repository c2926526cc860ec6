package sim

import (
	"cmp"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/musterhq/muster/internal/history"
	"github.com/musterhq/muster/kv"
)

// watcher is a client with one watch of a keyspace, through one member after
// another. It goes on at the next where it was at the last.
type watcher struct {
	w        *World
	key, end string // as in a range request
	prev     bool   // wants the version before, too
	next     int64  // the first revision that it was not told of

	p     *process // nil: it is between two members
	group *kv.Watches
}

const watchID = 1

// startWatchers puts up some that watch all of the keys, or a few, or one.
func (w *World) startWatchers() {
	for i := range 4 {
		v := &watcher{w: w, key: "k/", end: "k0", prev: i%2 == 0, next: 1}
		switch i {
		case 1:
			v.key, v.end = keyName(w.rng.IntN(len(keyNames))), ""
		case 2:
			v.key, v.end = lockKey, ""
		case 3:
			v.key, v.end = "k/c", "\x00"
		}
		w.watchers = append(w.watchers, v)
		v.goOn()
	}
}

func (v *watcher) goOn() {
	v.w.after(20*millisecond+v.w.jitter(250*millisecond), "watcher", func() {
		if v.w.healing {
			return
		}
		if v.p != nil && v.w.rng.IntN(12) == 0 {
			v.leave()
			if v.w.rng.IntN(3) == 0 { // it has lost some of what it had
				v.next = max(v.next-v.w.rng.Int64N(30), 1)
			}
		}
		if v.p == nil {
			up := slices.DeleteFunc(v.w.running(), func(p *process) bool { return !p.m.InCluster() || p.node.paused() })
			if len(up) > 0 {
				v.begin(up[v.w.rng.IntN(len(up))])
			}
		}
		v.look()
		v.goOn()
	})
}

// begin watches through p.
func (v *watcher) begin(p *process) {
	k, ok := p.regs.(*keyspace)
	if !ok || !p.alive() {
		return
	}
	g := k.store.NewWatches()
	spec := kv.WatchSpec{Key: []byte(v.key), From: v.next, PrevKV: v.prev}
	if v.end != "" {
		spec.End = []byte(v.end)
	}
	if _, err := g.Add(watchID, spec); err != nil {
		v.w.fail("%s: a watch doesn't begin: %v", p, err)
		return
	}
	if v.next > 1 {
		v.w.sometimes(watchMoved)
	}
	v.p, v.group = p, g
}

func (v *watcher) leave() {
	if v.p != nil {
		v.group.Close()
		v.p, v.group = nil, nil
	}
}

// look takes all that there is to be told.
func (v *watcher) look() {
	if v.p == nil || !v.p.alive() || v.p.node.paused() {
		return
	}
	for v.group != nil && v.w.failure == "" {
		if v.w.rng.IntN(4) == 0 { // as when its client asks for progress
			v.progress()
		}
		b, more, err := v.group.Poll()
		if err != nil {
			v.w.fail("%s: watch of %s: %v", v.p, v.key, err)
			return
		}
		if b != nil {
			v.told(b)
		} else if !more {
			break
		}
	}
	if v.group != nil {
		v.progress()
	}
}

// told: what a watch is told are the changes of the log, in order, without a gap
// or one that comes twice, and never a part of a revision.
func (v *watcher) told(b *kv.WatchBatch) {
	t := &v.w.truth.keys
	if b.Compacted != 0 {
		if v.next >= b.Compacted || b.Compacted > t.now.Compacted {
			v.w.fail("%s: watch of %s from revision %d hears that %d is compacted; the log says %d", v.p, v.key, v.next, b.Compacted, t.now.Compacted)
		}
		v.w.sometimes(watchCompacted)
		v.next = b.Compacted
		v.leave()
		return
	}
	last := b.Events[len(b.Events)-1].GetKv().GetModRevision()
	if want := v.wanted(last); len(want) != len(b.Events) || !slices.EqualFunc(b.Events, want, v.same) {
		v.w.fail("%s: watch of %s from revision %d is told %v, want %v", v.p, v.key, v.next, b.Events, want)
	}
	if b.Revision < last || b.Revision > t.now.Rev {
		v.w.fail("%s: watch of %s is told of revision %d in the name of %d, and there are %d", v.p, v.key, last, b.Revision, t.now.Rev)
	}
	v.next = last + 1
}

// wanted is what has to be told of the revisions from next to last.
func (v *watcher) wanted(last int64) (es []history.Event) {
	all := v.w.truth.keys.events
	from, _ := slices.BinarySearchFunc(all, v.next, func(e history.Event, rev int64) int { return cmp.Compare(e.KV.Mod, rev) })
	for _, e := range all[from:] {
		k := e.KV.Key
		if e.KV.Mod <= last && (k == v.key || v.end != "" && k > v.key && (v.end == "\x00" || k < v.end)) {
			es = append(es, e)
		}
	}
	return es
}

func (v *watcher) same(got *mvccpb.Event, want history.Event) bool {
	if history.VersionOf(got.GetKv()) != want.KV || (got.GetType() == mvccpb.Event_DELETE) != (want.KV.Version == 0) {
		return false
	}
	switch had := got.GetPrevKv(); {
	case had == nil:
		return !v.prev || want.Prev == nil || want.KV.Mod-1 < v.w.truth.keys.now.Compacted
	case want.Prev == nil:
		return false
	default:
		return v.prev && history.VersionOf(had) == *want.Prev
	}
}

// progress: up to where a watch is said to have come, it was told everything. Its
// client goes on from there.
func (v *watcher) progress() {
	rev, ok := v.group.Progress(watchID)
	if !ok || rev < v.next {
		return
	}
	if missed := v.wanted(rev); len(missed) > 0 {
		v.w.fail("%s: watch of %s has come to revision %d, but was not told of %v", v.p, v.key, rev, missed)
	}
	v.next = rev + 1
}

// watched: in the end each watch has been told everything, wherever it is.
func (w *World) watched() {
	for _, v := range w.watchers {
		for range 2 { // the first may hear of a compaction
			if v.p == nil && w.leader() != nil {
				v.begin(w.leader())
			}
			v.look()
		}
		if missed := v.wanted(w.truth.keys.now.Rev); len(missed) > 0 {
			w.fail("watch of %s through %v: in the end it was not told of %v", v.key, v.p, missed)
		}
	}
}
