package host

import (
	"fmt"
	"time"
)

// loop is the owner of the member: it feeds it what has come, until the host
// ends. It never waits for disk, network, appender or applier (but for the
// durable state while the node is in no cluster yet).
func (h *Host) loop() {
	ticker := time.NewTicker(h.cfg.Heartbeat)
	defer ticker.Stop()
	defer h.surviveBrokenLog()
	h.m.Drive()
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
		h.step(in)
		if ticked {
			h.m.Tick()
		}
		h.propose(in.proposals)
		h.read(in.reads)
		h.in.recycle(in)
		h.m.Drive()
		if ticked {
			h.m.Tended()
		}
	}
}

// surviveBrokenLog turns raft's panic over a log that can't be read into the
// end of the host. Any other panic is a bug and goes on.
func (h *Host) surviveBrokenLog() {
	if h.m.Broken() == nil {
		return
	}
	if recover() != nil {
		h.fail(fmt.Errorf("read the log: %w", h.m.Broken()))
	}
}

// step feeds the member what its stages and peers have sent.
func (h *Host) step(in inputs) {
	for _, j := range in.appended {
		h.m.Appended(j)
	}
	for _, c := range in.completed {
		h.m.Completed(c)
	}
	for _, b := range in.batches {
		h.m.Messages(b.from, b.batch)
	}
}
