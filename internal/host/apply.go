package host

import (
	"fmt"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/internal/replica"
	"github.com/musterhq/muster/internal/snapshot"
	"github.com/musterhq/muster/internal/wire"
	"github.com/musterhq/muster/statemachine"
)

// applyJob is one job of the applier: exactly one of its kinds.
type applyJob struct {
	apply      *replica.Apply
	checkpoint bool
	restore    *snapshot.Image
	restored   chan struct{} // closed when restore is done
}

// completion is a finished job of the applier, in its order.
type completion struct {
	apply *replica.Apply  // applied
	draft *snapshot.Draft // or: an image was taken, at index
	index uint64
	err   error // or: an image could not be taken, for now
}

// applier drives the machine until the host ends.
type applier struct {
	h       *Host
	opened  uint64 // what the machine held when it was opened: entries to here are skipped
	through uint64 // index of the last entry that has passed

	// Reused from batch to batch.
	entries []statemachine.Entry
	wanted  []*proposal // one per entry, same order; nil: nobody waits here
}

func (a *applier) run() {
	defer func() {
		for _, p := range a.wanted { // of a batch that failed
			if p != nil {
				p.finish(nil, ErrUnknownOutcome)
			}
		}
	}()
	for {
		jobs := a.h.applies.take(a.h.ctx.Done())
		if jobs == nil {
			return
		}
		for len(jobs) > 0 {
			n, err := a.some(jobs)
			if err != nil {
				a.h.fail(err)
				return
			}
			jobs = jobs[n:]
		}
	}
}

// maxApply bounds the commands given to the machine at once.
const maxApply = 4096

// some carries out the first jobs, as many as go together, and returns their number.
func (a *applier) some(jobs []applyJob) (int, error) {
	switch j := jobs[0]; {
	case j.restore != nil:
		return 1, a.restore(j)
	case j.checkpoint:
		return 1, a.checkpoint()
	}
	n := 0
	a.entries, a.wanted = a.entries[:0], a.wanted[:0]
	for n < len(jobs) && jobs[n].apply != nil && len(a.entries) < maxApply {
		for _, e := range jobs[n].apply.Entries {
			if err := a.add(e); err != nil {
				return 0, err
			}
		}
		n++
	}
	if err := a.apply(); err != nil {
		return 0, err
	}
	a.h.in.put(func(in *inputs) {
		for _, j := range jobs[:n] {
			in.completed = append(in.completed, completion{apply: j.apply})
		}
	})
	return n, nil
}

// add collects the commands of one raft entry.
func (a *applier) add(e *raftpb.Entry) error {
	a.through = e.GetIndex()
	data := e.GetData()
	if e.GetType() != raftpb.EntryNormal || len(data) == 0 || wire.EntryKind(data[0]) != wire.EntryCommands {
		return nil
	}
	skip := e.GetIndex() <= a.opened
	err := wire.ReadCommands(data, func(id wire.RequestID, cmd []byte) {
		var p *proposal
		if id.Origin == a.h.cfg.Self.NodeID {
			p = a.h.waiters.take(id.Seq)
		}
		if skip {
			return
		}
		a.entries = append(a.entries, statemachine.Entry{Index: e.GetIndex(), Command: cmd, Wanted: p != nil})
		a.wanted = append(a.wanted, p)
	})
	if err != nil {
		return fmt.Errorf("entry %d: %w", e.GetIndex(), err)
	}
	return nil
}

func (a *applier) apply() error {
	if a.through <= a.opened {
		return nil
	}
	results, err := a.h.cfg.Machine.Apply(a.through, a.entries)
	if err != nil {
		return fmt.Errorf("state machine: apply through index %d: %w", a.through, err)
	}
	if len(results) != len(a.entries) {
		return fmt.Errorf("state machine: %d results for %d entries", len(results), len(a.entries))
	}
	for i, p := range a.wanted {
		if p != nil {
			p.finish(results[i], nil)
		}
	}
	clear(a.entries)
	clear(a.wanted)
	return nil
}

// checkpoint takes an image. It needs the machine and the membership at the
// same index, so it waits until what the machine held at the start has passed.
func (a *applier) checkpoint() error {
	c := completion{index: a.through}
	switch {
	case a.through < a.opened:
		c.err = fmt.Errorf("the log has not been read again yet")
	default:
		c.draft, c.err = a.h.cfg.Snapshots.Draft()
	}
	if c.err == nil {
		if err := a.h.cfg.Machine.Checkpoint(c.draft.Dir()); err != nil {
			c.draft.Abort()
			return fmt.Errorf("state machine: checkpoint at index %d: %w", a.through, err)
		}
	}
	a.h.in.put(func(in *inputs) { in.completed = append(in.completed, c) })
	return nil
}

func (a *applier) restore(j applyJob) error {
	if err := a.h.cfg.Machine.Restore(j.restore.Dir(), j.restore.Index); err != nil {
		return fmt.Errorf("state machine: restore the snapshot at index %d: %w", j.restore.Index, err)
	}
	a.through = j.restore.Index
	a.opened = max(a.opened, a.through)
	close(j.restored)
	return nil
}
