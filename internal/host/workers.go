package host

import (
	"github.com/musterhq/muster/internal/member"
	"github.com/musterhq/muster/internal/snapshot"
)

// appender writes the log until the host ends: all that waits becomes one
// write and one sync.
func (h *Host) appender() {
	w := member.Writer{Log: h.cfg.Disk.Log, Restore: h.restore, Send: h.tr.Send}
	for {
		jobs := h.appends.take(h.ctx.Done())
		if jobs == nil {
			return
		}
		for len(jobs) > 0 {
			n, err := w.Some(jobs)
			if err != nil {
				h.fail(err)
				return
			}
			h.in.put(func(in *inputs) { in.appended = append(in.appended, jobs[:n]...) })
			jobs = jobs[n:]
		}
	}
}

// restore has the applier replace the machine's state and waits for it; the
// applier never waits for the appender.
func (h *Host) restore(img *snapshot.Image) error {
	done := make(chan struct{})
	h.applies.put(member.ApplyJob{Restore: img, Restored: func() { close(done) }})
	select {
	case <-done:
		return nil
	case <-h.ctx.Done():
		return h.stoppedErr()
	}
}

// applier drives the machine until the host ends.
func (h *Host) applier(a *member.Applier) {
	defer func() {
		for _, w := range a.Unfinished() {
			if w != nil {
				w.Finish(nil, ErrUnknownOutcome)
			}
		}
	}()
	for {
		jobs := h.applies.take(h.ctx.Done())
		if jobs == nil {
			return
		}
		for len(jobs) > 0 {
			n, checkpoint, err := a.Some(jobs)
			if err != nil {
				h.fail(err)
				return
			}
			h.in.put(func(in *inputs) {
				if checkpoint != nil {
					in.completed = append(in.completed, *checkpoint)
				}
				for _, j := range jobs[:n] {
					if j.Apply != nil {
						in.completed = append(in.completed, member.Completion{Apply: j.Apply})
					}
				}
			})
			jobs = jobs[n:]
		}
	}
}
