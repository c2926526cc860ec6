package lessor

import "github.com/musterhq/muster/kv"

// Look holds the charge against who leads now: one that has ended is dropped.
// What is returned is the command that takes charge for term, nil if there is
// nothing to take. Once it is applied, and the member still leads in that term, Taken goes on.
func (l *Lessor) Look(term uint64, leads bool) (takeOver []byte, err error) {
	if leads {
		l.elected(term)
	}
	mine := l.Term()
	if mine != 0 && (!leads || mine != term) {
		l.Drop()
		mine = 0
	}
	if !leads || mine != 0 || l.Count() == 0 {
		return nil, nil
	}
	return kv.EncodeLeaseCheckpoint(term, l.NextSeq(), nil)
}

// Taken puts it in charge for a term, of the leases that s has.
func (l *Lessor) Taken(term uint64, s Store) {
	l.TakeOver(term)
	s.FollowLeases(l)
}

// Expiry is the command that revokes a lease which [Lessor.Over] listed; nil when
// the charge has ended since.
func (l *Lessor) Expiry(term uint64, id int64) ([]byte, error) {
	if l.Term() != term {
		return nil, nil
	}
	return kv.EncodeLeaseExpiry(term, id)
}

// Note is the command that notes what is to be noted now, of how many leases;
// nil: nothing.
func (l *Lessor) Note() (cmd []byte, leases int, err error) {
	r, term, seq := l.Notes()
	if r == nil {
		return nil, 0, nil
	}
	cmd, err = kv.EncodeLeaseCheckpoint(term, seq, r)
	return cmd, len(r.Checkpoints), err
}
