package member

import (
	"fmt"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/raftlog"
	"github.com/musterhq/muster/internal/replica"
	"github.com/musterhq/muster/internal/snapshot"
	"github.com/musterhq/muster/internal/wire"
)

// AppendJob is one job of the [Writer]: an append, or a compaction.
type AppendJob struct {
	Append  replica.Append
	Image   *snapshot.Image // what the machine is restored from, with an append that carries a snapshot
	Compact uint64          // not 0: forget entries through here
}

// appendLater gives an append to the writer. What has nothing to write is done
// at once, when nothing before it is still being written; it says so then.
//
// A commit index is no reason to write: it is not needed after a crash, only
// useful, and goes with the next write that is.
func (m *Member) appendLater(a replica.Append) (done bool) {
	if len(a.Entries) > 0 || a.Snapshot != nil || a.Sync {
		if a.HardState == nil {
			a.HardState = m.commit
		}
		m.commit = nil
	} else if a.HardState != nil {
		m.commit, a.HardState = a.HardState, nil
	}
	if m.writing == 0 && a.HardState == nil && !a.Sync {
		for _, o := range a.Durable {
			m.body.Send(o.To, o.Batch)
		}
		if err := m.rep.Appended(a); err != nil {
			m.fail(err)
		}
		return true
	}
	j := AppendJob{Append: a}
	for _, e := range a.Entries {
		m.images.gathered += int64(len(e.GetData()))
	}
	if a.Snapshot != nil {
		j.Image = m.images.received(a.Snapshot.GetMetadata().GetIndex())
		if j.Image == nil {
			panic("member: raft took a snapshot whose image was never received")
		}
		m.images.busy = true
	}
	m.writing++
	m.body.Append(j)
	return false
}

// Appended takes back a job that the writer has done, in order.
func (m *Member) Appended(j AppendJob) {
	if m.failed || j.Compact > 0 {
		return
	}
	m.writing--
	if err := m.rep.Appended(j.Append); err != nil {
		m.fail(err)
		return
	}
	if j.Append.Snapshot != nil {
		m.installed(j.Append.Snapshot.GetMetadata().GetIndex())
	}
}

// Writer is the only writer of the log. One goroutine uses it.
type Writer struct {
	Log *raftlog.Log
	// Restore has the applier replace the machine's state, after the jobs that
	// it has, and returns when that is done.
	Restore func(*snapshot.Image) error
	Send    func(cluster.NodeID, *wire.Batch)
}

// Some carries out the first jobs, as many as go together in one write and one
// sync, sends what may be sent once that is durable, and returns their number.
// They are to be given to [Member.Appended]. An error ends the member.
func (w *Writer) Some(jobs []AppendJob) (int, error) {
	if through := jobs[0].Compact; through > 0 {
		if err := w.Log.Compact(through); err != nil {
			return 0, fmt.Errorf("compact the log: %w", err)
		}
		return 1, nil
	}
	n := 0
	var batches []raftlog.Batch
	for n < len(jobs) && jobs[n].Compact == 0 {
		if b := logBatch(jobs[n].Append); b.Reset != nil || b.HardState != nil || len(b.Entries) > 0 || b.Sync {
			batches = append(batches, b)
		}
		n++
		if jobs[n-1].Image != nil {
			break // what follows waits for the machine to be restored
		}
	}
	if len(batches) > 0 {
		if err := w.Log.Append(batches); err != nil {
			return 0, fmt.Errorf("write the log: %w", err)
		}
	}
	if last := jobs[n-1]; last.Image != nil {
		if err := w.Restore(last.Image); err != nil {
			return 0, err
		}
	}
	for _, j := range jobs[:n] {
		for _, o := range j.Append.Durable {
			w.Send(o.To, o.Batch)
		}
	}
	return n, nil
}

func logBatch(a replica.Append) raftlog.Batch {
	b := raftlog.Batch{Entries: a.Entries, HardState: a.HardState, Sync: a.Sync}
	if a.Snapshot != nil {
		meta := a.Snapshot.GetMetadata()
		b.Reset = &raftlog.Mark{Index: meta.GetIndex(), Term: meta.GetTerm()}
	}
	return b
}
