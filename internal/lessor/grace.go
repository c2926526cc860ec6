package lessor

import "time"

// DefaultGrace is how much more than its time a new leader gives a lease: what
// the leaders before it may have promised on the strength of a confirmation that
// was not of that moment. It is the same on all members, whatever their election
// timeouts are, since each has to give what any other may have taken.
const DefaultGrace = time.Second

// trusted is for how long a confirmation is recent. The rest of the grace is for
// clocks that don't run equally fast: one machine's may be a quarter slower than
// another's.
func trusted(grace time.Duration) time.Duration { return grace * 3 / 4 }

// leading is a term that the member leads, and a moment no sooner than when it was elected.
type leading struct {
	term uint64
	seen time.Time
}

// elected hears that the member leads in term.
func (l *Lessor) elected(term uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.leads.term != term {
		l.leads = leading{term, l.clock()}
	}
}

// graceLocked is what is left of the grace when it takes charge: it begins when
// the member was elected, for no leader before it was confirmed after that.
func (l *Lessor) graceLocked() time.Duration {
	if l.leads.term != l.term {
		return l.grace
	}
	return max(l.grace-l.looks.Sub(l.leads.seen), 0)
}

// fromLocked is from when a lease has all of its time that is renewed now.
func (l *Lessor) fromLocked() time.Duration { return max(l.now, l.from) }
