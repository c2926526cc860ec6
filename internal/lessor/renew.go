package lessor

import (
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// Verdict is what came of one renewal, or of one question. The values are on the
// wire: never change one.
type Verdict byte

const (
	Again   Verdict = 0 // not known yet: ask again, in a moment or of another member
	Found   Verdict = 1 // it is there, and renewed if that was asked
	Unknown Verdict = 2 // there is no such lease
)

// Renewal is the verdict on one lease, and the time that it has from then on, in seconds.
type Renewal struct {
	Verdict Verdict
	TTL     int64
}

// Renew gives leases all of their time again. The caller sees to it that a quorum
// confirmed the leadership since it was asked to, and that what was committed before
// that is applied; ok is false when the lessor is not in charge for that term.
//
// Where a note is to be taken back first, the verdict is Again, and reset and seq
// are what is to be proposed, and told to Undone, before it is tried again. A lease that is over is not
// renewed any more: it is about to go.
func (l *Lessor) Renew(term uint64, ids []int64) (out []Renewal, reset *pb.LeaseCheckpointRequest, seq uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.term == 0 || l.term != term {
		return nil, nil, 0, false
	}
	now := l.lookLocked()
	out = make([]Renewal, len(ids))
	for i, id := range ids {
		one := l.byID[id]
		switch {
		case one == nil:
			out[i].Verdict = Unknown
			continue
		case !one.renewable(now):
			continue
		}
		l.extendLocked(one, i)
		if !one.hasNote() {
			out[i] = Renewal{Found, one.ttl}
			continue
		}
		if reset == nil {
			reset = &pb.LeaseCheckpointRequest{}
		}
		reset.Checkpoints = append(reset.Checkpoints, &pb.LeaseCheckpoint{ID: id})
	}
	if reset != nil {
		l.seq++
	}
	return out, reset, l.seq, true
}

// renewable says that the time of a lease is not over.
func (one *lease) renewable(now time.Duration) bool { return !one.asked && one.deadline > now }

// hasNote says that there is a note to be taken back, or that one may be on its way.
func (one *lease) hasNote() bool { return one.noted != 0 || one.note != 0 }

// extendLocked gives a lease all of its time, from when it was looked at the clock
// last. It is the nth of those that are renewed together, and was so a nanosecond
// after the one before.
func (l *Lessor) extendLocked(one *lease, nth int) {
	one.deadline, one.given = l.fromLocked()+seconds(one.ttl), l.now+time.Duration(nth)
	l.due.put(one, one.deadline)
	if one.place[byNote].index < 0 {
		l.scheduleLocked(one)
	}
}

// Undone hears that reset, with that number, is applied: what was given out to be
// noted before is overwritten, or will be refused.
func (l *Lessor) Undone(reset *pb.LeaseCheckpointRequest, seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range reset.Checkpoints {
		if one := l.byID[c.ID]; one != nil && one.note < seq {
			one.note = 0
		}
	}
}

// Left is how long a lease has at least, less than nothing if it is over, and how
// many seconds it was granted for.
func (l *Lessor) Left(term uint64, id int64) (left time.Duration, granted int64, v Verdict) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.term == 0 || l.term != term {
		return 0, 0, Again
	}
	now := l.lookLocked()
	one := l.byID[id]
	if one == nil {
		return 0, 0, Unknown
	}
	return min(one.deadline-now, seconds(one.ttl)), one.ttl, Found
}
