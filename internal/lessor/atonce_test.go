package lessor

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/musterhq/muster/kv"
)

// inCharge is a lessor in charge for term 3, with lease 1 of 10 s and lease 2 of
// 3600 s, and a round that confirmed the leadership and began at this moment.
func inCharge() *hand {
	h := newHand()
	h.l.TakeOver(3)
	h.l.LeasesReplaced([]kv.Lease{{ID: 1, TTL: 10}, {ID: 2, TTL: 3600}})
	h.l.confirmed(3, h.l.moment())
	return h
}

// ask runs an errand until it wants something.
func (h *hand) ask(t *testing.T, now Standing, ids ...int64) (*Errand, Step) {
	t.Helper()
	e := h.l.Errand(3, ids, func(int64) bool { return true })
	step, _, err := e.Next(now)
	if err != nil {
		t.Fatal(err)
	}
	return e, step
}

var settled = Standing{Term: 3, Leads: true, Settled: true}

// wants expects that an errand is done at once, or asks for a quorum.
func (h *hand) wants(t *testing.T, why string, want Step, ids ...int64) {
	t.Helper()
	e, step := h.ask(t, settled, ids...)
	if step != want || e.AtOnce() != (want == Done) {
		t.Errorf("%s: step %d, at once %v; want step %d", why, step, e.AtOnce(), want)
	}
}

// TestAtOnce: leases are renewed without asking anybody for as long as a
// confirmation is recent, and no longer.
func TestAtOnce(t *testing.T) {
	h := inCharge()
	h.pass(trusted(DefaultGrace) - 1)
	e, step := h.ask(t, settled, 2, 1)
	if out := e.Renewals(); step != Done || len(out) != 2 || out[0] != (Renewal{Found, 3600}) || out[1] != (Renewal{Found, 10}) {
		t.Fatalf("step %d, renewals %v", step, out)
	}
	h.pass(1)
	h.wants(t, "not recent", Confirm, 1)
	h.pass(10*time.Second - 2)
	h.over(t) // it was renewed
	h.pass(1)
	h.over(t, 1)
}

// TestConfirmationBegan: a round that takes long confirms nothing of the time that
// it took.
func TestConfirmationBegan(t *testing.T) {
	h := newHand()
	h.l.TakeOver(3)
	h.l.LeasesReplaced([]kv.Lease{{ID: 1, TTL: 10}})
	e, step := h.ask(t, settled, 1)
	if step != Confirm {
		t.Fatalf("step %d, and nothing was confirmed yet", step)
	}
	h.pass(trusted(DefaultGrace) / 2)
	if step, _, err := e.Next(settled); step != Done || err != nil || e.AtOnce() {
		t.Fatalf("step %d, %v", step, err)
	}
	h.wants(t, "just confirmed", Done, 1)
	h.pass(trusted(DefaultGrace) / 2)
	h.wants(t, "it began a while ago", Confirm, 1)

	// Of two rounds that end in the other order, the later one counts.
	early := h.l.moment()
	h.pass(time.Millisecond)
	late := h.l.moment()
	h.l.confirmed(3, late)
	h.l.confirmed(3, early)
	h.pass(trusted(DefaultGrace) - 1)
	h.wants(t, "the later of two", Done, 1)
}

// TestConfirmationOfTerm: a confirmation is of one term.
func TestConfirmationOfTerm(t *testing.T) {
	h := inCharge()
	h.l.Drop()
	h.l.elected(5)
	h.l.TakeOver(5)
	h.l.LeasesReplaced([]kv.Lease{{ID: 1, TTL: 10}})
	if got := h.l.atOnce(5, []int64{1}); got != nil {
		t.Errorf("renewed in term 5 on a confirmation of term 3: %v", got)
	}
	if got := h.l.atOnce(3, []int64{1}); got != nil {
		t.Errorf("renewed in term 3 while in charge for term 5: %v", got)
	}
	h.l.confirmed(5, h.l.moment())
	h.l.confirmed(3, h.l.moment())
	if got := h.l.atOnce(5, []int64{1}); got == nil {
		t.Error("not renewed, though it was confirmed for term 5")
	}
}

// TestNotAtOnce: what can't be answered at once for all is not answered at once for
// any, and nothing has changed then.
func TestNotAtOnce(t *testing.T) {
	h := inCharge()
	h.l.LeaseGranted(kv.Lease{ID: 3, TTL: 5, Remaining: 4})
	h.pass(time.Millisecond)
	h.wants(t, "no such lease here", Confirm, 1, 9)
	h.wants(t, "a note is there", Confirm, 1, 3)
	if left, _, _ := h.l.Left(3, 1); left != 10*time.Second-time.Millisecond {
		t.Errorf("lease 1 has %v", left)
	}
	if e, step := h.ask(t, Standing{Term: 3, Leads: true}, 1); step != Confirm {
		t.Errorf("step %d, %v, though not all is applied", step, e.Renewals())
	}
	h.pass(DefaultNoteEvery)
	if r, _, _ := h.l.Notes(); len(r.GetCheckpoints()) != 1 {
		t.Fatalf("noted: %v", r)
	}
	h.l.confirmed(3, h.l.moment())
	h.wants(t, "a note is on its way", Confirm, 2)
	h.wants(t, "it is over", Confirm, 1)
	h.over(t, 3, 1)
	h.wants(t, "it is about to go", Confirm, 1)
}

