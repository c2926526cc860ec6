package lessor

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/musterhq/muster/kv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hand is a clock that is moved by hand, in steps that all count.
type hand struct {
	at time.Time
	l  *Lessor
}

func newHand() *hand {
	h := &hand{at: time.Unix(1000, 0)}
	h.l = New(Options{Clock: func() time.Time { return h.at }})
	h.l.elected(3)
	h.at = h.at.Add(time.Minute) // the grace is over
	return h
}

func (h *hand) pass(d time.Duration) {
	for d > 0 {
		step := min(d, maxStep/2)
		h.at = h.at.Add(step)
		h.l.Left(0, 0)
		h.look()
		d -= step
	}
}

func (h *hand) look() {
	h.l.mu.Lock()
	defer h.l.mu.Unlock()
	h.l.lookLocked()
}

func (h *hand) over(t *testing.T, want ...int64) {
	t.Helper()
	if ids, _ := h.l.Over(100); !slices.Equal(ids, want) {
		t.Errorf("over are %v, want %v", ids, want)
	}
}

func (h *hand) renew(t *testing.T, id int64, want Renewal) {
	t.Helper()
	out, _, _, ok := h.l.Renew(h.l.Term(), []int64{id})
	if !ok || out[0] != want {
		t.Errorf("renew %d: %v, %v; want %v", id, out, ok, want)
	}
}

// TestRenewedTogether: of leases that are renewed together, the first ends first.
func TestRenewedTogether(t *testing.T) {
	h := newHand()
	h.l.TakeOver(3)
	h.l.LeasesReplaced([]kv.Lease{{ID: 1, TTL: 10}, {ID: 2, TTL: 10}, {ID: 3, TTL: 10}})
	h.l.Renew(3, []int64{3, 1, 2})
	if ids, _ := h.l.Leases(); !slices.Equal(ids, []int64{3, 1, 2}) {
		t.Errorf("renewed as 3, 1, 2; listed as %v", ids)
	}
}

// TestOver: a lease is over when its time is, not before; one that is renewed
// later; one that is over is not renewed, and is listed again until it is gone.
func TestOver(t *testing.T) {
	h := newHand()
	h.l.LeaseGranted(kv.Lease{ID: 1, TTL: 10})
	h.pass(time.Minute)
	h.over(t) // not in charge
	h.l.TakeOver(3)
	h.l.LeasesReplaced([]kv.Lease{{ID: 1, TTL: 10}, {ID: 2, TTL: 20}, {ID: 3, TTL: 20, Remaining: 5}})
	h.pass(5*time.Second - 1)
	h.over(t)
	h.pass(1)
	h.over(t, 3)
	h.renew(t, 1, Renewal{Found, 10})
	h.renew(t, 3, Renewal{Again, 0})
	h.renew(t, 9, Renewal{Unknown, 0})
	h.pass(5 * time.Second)
	h.over(t, 3) // still there
	h.l.LeaseGone(3)
	h.renew(t, 3, Renewal{Unknown, 0})
	h.pass(5 * time.Second)
	h.renew(t, 1, Renewal{Again, 0}) // over, if not listed yet
	h.over(t, 1)
	h.pass(askAgain - 1)
	h.over(t)
	h.pass(1)
	h.over(t, 1)
	h.l.LeaseGone(1)
	h.pass(time.Minute)
	h.over(t, 2)
	if left, granted, v := h.l.Left(3, 2); v != Found || granted != 20 || left > -time.Second {
		t.Errorf("left of 2: %v of %d, %v", left, granted, v)
	}
	if n := h.l.Count(); n != 1 {
		t.Errorf("%d leases, want 1", n)
	}
	h.l.Drop()
	h.over(t)
}

// TestGrantedAnew: a lease of an ID that was another's has all of its own time.
func TestGrantedAnew(t *testing.T) {
	h := newHand()
	h.l.TakeOver(3)
	h.l.LeasesReplaced([]kv.Lease{{ID: 1, TTL: 10}})
	h.pass(9 * time.Second)
	h.l.LeaseGone(1)
	h.l.LeaseGranted(kv.Lease{ID: 1, TTL: 10})
	h.pass(9 * time.Second)
	h.over(t)
	h.pass(time.Second)
	h.over(t, 1)
}

// TestPause: time in which nobody looked at the clock counts for little, and a
// clock that goes back for nothing.
func TestPause(t *testing.T) {
	h := newHand()
	h.l.TakeOver(3)
	h.l.LeasesReplaced([]kv.Lease{{ID: 1, TTL: 10}})
	h.pass(5 * time.Second)
	h.at = h.at.Add(time.Hour)
	h.over(t)
	h.renew(t, 1, Renewal{Found, 10})
	h.at = h.at.Add(-time.Hour)
	h.look()
	h.pass(10*time.Second - 1)
	h.over(t)
	h.pass(1)
	h.over(t, 1)
}

