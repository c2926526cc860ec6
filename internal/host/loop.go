package host

import (
	"fmt"
	"time"

	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/replica"
)

// loop is the owner of the brain: it feeds it what has come and carries out
// what comes of it, until the host ends. It never waits for disk, network,
// appender or applier (but for the durable state while the node is in no
// cluster yet, when there is nothing else to do).
func (h *Host) loop() {
	ticker := time.NewTicker(h.cfg.Heartbeat)
	defer ticker.Stop()
	defer h.surviveBrokenLog()
	h.drive()
	// Looked at before each round: what failed in the last one may have left
	// neither a former nor a replica to go on with.
	for h.ctx.Err() == nil {
		ticked := false
		select {
		case <-h.ctx.Done():
			return
		case <-ticker.C:
			ticked = true
		case <-h.in.wake:
		}
		in := h.in.take()
		for _, f := range in.funcs {
			f()
		}
		if h.rep != nil {
			h.stepMember(in, ticked)
		} else {
			h.stepForming(in, ticked)
		}
		h.in.recycle(in)
		h.drive()
		if ticked {
			h.housekeep()
			h.publish()
		}
	}
}

// surviveBrokenLog turns raft's panic over a log that can't be read into the
// end of the host. Any other panic is a bug and goes on.
func (h *Host) surviveBrokenLog() {
	if h.rep == nil || h.rep.Broken() == nil {
		return
	}
	if recover() != nil {
		h.fail(fmt.Errorf("read the log: %w", h.rep.Broken()))
	}
}

// stepMember feeds the replica.
func (h *Host) stepMember(in inputs, ticked bool) {
	h.writing -= len(in.appended)
	for _, a := range in.appended {
		if err := h.rep.Appended(a); err != nil {
			h.fail(err)
			return
		}
		if a.Snapshot != nil {
			h.installed(a.Snapshot.GetMetadata().GetIndex())
		}
	}
	for _, c := range in.completed {
		if err := h.complete(c); err != nil {
			h.fail(err)
			return
		}
	}
	for _, b := range in.batches {
		for _, m := range b.batch.Raft {
			h.rep.Step(m)
		}
		for _, f := range b.batch.Forwards {
			h.rep.Forwarded(b.from, f)
		}
		for _, x := range b.batch.Rejects {
			h.rep.Rejected(x)
		}
	}
	if ticked {
		h.rep.Tick()
	}
	h.propose(in.proposals)
	for _, r := range in.reads {
		h.token++
		h.reading[h.token] = r
		h.rep.Read(h.token)
	}
}

// stepForming answers who comes too early.
func (h *Host) stepForming(in inputs, ticked bool) {
	for _, p := range in.proposals {
		p.finish(nil, ErrNotMember)
	}
	for _, r := range in.reads {
		r.finish(0, ErrNotMember)
	}
	if ticked {
		h.former.Tick()
	}
}

// drive carries out effects until there are none.
func (h *Host) drive() {
	if h.rep == nil {
		h.driveForming()
		if h.rep == nil {
			return
		}
	}
	for h.carryOut(h.rep.Effects()) {
	}
}

// carryOut does what the replica wants done, and says whether some of it is
// done already, so that there may be more.
func (h *Host) carryOut(eff replica.Effects) (more bool) {
	for _, o := range eff.Send {
		h.tr.Send(o.To, o.Batch)
	}
	for _, a := range eff.Append {
		if h.appendLater(a) {
			more = true
		}
	}
	for i := range eff.Apply {
		h.applies.put(applyJob{apply: &eff.Apply[i]})
	}
	for _, m := range eff.Snapshots {
		h.sendSnapshot(m)
	}
	for _, d := range eff.Dropped {
		h.dropped(d)
	}
	for _, r := range eff.Reads {
		if x := h.reading[r.Token]; x != nil {
			delete(h.reading, r.Token)
			x.finish(r.Index, nil)
		}
	}
	for _, a := range eff.Answers {
		if f := h.asked[a.Token]; f != nil {
			delete(h.asked, a.Token)
			f(a.Change)
		}
	}
	for _, c := range eff.Ask {
		h.announce(c)
	}
	for _, e := range eff.Events {
		if l, ok := e.(event.LeaderChanged); ok && l.Name == "" && l.Leader != 0 {
			m := h.membership() // of a member without a snapshot yet: as it was admitted
			mem, _ := m.Member(l.Leader)
			l.Name = mem.Name
			e = l
		}
		h.emit(e)
	}
	if eff.TakeSnapshot {
		h.takeSnapshot()
	}
	if eff.Removed != nil {
		h.removed(eff.Removed.Index)
	}
	h.follow(eff.Members || len(eff.Events) > 0, eff.Members)
	return more
}

// dropped finishes proposals that a leader did not take.
func (h *Host) dropped(d replica.Dropped) {
	err := errRejected
	if d.Overloaded {
		err = ErrOverloaded
	}
	for i := range d.Count {
		if p := h.waiters.take(d.First + i); p != nil {
			p.finish(nil, err)
		}
	}
}

// follow makes visible what has changed: indexes at once, the rest when it did.
func (h *Host) follow(changed, members bool) {
	applied, committed := h.rep.Indexes()
	h.live.applied.Store(applied)
	h.live.committed.Store(committed)
	if members {
		h.setPeers()
	}
	if leader, term := h.rep.Leader(); changed || h.live.leader != leader || h.live.term != term {
		h.live.leader, h.live.term = leader, term
		h.publish()
	}
}