// TestAsleep: time counts in which the machine sleeps, and a clock that goes back
// makes nothing recent.
func TestAsleep(t *testing.T) {
	wall := time.Unix(5000, 0)
	h := newHand()
	h.l.wall = func() time.Time { return wall }
	h.l.TakeOver(3)
	h.l.LeasesReplaced([]kv.Lease{{ID: 1, TTL: 10}})
	h.l.confirmed(3, h.l.moment())
	h.wants(t, "awake", Done, 1)
	wall = wall.Add(trusted(DefaultGrace))
	h.wants(t, "it has slept", Confirm, 1)
	wall = wall.Add(-trusted(DefaultGrace))
	h.wants(t, "awake", Done, 1)
	wall = wall.Add(-1)
	h.wants(t, "the wall's clock went back", Confirm, 1)
	wall = wall.Add(1)
	h.at = h.at.Add(time.Hour)
	h.wants(t, "it was stopped", Confirm, 1)
}

// TestGrace: until a while after its election, a leader counts as if that while
// were over, whether it was asked to take the leases over at once or later.
func TestGrace(t *testing.T) {
	for _, late := range []time.Duration{0, DefaultGrace / 4, DefaultGrace, time.Hour} {
		h := newHand()
		h.l.elected(7)
		h.pass(late)
		h.l.elected(7) // as each look at who leads finds again
		h.l.TakeOver(7)
		h.l.LeasesReplaced([]kv.Lease{{ID: 1, TTL: 10}, {ID: 2, TTL: 20, Remaining: 5}})
		left := max(DefaultGrace-late, 0)
		if has, _, _ := h.l.Left(7, 1); has != 10*time.Second {
			t.Errorf("%v after the election lease 1 has %v", late, has)
		}
		h.l.LeaseGranted(kv.Lease{ID: 3, TTL: 5})
		h.pass(5*time.Second + left - 1)
		h.over(t)
		h.pass(1)
		h.over(t, 2, 3)
		h.l.LeaseGone(2)
		h.l.LeaseGone(3)
		h.pass(5*time.Second - 1)
		h.over(t)
		h.pass(1)
		h.over(t, 1)
	}
	h := newHand() // it doesn't know when it was elected
	h.l.TakeOver(7)
	h.l.LeasesReplaced([]kv.Lease{{ID: 1, TTL: 10}})
	h.pass(10*time.Second + DefaultGrace - 1)
	h.over(t)
}

// TestGraceAndOrder: leases are listed in the order in which they were renewed, also
// within the grace, in which they have the same time.
func TestGraceAndOrder(t *testing.T) {
	h := newHand()
	h.l.elected(7)
	h.l.TakeOver(7)
	h.l.LeasesReplaced([]kv.Lease{{ID: 1, TTL: 10}, {ID: 2, TTL: 10}})
	h.pass(1)
	h.l.LeaseGranted(kv.Lease{ID: 4, TTL: 10})
	h.pass(1)
	h.l.LeaseGranted(kv.Lease{ID: 3, TTL: 10})
	h.pass(1)
	h.renew(t, 1, Renewal{Found, 10})
	if ids, _ := h.l.Leases(); !slices.Equal(ids, []int64{2, 4, 3, 1}) {
		t.Errorf("listed as %v", ids)
	}
}

// TestClockRates: what a leader with a slow clock promises at the last moment is kept
// by one with a faster clock that was elected right after the confirmation began.
func TestClockRates(t *testing.T) {
	now := time.Unix(1000, 0)
	begun := now
	at := func(rate float64) func() time.Time {
		return func() time.Time { return begun.Add(time.Duration(float64(now.Sub(begun)) * rate)) }
	}
	slow, fast := New(Options{Clock: at(0.76)}), New(Options{Clock: at(1)})
	slow.confirmed(3, slow.moment())
	fast.elected(4)
	for term, l := range map[uint64]*Lessor{3: slow, 4: fast} {
		l.TakeOver(term)
		l.LeasesReplaced([]kv.Lease{{ID: 1, TTL: 10}})
	}
	promised := now
	for slow.atOnce(3, []int64{1}) != nil {
		promised = now.Add(10 * time.Second)
		now = now.Add(time.Millisecond)
		fast.Over(1) // it looks at its clock
	}
	if promised.Sub(begun) < 10*time.Second+DefaultGrace/2 {
		t.Fatalf("it renewed at once for only %v", promised.Sub(begun)-10*time.Second)
	}
	for ; now.Before(promised); now = now.Add(time.Millisecond) {
		if over, _ := fast.Over(1); len(over) > 0 {
			t.Fatalf("the lease is over %v before what was promised", promised.Sub(now))
		}
	}
}

