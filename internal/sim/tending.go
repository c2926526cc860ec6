package sim

import (
	"time"

	"github.com/musterhq/muster/internal/history"
	"github.com/musterhq/muster/internal/lessor"
)

const (
	drift     = 0.01 // how much faster or slower than the world's a node's clock runs, as far as leases go
	noteLease = 2 * time.Second
	grace     = 4 * time.Second // several elections fit in: leaders that are deposed renew at once
	tendEvery = 500 * millisecond
	leaseTime = 7 * second // for a command of the keeper's
)

// tending is the body of a lessor on a member of the world: what lessor.Keeper is
// on one that runs.
type tending struct {
	p      *process
	k      *keyspace
	l      *lessor.Lessor
	busy   bool // with a command that it waits for
	ending int  // leases that are being revoked

	confirming bool // a confirmation is asked for that nobody waits for
}

// tend begins to keep leases on a process with a keyspace.
func (p *process) tend() {
	k, ok := p.regs.(*keyspace)
	if !ok {
		return
	}
	w, rate := p.node.w, 1+drift
	if p.boots%2 == 0 {
		rate = 1 - drift
	}
	clock := func() time.Time {
		return time.Unix(0, 0).Add(time.Duration(float64(w.now) * rate * float64(time.Microsecond)))
	}
	p.tending = &tending{p: p, k: k, l: lessor.New(lessor.Options{Clock: clock, NoteEvery: noteLease, Grace: grace})}
	k.store.FollowLeases(p.tending.l)
	p.tending.goOn()
}

func (t *tending) goOn() {
	t.p.node.w.schedule(tendEvery, "leases", t.p, func() {
		t.step()
		t.goOn()
	})
}

// leads is the member's own belief.
func (t *tending) leads() (term uint64, leads bool) {
	if !t.p.m.InCluster() {
		return 0, false
	}
	leader, term := t.p.m.Leader()
	return term, leader == t.p.self.NodeID
}

// step is Keeper's. While a command is under way the keeper waits.
func (t *tending) step() {
	if t.busy {
		return
	}
	term, leads := t.leads()
	takeOver, err := t.l.Look(term, leads)
	if err != nil {
		t.p.Fail(err)
		return
	}
	if takeOver != nil {
		t.busy = true
		t.p.command(takeOver, func(a *attempt) {
			t.busy = false
			if a.op.Fate == history.Happened && a.reply.Err == nil {
				// Not from within Apply: the store is not to be called from there.
				t.p.node.w.schedule(0, "taken over", t.p, func() { t.l.Taken(term, t.k.store) })
			}
		})
		return
	}
	if t.l.Term() != 0 {
		t.revoke()
		t.note()
	}
}

func (t *tending) revoke() {
	if t.ending > 0 {
		return
	}
	ids, term := t.l.Over(100)
	for _, id := range ids {
		cmd, err := t.l.Expiry(term, id)
		if err != nil {
			t.p.Fail(err)
		}
		if cmd != nil {
			t.ending++
			t.p.command(cmd, func(*attempt) { t.ending-- })
		}
	}
}

func (t *tending) note() {
	cmd, _, err := t.l.Note()
	if err != nil {
		t.p.Fail(err)
	}
	if cmd != nil {
		t.busy = true
		t.p.command(cmd, func(*attempt) { t.busy = false })
	}
}

// command proposes what is no client's.
func (p *process) command(cmd []byte, done func(*attempt)) {
	a := &attempt{w: p.node.w, p: p, cmd: numbered(0, cmd), done: done}
	a.op.Kind = history.Put
	a.begin()
	p.node.w.after(leaseTime, "patience with leases", a.giveUp)
}

// confirm has a quorum say that the member still leads.
func (p *process) confirm(done func(ok bool)) {
	a := &attempt{w: p.node.w, p: p, done: func(a *attempt) { done(a.op.Fate == history.Happened) }}
	a.op.Kind = history.Get
	a.begin()
	p.node.w.after(3*second, "patience with a quorum", a.giveUp)
}

// renew is a client's wish to keep a lease, at the member that leads, or believes to.
func (t *tending) renew(id int64, answer func(lessor.Renewal)) {
	known := func(id int64) bool {
		_, ok := t.k.store.Lease(id)
		return ok
	}
	term, leads := t.leads()
	if !leads {
		return
	}
	t.run(t.l.Errand(term, []int64{id}, known), func(e *lessor.Errand) {
		if e.AtOnce() {
			t.p.node.w.sometimes(renewedAtOnce)
			if t.p.node.w.truth.deposed(term) {
				t.p.node.w.sometimes(renewedByDeposed)
			}
			t.confirmAhead(term)
		}
		answer(e.Renewals()[0])
	})
}

// confirmAhead is Keeper's.
func (t *tending) confirmAhead(term uint64) {
	if !t.confirming && t.l.Ageing(term) {
		t.confirming = true
		t.p.node.w.after(3*second, "a confirmation ahead", func() { t.confirming = false })
		t.run(t.l.Errand(term, nil, nil), func(*lessor.Errand) {})
	}
}

func (t *tending) standing() lessor.Standing {
	term, leads := t.leads()
	return lessor.Standing{Term: term, Leads: leads, Settled: t.p.progress.applied >= t.p.progress.committed}
}

// run moves an errand until it is done.
func (t *tending) run(e *lessor.Errand, done func(*lessor.Errand)) {
	var next func()
	again := func(ok bool) {
		if ok {
			t.p.node.w.schedule(0, "errand", t.p, next)
		}
	}
	next = func() {
		step, cmd, err := e.Next(t.standing())
		switch {
		case err != nil:
		case step == lessor.Confirm:
			t.p.confirm(again)
		case step == lessor.Propose:
			t.p.node.w.sometimes(noteTakenBack)
			t.p.command(cmd, func(a *attempt) { again(a.op.Fate == history.Happened && a.reply.Err == nil) })
		default:
			done(e)
		}
	}
	next()
}
