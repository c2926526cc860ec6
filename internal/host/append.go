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
		batches = append(batches, logBatch(jobs[n].append))
		n++
		if jobs[n-1].image != nil {
			break // what follows waits for the machine to be restored
		}
	}
	if err := h.cfg.Log.Append(batches); err != nil {
		return 0, fmt.Errorf("write the log: %w", err)
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
