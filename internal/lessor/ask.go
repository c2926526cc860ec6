package lessor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/musterhq/muster/cluster"
)

// pauseBetween is how long it takes until a question is asked anew.
const pauseBetween = 50 * time.Millisecond

// errNotHere says that this member is not in charge (yet).
var errNotHere = errors.New("leases: this member is not in charge of them")

// Renew gives leases all of their time again, and returns how much that is for
// each, in seconds; 0: there is no such lease. Any member may be asked. An error
// is Config.NoLeader or ctx's, or says that nothing came of it in time; leases may
// then be renewed or not.
func (k *Keeper) Renew(ctx context.Context, ids []int64) (ttls []int64, err error) {
	ttls = make([]int64, len(ids))
	if got := k.renewAtOnce(ids); got != nil {
		for i, r := range got {
			ttls[i] = r.TTL
		}
		return ttls, nil
	}
	open := make([]int, len(ids)) // indexes of those that are not known yet
	for i := range ids {
		open[i] = i
	}
	err = k.until(ctx, func(ctx context.Context, g cluster.Glance) (done bool, err error) {
		ask := make([]int64, len(open))
		for i, at := range open {
			ask[i] = ids[at]
		}
		var got []Renewal
		if g.Leader == g.Self {
			got, err = k.renewHere(ctx, g.Term, ask)
		} else {
			got, err = k.outbox.renew(ctx, k, g.Leader, ask)
		}
		if err != nil {
			return false, err
		}
		left := open[:0]
		for i, at := range open {
			switch got[i].Verdict {
			case Found:
				ttls[at] = got[i].TTL
			case Unknown:
				ttls[at] = 0
			default:
				left = append(left, at)
			}
		}
		open = left
		return len(open) == 0, nil
	})
	return ttls, err
}

// Left is how long a lease has left, in whole seconds, and how many it was
// granted for; ok is false when there is no such lease. Errors are Renew's.
func (k *Keeper) Left(ctx context.Context, id int64) (left, granted int64, ok bool, err error) {
	err = k.until(ctx, func(ctx context.Context, g cluster.Glance) (done bool, err error) {
		var a span
		if g.Leader == g.Self {
			a, err = k.leftHere(ctx, g.Term, id)
		} else {
			a, err = k.leftThere(ctx, g.Leader, id)
		}
		left, granted, ok = a.left, a.granted, a.Verdict == Found
		return err == nil && a.Verdict != Again, err
	})
	return left, granted, ok, err
}

// Leases lists the IDs of all leases as this member knows them: if it is in
// charge, those first that are over first.
func (k *Keeper) Leases() []int64 {
	if ids, ok := k.lessor.Leases(); ok {
		return ids
	}
	var ids []int64
	for _, l := range k.cfg.Store.Leases() {
		ids = append(ids, l.ID)
	}
	return ids
}

// until asks whoever leads, again and again until it is done. An error of ask is
// for the next round to mend: the leader may just have changed.
func (k *Keeper) until(ctx context.Context, ask func(context.Context, cluster.Glance) (done bool, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, k.cfg.Patience)
	defer cancel()
	stop := context.AfterFunc(k.ctx, cancel)
	defer stop()
	last := errNotHere
	for {
		gone := k.lessor.Gone()
		if g := k.cfg.Node.Glance(); g.Leader == 0 {
			last = k.cfg.NoLeader
		} else if done, err := ask(ctx, g); done {
			return nil
		} else if err != nil && ctx.Err() == nil {
			last = err
		}
		timer := time.NewTimer(pauseBetween)
		select {
		case <-gone: // a lease that was about to go, perhaps
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			if errors.Is(last, k.cfg.NoLeader) {
				return last
			}
			return fmt.Errorf("%w: %w", ctx.Err(), last)
		}
		timer.Stop()
	}
}

// confirmed returns once a quorum has confirmed that this member led in term since
// the call, and what was committed before is applied.
func (k *Keeper) confirmed(ctx context.Context, term uint64) error {
	if _, err := k.cfg.Node.ReadIndex(ctx); err != nil {
		return err
	}
	return k.still(term)
}

// still fails if this member does not lead in term any more. Of one that led in it
// before a ReadIndex as well, the quorum that has answered confirmed just that: no
// member leads a term twice.
func (k *Keeper) still(term uint64) error {
	if now, leads := k.leads(); !leads || now != term {
		return errNotHere
	}
	return nil
}

// standing is the member's, for an [Errand].
func (k *Keeper) standing() Standing {
	g := k.cfg.Node.Glance()
	return Standing{Term: g.Term, Leads: g.Leader != 0 && g.Leader == g.Self, Settled: g.Applied >= g.Committed}
}

// RenewAtOnce is Renew, of one lease, if that is known without asking anybody.
func (k *Keeper) RenewAtOnce(id int64) (ttl int64, ok bool) {
	got := k.renewAtOnce([]int64{id})
	if got == nil {
		return 0, false
	}
	return got[0].TTL, true
}

// renewAtOnce renews as the leader, if nobody is to be asked; nil: it has not.
func (k *Keeper) renewAtOnce(ids []int64) []Renewal {
	now := k.standing()
	e := k.lessor.Errand(now.Term, ids, k.known)
	if step, _, err := e.Next(now); err != nil || step != Done || k.still(now.Term) != nil {
		return nil
	}
	k.confirmAhead(now.Term)
	return e.Renewals()
}

// renewHere renews as the leader of term.
func (k *Keeper) renewHere(ctx context.Context, term uint64, ids []int64) ([]Renewal, error) {
	e := k.lessor.Errand(term, ids, k.known)
	for {
		step, cmd, err := e.Next(k.standing())
		if err != nil {
			return nil, err
		}
		switch step {
		case Confirm:
			_, err = k.cfg.Node.ReadIndex(ctx)
		case Propose:
			err = k.propose(ctx, cmd)
		case Done:
			if e.AtOnce() {
				k.confirmAhead(term)
			}
			return e.Renewals(), k.still(term)
		}
		if err != nil {
			return nil, err
		}
	}
}

// confirmAhead has a quorum confirm the leadership in the background, if it is
// time to: those who renew then find that it did, and need not wait.
func (k *Keeper) confirmAhead(term uint64) {
	if !k.lessor.Ageing(term) || !k.confirming.CompareAndSwap(false, true) {
		return
	}
	begun := k.spawn(func() {
		defer k.confirming.Store(false)
		ctx, cancel := context.WithTimeout(k.ctx, askPatience)
		defer cancel()
		_, _ = k.renewHere(ctx, term, nil) // of no consequence: without, renewals wait
	})
	if !begun {
		k.confirming.Store(false)
	}
}

// known says whether the store has a lease.
func (k *Keeper) known(id int64) bool {
	_, ok := k.cfg.Store.Lease(id)
	return ok
}

// span is what Left answers.
type span struct {
	Verdict
	left, granted int64 // seconds
}

func (k *Keeper) leftHere(ctx context.Context, term uint64, id int64) (span, error) {
	if err := k.confirmed(ctx, term); err != nil {
		return span{}, err
	}
	left, granted, v := k.lessor.Left(term, id)
	if v == Again {
		v = notTakenOver([]int64{id}, k.known)[0].Verdict
	}
	return span{v, int64(left.Seconds()), granted}, k.still(term)
}