// TestGraceAndRenewal: a renewal within the grace takes none of it away: the leader
// before may have renewed the lease later than that.
func TestGraceAndRenewal(t *testing.T) {
	h := newHand()
	h.l.elected(7)
	h.l.TakeOver(7)
	h.l.LeasesReplaced([]kv.Lease{{ID: 1, TTL: 10}})
	h.pass(1)
	h.renew(t, 1, Renewal{Found, 10})
	h.pass(10*time.Second + DefaultGrace - 2)
	h.over(t)
	h.pass(1)
	h.over(t, 1)
}

// TestConfirmedAhead: renewals that go on wait for a quorum once, and have it asked
// again in the background, be they a client's or another member's.
func TestConfirmedAhead(t *testing.T) {
	for _, far := range []bool{false, true} {
		alone(t, func(t *testing.T, n *fakeNode, k *Keeper) {
			n.slow = 20 * time.Millisecond
			waited := 0
			for range 1000 {
				begun := time.Now()
				var err error
				if far {
					_, err = k.Answer(t.Context(), appendID([]byte{askRenew}, 7))
				} else {
					_, err = k.Renew(t.Context(), []int64{7})
				}
				if err != nil {
					t.Fatal(err)
				}
				if time.Since(begun) > 0 {
					waited++
				}
				time.Sleep(10 * time.Millisecond)
			}
			if rounds := n.rounds(); waited != 1 || rounds < 15 || rounds > 30 {
				t.Errorf("%d renewals waited, want the first; there were %d rounds in 10 s", waited, rounds)
			}
		})
	}
}

// TestDeposedAtOnce: a member that follows renews nothing, whatever it has heard
// before; nor does one that comes to lead again, before it is confirmed.
func TestDeposedAtOnce(t *testing.T) {
	alone(t, func(t *testing.T, n *fakeNode, k *Keeper) {
		if got, err := k.Renew(t.Context(), []int64{7}); err != nil || got[0] != 60 {
			t.Fatalf("renewed: %v, %v", got, err)
		}
		n.mu.Lock()
		n.onGlance = func() { n.glance.Leader, n.glance.Term = 2, 4 } // between two looks
		n.mu.Unlock()
		if ttl, ok := k.RenewAtOnce(7); ok {
			t.Errorf("renewed by a member that follows by then: %d", ttl)
		}
		n.mu.Lock()
		n.onRead = func() { t.Error("a member that follows asks a quorum") }
		n.mu.Unlock()
		if got, err := k.Answer(t.Context(), appendID([]byte{askRenew}, 7)); !errors.Is(err, errNotHere) {
			t.Errorf("answered by a member that follows: %v, %v", got, err)
		}
		n.stand(1, 5)
		asked := 0
		n.mu.Lock()
		n.onRead = func() { asked++ }
		n.mu.Unlock()
		if got, err := k.Renew(t.Context(), []int64{7}); err != nil || got[0] != 60 || asked == 0 {
			t.Errorf("renewed by one that leads again: %v, %v, and a quorum was asked %d times", got, err, asked)
		}
	})
}

// TestUnsettled: what is committed and not applied yet may be the end of a lease:
// whoever leads waits for it.
func TestUnsettled(t *testing.T) {
	alone(t, func(t *testing.T, n *fakeNode, k *Keeper) {
		if _, err := k.Renew(t.Context(), []int64{7}); err != nil {
			t.Fatal(err)
		}
		n.mu.Lock()
		n.glance.Committed++
		n.onRead = func() { n.glance.Applied++ }
		n.mu.Unlock()
		before := n.rounds()
		if _, err := k.Renew(t.Context(), []int64{7}); err != nil || n.rounds() != before+1 {
			t.Errorf("renewed at once: %d rounds, %v", n.rounds()-before, err)
		}
		if _, err := k.Renew(t.Context(), []int64{7}); err != nil || n.rounds() != before+1 {
			t.Errorf("not renewed at once: %d rounds, %v", n.rounds()-before, err)
		}
	})
}

// TestNoGoroutineAfterClose: a renewal that comes as the keeper is closed begins nothing.
func TestNoGoroutineAfterClose(t *testing.T) {
	alone(t, func(t *testing.T, n *fakeNode, k *Keeper) {
		if _, err := k.Renew(t.Context(), []int64{7}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(trusted(DefaultGrace) / 2)
		k.Close()
		k.confirmAhead(3)
		if k.spawn(func() { t.Error("it began") }) || k.confirming.Load() {
			t.Error("a confirmation is under way")
		}
		n.stand(2, 4)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if got, err := k.Renew(ctx, []int64{7}); err == nil {
			t.Errorf("renewed after the end: %v", got)
		}
	})
}
