package kv

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"github.com/musterhq/muster/kv/internal/mvcc"
)

// events reads the whole event log of the live database.
func (d *driver) events() string {
	d.Helper()
	return strings.Join(readEvents(d, d.Store), ", ")
}

func readEvents(t interface {
	Helper()
	Fatal(...any)
}, s *Store) (out []string) {
	t.Helper()
	it, err := s.live.db.NewIter(&pebble.IterOptions{
		LowerBound: mvcc.AppendEventKey(nil, mvcc.Revision{}), UpperBound: mvcc.AppendEventEnd(nil)})
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	for it.First(); it.Valid(); it.Next() {
		r, ok := mvcc.ReadEvents(it.Key(), it.Value())
		for more := ok; more; {
			var e mvcc.Event
			if e, more, ok = r.Next(); more {
				out = append(out, describeEvent(e.Main, int(e.Sub), e.Deleted, string(e.Key)))
			}
		}
		if !ok {
			t.Fatal("damaged record at", it.Key())
		}
	}
	return out
}

func describeEvent(main int64, sub int, deleted bool, key string) string {
	what := "put"
	if deleted {
		what = "delete"
	}
	return fmt.Sprintf("%d.%d %s %s", main, sub, what, key)
}

// sameEvents holds the event log against the model's history: every change of
// every revision is in it, in order, but for the first ones that were purged.
func (w *world) sameEvents() {
	w.t.Helper()
	perMain := map[int64]int{}
	for _, versions := range w.model.hist {
		for _, v := range versions {
			perMain[v.main]++
		}
	}
	got := readEvents(w.t, w.s)
	want := 0
	from := int64(2)
	if len(got) > 0 {
		sub := 0
		if _, err := fmt.Sscanf(got[0], "%d.%d", &from, &sub); err != nil || from > max(2, w.model.compacted) || sub > 0 && from == w.model.compacted {
			w.t.Fatalf("event log, compacted at %d, starts with %q: %v", w.model.compacted, got[0], err)
		}
		for part := fmt.Sprintf("%d.", from); sub > 0 && len(got) > 0 && strings.HasPrefix(got[0], part); {
			got = got[1:] // a purge has come so far
		}
		if sub > 0 {
			from++
		}
	}
	for main := from; main <= w.model.rev; main++ {
		for sub := range perMain[main] {
			if want >= len(got) || !strings.HasPrefix(got[want], fmt.Sprintf("%d.%d ", main, sub)) {
				w.t.Fatalf("event log at %d: want revision %d.%d, got %q", want, main, sub, got[min(want, len(got)):min(want+1, len(got))])
			}
			want++
		}
	}
	if len(got) != want {
		w.t.Fatalf("event log has %d changes, want %d", len(got), want)
	}
	for key, versions := range w.model.hist {
		for _, v := range versions {
			if v.main >= from && !slices.ContainsFunc(got, func(e string) bool {
				return strings.HasPrefix(e, fmt.Sprintf("%d.", v.main)) && strings.HasSuffix(e, " "+key)
			}) {
				w.t.Fatalf("event log lacks %q at %d", key, v.main)
			}
		}
	}
}