// TestLimit: no more are listed at once than is asked for, and those first that
// are over first.
func TestLimit(t *testing.T) {
	h := newHand()
	h.l.TakeOver(3)
	var all []kv.Lease
	for i := range int64(1000) {
		all = append(all, kv.Lease{ID: i + 1, TTL: 1 + (i*37)%100})
	}
	h.l.LeasesReplaced(all)
	h.pass(30 * time.Second)
	seen := map[int64]bool{}
	for {
		ids, term := h.l.Over(7)
		if len(ids) == 0 {
			break
		}
		if len(ids) > 7 || term != 3 {
			t.Fatalf("%d listed, in term %d", len(ids), term)
		}
		for _, id := range ids {
			if seen[id] || all[id-1].TTL > 30 {
				t.Fatalf("%d is listed: twice %v, TTL %d", id, seen[id], all[id-1].TTL)
			}
			seen[id] = true
			h.l.LeaseGone(id)
		}
	}
	if len(seen) != 300 {
		t.Errorf("%d were listed, want 300", len(seen))
	}
	if ids, ok := h.l.Leases(); !ok || len(ids) != 700 || all[ids[0]-1].TTL != 31 {
		t.Errorf("%d are left, the first with TTL %d", len(ids), all[ids[0]-1].TTL)
	}
}

// TestNotes: what a long lease has left is noted now and then, and a renewal takes
// that back, whether the note is known to be applied or not.
func TestNotes(t *testing.T) {
	h := newHand()
	h.l.TakeOver(3)
	h.l.LeasesReplaced([]kv.Lease{{ID: 1, TTL: 3600}, {ID: 2, TTL: 300}, {ID: 3, TTL: 3600, Remaining: 400}})
	h.pass(DefaultNoteEvery / 2)
	h.renew(t, 2, Renewal{Found, 300})
	h.pass(DefaultNoteEvery/2 - 1)
	if r, _, _ := h.l.Notes(); r != nil {
		t.Errorf("noted early: %v", r)
	}
	h.pass(1)
	r, term, seq := h.l.Notes()
	if got := fmt.Sprint(r.GetCheckpoints()); len(r.GetCheckpoints()) != 2 || term != 3 {
		t.Fatalf("noted in term %d: %s", term, got)
	}
	for _, c := range r.GetCheckpoints() {
		if want := map[int64]int64{1: 3300, 3: 100}[c.ID]; c.Remaining_TTL != want {
			t.Errorf("%d is noted to have %d s, want %d", c.ID, c.Remaining_TTL, want)
		}
	}
	// The note is on its way. A renewal now must not rely on that it never comes.
	out, reset, resetSeq, _ := h.l.Renew(3, []int64{1, 2})
	if out[0].Verdict != Again || out[1].Verdict != Found || len(reset.GetCheckpoints()) != 1 || resetSeq <= seq {
		t.Fatalf("renewals %v with reset %v, number %d after %d", out, reset, resetSeq, seq)
	}
	h.l.LeaseNoted(kv.Lease{ID: 1, TTL: 3600, Remaining: 3300})
	h.l.LeaseNoted(kv.Lease{ID: 1, TTL: 3600})
	h.l.Undone(reset, resetSeq)
	h.renew(t, 1, Renewal{Found, 3600})

	// A note that is given out while an earlier one is taken back.
	h.pass(DefaultNoteEvery)
	h.l.Notes()
	_, reset, resetSeq, _ = h.l.Renew(3, []int64{1})
	h.pass(DefaultNoteEvery)
	if r, _, later := h.l.Notes(); len(r.GetCheckpoints()) != 1 || later <= resetSeq {
		t.Fatalf("noted %v, number %d", r, later)
	}
	h.l.LeaseNoted(kv.Lease{ID: 1, TTL: 3600})
	h.l.Undone(reset, resetSeq)
	h.renew(t, 1, Renewal{Again, 0})
}

// TestNoteBatches: one command notes no more than a thousand, and each lease once.
func TestNoteBatches(t *testing.T) {
	h := newHand()
	h.l.TakeOver(3)
	h.l.LeaseGranted(kv.Lease{ID: 1, TTL: 3600})
	if h.l.Term() != 0 {
		t.Error("in charge without the leases")
	}
	h.l.LeasesReplaced(nil)
	for id := range int64(2500) {
		h.l.LeaseGranted(kv.Lease{ID: id + 1, TTL: 3600})
	}
	h.pass(DefaultNoteEvery)
	var sizes []int
	for {
		r, _, _ := h.l.Notes()
		if r == nil {
			break
		}
		sizes = append(sizes, len(r.Checkpoints))
	}
	if !slices.Equal(sizes, []int{1000, 1000, 500}) {
		t.Errorf("batches of %v", sizes)
	}
}

// BenchmarkRenew renews one of 100,000 leases.
func BenchmarkRenew(b *testing.B) {
	l := New(Options{})
	l.TakeOver(1)
	var all []kv.Lease
	for i := range int64(100_000) {
		all = append(all, kv.Lease{ID: i, TTL: 60 + i%60})
	}
	l.LeasesReplaced(all)
	i := int64(0)
	ids := make([]int64, 1)
	for b.Loop() {
		ids[0] = i % 100_000
		i += 7
		l.Renew(1, ids)
	}
}
