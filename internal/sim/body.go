package sim

import (
	"maps"
	"slices"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/member"
	"github.com/musterhq/muster/internal/replica"
	"github.com/musterhq/muster/internal/snapshot"
)

// A process is its member's body.
var _ member.Body = (*process)(nil)

// Append implements member.Workers: all that waits when the disk is free
// becomes one write.
func (p *process) Append(j member.AppendJob) {
	if !p.alive() {
		return
	}
	p.node.w.truth.appending(p, j)
	p.appends = append(p.appends, j)
	p.write()
}

func (p *process) write() {
	if p.writing || len(p.appends) == 0 {
		return
	}
	p.writing = true
	jobs := p.appends // what comes while these are written goes with the next
	p.appends = nil
	p.node.w.schedule(p.node.disk.latency(), "append", p, func() {
		for len(jobs) > 0 && p.alive() {
			n, err := p.writer.Some(jobs)
			if err != nil {
				p.Fail(err)
				return
			}
			done := jobs[:n]
			p.written(done)
			jobs = jobs[n:]
			p.input("appended", p.node.w.jitter(millisecond), func() {
				for _, j := range done {
					p.m.Appended(j)
				}
			})
		}
		p.writing = false
		p.write()
	})
}

// written looks for moments in what is on disk now, as far as it was synced.
func (p *process) written(jobs []member.AppendJob) {
	for _, j := range jobs {
		if hs := j.Append.HardState; hs.GetVote() != 0 && j.Append.Sync && len(j.Append.Durable) > 0 && len(j.Append.Entries) == 0 {
			p.node.w.reached(onVote, p)
		}
		if len(j.Append.Entries) > 0 {
			p.node.w.reached(onAppend, p)
		}
	}
}

// restore has the applier finish what it has and then replace the machine.
func (p *process) restore(img *snapshot.Image) error {
	p.applies = append(p.applies, member.ApplyJob{Restore: img, Restored: func() {}})
	p.applied = img.Index
	return p.applyAll()
}

// Apply implements member.Workers.
func (p *process) Apply(j member.ApplyJob) {
	if !p.alive() {
		return
	}
	p.node.w.truth.applying(p, j)
	p.applies = append(p.applies, j)
	if p.applying {
		return
	}
	p.applying = true
	p.node.w.schedule(p.node.w.jitter(4*millisecond), "apply", p, func() {
		p.applying = false
		if err := p.applyAll(); err != nil {
			p.Fail(err)
		}
	})
}

// applyAll carries out what waits for the applier.
func (p *process) applyAll() error {
	jobs := p.applies
	p.applies = nil
	for len(jobs) > 0 {
		n, checkpoint, err := p.applier.Some(jobs)
		if err != nil {
			return err
		}
		var done []member.Completion
		if checkpoint != nil {
			done = append(done, *checkpoint)
		}
		for _, j := range jobs[:n] {
			if j.Apply != nil {
				done = append(done, member.Completion{Apply: j.Apply})
			}
		}
		jobs = jobs[n:]
		// Inputs of one source keep their order: no jitter.
		p.input("applied", 0, func() {
			for _, c := range done {
				p.m.Completed(c)
			}
		})
	}
	return nil
}

// take is who waits here for a command.
func (p *process) take(seq uint64) member.Waiter {
	a := p.waiting[seq]
	if a == nil {
		return nil
	}
	delete(p.waiting, seq)
	return a
}

// Later implements member.Workers.
func (p *process) Later(work, done func()) {
	p.node.w.schedule(p.node.w.jitter(20*millisecond), "later", p, func() {
		work()
		if p.alive() {
			p.input("done later", p.node.w.jitter(millisecond), done)
		}
	})
}

// SetPeers implements member.Network. As in the transport, whoever leaves the
// set loses its connection in the other direction, too, and hears why when it
// dials again.
func (p *process) SetPeers(addrs map[cluster.NodeID]string) {
	old := p.peers
	p.peers = maps.Clone(addrs)
	for _, q := range p.node.w.running() {
		l := q.links[p.self.NodeID]
		if _, stays := p.peers[q.self.NodeID]; l != nil && l.far == p && !stays && old[q.self.NodeID] != "" {
			l.hangUp()
		}
	}
	for _, id := range slices.Sorted(maps.Keys(p.links)) {
		if addr, ok := p.peers[id]; !ok || addr != p.links[id].addr {
			p.links[id].drop()
			delete(p.links, id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(p.peers)) {
		if p.links[id] == nil {
			p.links[id] = p.node.w.net.link(p, id, p.peers[id])
		}
	}
}

// Changed implements member.Watcher.
func (p *process) Changed(v *member.View) {
	p.view = v
	p.node.w.truth.changed(p, v)
}

// Progress implements member.Watcher.
func (p *process) Progress(applied, committed uint64) {
	p.progress.applied, p.progress.committed = applied, committed
	p.node.w.truth.progress(p, applied, committed)
}

// Dropped implements member.Watcher.
func (p *process) Dropped(d replica.Dropped) {
	for i := range d.Count {
		if a := p.waiting[d.First+i]; a != nil {
			delete(p.waiting, d.First+i)
			a.rejected(d.Overloaded)
		}
	}
}

// Released implements member.Watcher.
func (p *process) Released(r replica.ReadDone) {
	if a := p.reading[r.Token]; a != nil {
		delete(p.reading, r.Token)
		a.read(r.Index)
	}
}

// Emit implements member.Watcher.
func (p *process) Emit(e event.Event) {
	p.node.w.say("%s: %s", p.node.host, e.Text())
	p.node.w.notice(p, e)
}

// Warn implements member.Watcher.
func (p *process) Warn(text string, err error) {
	p.node.w.say("%s: %s: %v", p.node.host, text, err)
}

// Fail implements member.Watcher.
func (p *process) Fail(err error) {
	if p.why == nil {
		p.why = err
	}
}
