package host

import (
	"fmt"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/internal/raftlog"
	"github.com/musterhq/muster/internal/replica"
	"github.com/musterhq/muster/internal/snapshot"
)

// appendJob is one job of the appender: exactly one field is used, but for
// image, which goes with an append that carries a snapshot.
type appendJob struct {
	append  replica.Append
	image   *snapshot.Image
	compact uint64 // forget entries through here
}

// appendLater gives an append to the appender. What has nothing to write is
// done at once, when nothing before it is still being written; it says so then.
//
// A commit index is no reason to write: it is not needed after a crash, only
// useful, and goes with the next write that is.
func (h *Host) appendLater(a replica.Append) (done bool) {
	if len(a.Entries) > 0 || a.Snapshot != nil || a.Sync {
		if a.HardState == nil {
			a.HardState = h.commit
		}
		h.commit = nil
	} else if a.HardState != nil {
		h.commit, a.HardState = a.HardState, nil
	}
	if h.writing == 0 && a.HardState == nil && !a.Sync {
		for _, o := range a.Durable {
			h.tr.Send(o.To, o.Batch)
		}
		if err := h.rep.Appended(a); err != nil {
			h.fail(err)
		}
		return true
	}
	j := appendJob{append: a}
	for _, e := range a.Entries {
		h.shots.gathered += int64(len(e.GetData()))
	}
	if a.Snapshot != nil {
		j.image = h.shots.received(a.Snapshot.GetMetadata().GetIndex())
		if j.image == nil {
			panic("host: raft took a snapshot whose image was never received")
		}
		h.shots.busy = true
	}
	h.writing++
	h.appends.put(j)
	return false
}

// appender writes the log until the host ends: all that waits becomes one
// write and one sync.
func (h *Host) appender() {
	for {
		jobs := h.appends.take(h.ctx.Done())
		if jobs == nil {
			return
		}
		for len(jobs) > 0 {
			n, err := h.appendSome(jobs)
			if err != nil {
				h.fail(err)
				return
			}
			jobs = jobs[n:]
		}
	}
}

// appendSome carries out the first jobs, as many as go together, and returns
// their number.
func (h *Host) appendSome(jobs []appendJob) (int, error) {
	if through := jobs[0].compact; through > 0 {
		if err := h.cfg.Log.Compact(through); err != nil {
			return 0, fmt.Errorf("compact the log: %w", err)
		}
		return 1, nil
	}
	n := 0
	var batches []raftlog.Batch
	for n < len(jobs) && jobs[n].compact == 0 {
		if b := logBatch(jobs[n].append); b.Reset != nil || b.HardState != nil || len(b.Entries) > 0 || b.Sync {
			batches = append(batches, b)
		}
		n++
		if jobs[n-1].image != nil {
			break // what follows waits for the machine to be restored
		}
	}
	if len(batches) > 0 {
		if err := h.cfg.Log.Append(batches); err != nil {
			return 0, fmt.Errorf("write the log: %w", err)
		}
	}
	if last := jobs[n-1]; last.image != nil {
		if !h.restore(last.image) {
			return n, nil // the host ends
		}
	}
	for _, j := range jobs[:n] {
		for _, o := range j.append.Durable {
			h.tr.Send(o.To, o.Batch)
		}
	}
	h.in.put(func(in *inputs) {
		for _, j := range jobs[:n] {
			in.appended = append(in.appended, j.append)
		}
	})
	return n, nil
}

func logBatch(a replica.Append) raftlog.Batch {
	b := raftlog.Batch{Entries: a.Entries, HardState: a.HardState, Sync: a.Sync}
	if a.Snapshot != nil {
		b.Reset = mark(a.Snapshot.GetMetadata())
	}
	return b
}

func mark(m *raftpb.SnapshotMetadata) *raftlog.Mark {
	return &raftlog.Mark{Index: m.GetIndex(), Term: m.GetTerm()}
}

// restore has the applier replace the machine's state and waits for it; the
// applier never waits for the appender. False when the host ends.
func (h *Host) restore(img *snapshot.Image) bool {
	done := make(chan struct{})
	h.applies.put(applyJob{restore: img, restored: done})
	select {
	case <-done:
		return true
	case <-h.ctx.Done():
		return false
	}
}
