package kv

import "go.etcd.io/etcd/api/v3/mvccpb"

// withPrevious gives each event with the version before it, as of before its
// revision, and cuts the piece where those are too large. As in etcd, it is left
// out where it is compacted.
func (s *Store) withPrevious(p *piece, give func(*mvccpb.Event)) error {
	g, err := s.acquire()
	if err != nil {
		return err
	}
	defer g.release()
	v := view{db: g.db}
	size := 0
	for i, e := range p.events {
		if size >= s.hub.limits.part {
			p.cutBefore(i)
			break
		}
		if e.withPrev.Load() == nil {
			if err = e.findPrevious(&v); err != nil {
				break
			}
		}
		// Only now, since what is compacted may have been purged before it was
		// read; and also for what was found before it was compacted.
		if e.rev-1 < g.state.Load().compacted {
			give(e.event())
		} else {
			give(e.withPrev.Load())
		}
		prev := e.withPrev.Load().GetPrevKv()
		size += e.size() + len(prev.GetKey()) + len(prev.GetValue())
	}
	if cerr := v.close(); err == nil {
		err = cerr
	}
	return err
}

// findPrevious sets withPrev, to the plain event if there is none before it.
func (e *pageEvent) findPrevious(v *view) error {
	ev := e.event()
	if e.deleted() || e.meta.Create != e.rev {
		it, found, err := v.get(e.key, e.rev-1)
		if err != nil {
			return err
		}
		if found {
			ev = &mvccpb.Event{Type: ev.Type, Kv: ev.Kv, PrevKv: it.kv()}
		}
	}
	e.withPrev.Store(ev)
	return nil
}
