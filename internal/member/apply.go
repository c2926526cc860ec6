package member

import (
	"fmt"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/replica"
	"github.com/musterhq/muster/internal/snapshot"
	"github.com/musterhq/muster/internal/wire"
	"github.com/musterhq/muster/statemachine"
)

// ApplyJob is one job of the [Applier]: exactly one of its kinds.
type ApplyJob struct {
	Begin      *Start // the node has become a member
	Apply      *replica.Apply
	Checkpoint bool
	Restore    *snapshot.Image
	Restored   func() // called when Restore is done
}

// Start is where an applier begins.
type Start struct {
	Opened  uint64 // what the machine holds: entries to here are skipped
	Through uint64 // entries to here are not handed to it: the newest image has them
}

// Completion is a finished job of the applier, in its order.
type Completion struct {
	Apply *replica.Apply  // applied
	draft *snapshot.Draft // or: an image was taken, at index
	index uint64
	err   error // or: an image could not be taken, for now
}

// Waiter is somebody on this node who waits for a command's result.
type Waiter interface {
	Finish(statemachine.Result, error)
}

// Applier is the only driver of the machine. One goroutine uses it.
type Applier struct {
	Self      cluster.NodeID
	Machine   statemachine.Machine
	Snapshots *snapshot.Store
	Take      func(seq uint64) Waiter // who waits for this member's command, taken from those who wait; nil: nobody

	opened  uint64 // what the machine held at the start, or was restored to: entries to here are skipped
	through uint64 // index of the last entry that has passed

	// Reused from batch to batch.
	entries []statemachine.Entry
	wanted  []Waiter // one per entry, same order; nil: nobody waits here
}

// maxApply bounds the commands given to the machine at once.
const maxApply = 4096

// Some carries out the first jobs, as many as go together, and returns their
// number. A checkpoint is its own completion; applies are theirs. An error ends
// the member; see Unfinished.
func (a *Applier) Some(jobs []ApplyJob) (n int, checkpoint *Completion, err error) {
	switch j := jobs[0]; {
	case j.Begin != nil:
		a.opened, a.through = j.Begin.Opened, j.Begin.Through
		return 1, nil, nil
	case j.Restore != nil:
		return 1, nil, a.restore(j)
	case j.Checkpoint:
		c, err := a.checkpoint()
		return 1, c, err
	}
	a.entries, a.wanted = a.entries[:0], a.wanted[:0]
	for n < len(jobs) && jobs[n].Apply != nil && len(a.entries) < maxApply {
		for _, e := range jobs[n].Apply.Entries {
			if err := a.add(e); err != nil {
				return 0, nil, err
			}
		}
		n++
	}
	return n, nil, a.apply()
}

// Unfinished lists who waits for commands of a batch that failed.
func (a *Applier) Unfinished() []Waiter { return a.wanted }

// add collects the commands of one raft entry.
func (a *Applier) add(e *raftpb.Entry) error {
	a.through = e.GetIndex()
	data := e.GetData()
	if e.GetType() != raftpb.EntryNormal || len(data) == 0 || wire.EntryKind(data[0]) != wire.EntryCommands {
		return nil
	}
	skip := e.GetIndex() <= a.opened
	err := wire.ReadCommands(data, func(id wire.RequestID, cmd []byte) {
		var w Waiter
		if id.Origin == a.Self {
			w = a.Take(id.Seq)
		}
		if skip {
			return
		}
		a.entries = append(a.entries, statemachine.Entry{Index: e.GetIndex(), Command: cmd, Wanted: w != nil})
		a.wanted = append(a.wanted, w)
	})
	if err != nil {
		return fmt.Errorf("entry %d: %w", e.GetIndex(), err)
	}
	return nil
}

func (a *Applier) apply() error {
	if a.through <= a.opened {
		return nil
	}
	results, err := a.Machine.Apply(a.through, a.entries)
	if err != nil {
		return fmt.Errorf("state machine: apply through index %d: %w", a.through, err)
	}
	if len(results) != len(a.entries) {
		return fmt.Errorf("state machine: %d results for %d entries", len(results), len(a.entries))
	}
	for i, w := range a.wanted {
		if w != nil {
			w.Finish(results[i], nil)
		}
	}
	clear(a.entries)
	clear(a.wanted)
	return nil
}

// checkpoint takes an image. It needs the machine and the membership at the
// same index, so it waits until what the machine held at the start has passed.
func (a *Applier) checkpoint() (*Completion, error) {
	c := &Completion{index: a.through}
	switch {
	case a.through < a.opened:
		c.err = fmt.Errorf("the log has not been read again yet")
	default:
		c.draft, c.err = a.Snapshots.Draft()
	}
	if c.err == nil {
		if err := a.Machine.Checkpoint(c.draft.Dir()); err != nil {
			c.draft.Abort()
			return nil, fmt.Errorf("state machine: checkpoint at index %d: %w", a.through, err)
		}
	}
	return c, nil
}

func (a *Applier) restore(j ApplyJob) error {
	if err := a.Machine.Restore(j.Restore.Dir(), j.Restore.Index); err != nil {
		return fmt.Errorf("state machine: restore the snapshot at index %d: %w", j.Restore.Index, err)
	}
	a.through = j.Restore.Index
	a.opened = max(a.opened, a.through)
	j.Restored()
	return nil
}
