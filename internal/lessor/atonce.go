package lessor

import "time"

// moment is when something was, by two clocks. Together they count all of the time
// that passes: the first doesn't, on most systems, while the machine sleeps, and
// the second may be set.
type moment struct{ mono, wall time.Time }

// since is how long ago that was, at least; ok is false if a clock went back.
func (m moment) since(then moment) (d time.Duration, ok bool) {
	mono, wall := m.mono.Sub(then.mono), m.wall.Sub(then.wall)
	return max(mono, wall), mono >= 0 && wall >= 0
}

// confirmation is that a quorum has confirmed the leadership of a term, after a moment.
type confirmation struct {
	term  uint64 // 0: none
	began moment
}

// moment is now.
func (l *Lessor) moment() moment { return moment{l.clock(), l.wall()} }

// confirmed hears that a quorum has confirmed the leadership of term, and was
// asked to no sooner than at began.
func (l *Lessor) confirmed(term uint64, began moment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := &l.sure; term > c.term || term == c.term && began.mono.After(c.began.mono) {
		*c = confirmation{term, began}
	}
}

// Ageing says that a confirmation of term's leadership will not be recent any more
// before long, so that it is time for another.
func (l *Lessor) Ageing(term uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.recentLocked(term, trusted(l.grace)/2)
}

// recentLocked says that a quorum was asked less than age ago to confirm the
// leadership of term, and did.
func (l *Lessor) recentLocked(term uint64, age time.Duration) bool {
	if l.sure.term != term {
		return false
	}
	d, ok := l.moment().since(l.sure.began)
	return ok && d < age
}

// atOnce gives leases all of their time again on the strength of a confirmation
// that is recent. It answers that for all of them, or with nil for none: then they
// are as they were. The caller sees to it that what is known to be committed is applied.
func (l *Lessor) atOnce(term uint64, ids []int64) []Renewal {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.term == 0 || l.term != term || !l.recentLocked(term, trusted(l.grace)) {
		return nil
	}
	now := l.lookLocked()
	for _, id := range ids {
		if one := l.byID[id]; one == nil || !one.renewable(now) || one.hasNote() {
			return nil
		}
	}
	out := make([]Renewal, len(ids))
	for i, id := range ids {
		one := l.byID[id]
		l.extendLocked(one, i)
		out[i] = Renewal{Found, one.ttl}
	}
	return out
}
