package lessor

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/musterhq/muster/kv"
)

const (
	// maxStep is how much time may pass between two looks at the clock and count.
	maxStep = time.Second
	// askAgain is how long a lease that is over is left alone after it was asked to
	// be revoked. It is etcd's, as are the others.
	askAgain = 3 * time.Second
	// DefaultNoteEvery is the time between two notes of what a lease has left, and
	// what it must have left to be noted.
	DefaultNoteEvery = 5 * time.Minute
	// maxNotes bounds the leases that one command notes.
	maxNotes = 1000
)

// Lessor is the count of one leader. It is safe for concurrent use. The zero
// term says that it is not in charge: it then only knows how many leases there are.
type Lessor struct {
	clock     func() time.Time // monotonic
	wall      func() time.Time // counts also while the machine sleeps
	noteEvery time.Duration
	grace     time.Duration
	first     func() // there is a lease where there was none; must not block

	mu    sync.Mutex
	term  uint64
	next  uint64 // is the term once it is told which leases there are; 0: none
	seq   uint64 // of the last note given out
	looks time.Time
	now   time.Duration // that counted, since it took charge
	from  time.Duration // by when the grace is over: until then a lease's time is counted from there
	leads leading
	sure  confirmation
	count int // leases that there are
	byID  map[int64]*lease
	due   queue // by when to be revoked
	notes queue // by when to be noted
	gone  chan struct{}
}

// lease is one while the lessor is in charge. Times are of its count.
type lease struct {
	id, ttl  int64
	noted    int64  // seconds that are noted to be left; 0: none
	note     uint64 // number of the last note given out that is not known to be undone
	deadline time.Duration
	given    time.Duration // when it was given that, for those who have the same
	asked    bool          // to be revoked
	place    [2]place
}

// Options are what a lessor is told. Zero values are the defaults.
type Options struct {
	Clock     func() time.Time // monotonic. Default: time.Now
	Wall      func() time.Time // counts also while the machine sleeps. Default: the time of day of Clock
	NoteEvery time.Duration    // Default: DefaultNoteEvery
	Grace     time.Duration    // the same on all members. Default: DefaultGrace
	First     func()           // hears that there is a lease where there was none; must not block
}

// New makes one that is not in charge.
func New(o Options) *Lessor {
	l := &Lessor{
		clock: o.Clock, wall: o.Wall, first: o.First,
		noteEvery: cmp.Or(o.NoteEvery, DefaultNoteEvery), grace: cmp.Or(o.Grace, DefaultGrace),
		due: queue{which: byDue}, notes: queue{which: byNote}, gone: make(chan struct{}),
	}
	if l.clock == nil {
		l.clock = time.Now
	}
	if l.wall == nil {
		l.wall = func() time.Time { return l.clock().Round(0) }
	}
	if l.first == nil {
		l.first = func() {}
	}
	return l
}

// TakeOver puts it in charge for a term, as soon as LeasesReplaced tells it which
// leases there are.
func (l *Lessor) TakeOver(term uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.term, l.next = 0, term
	l.clearLocked()
}

// Drop ends its charge.
func (l *Lessor) Drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.term, l.next = 0, 0
	l.clearLocked()
	l.tellGoneLocked()
}

func (l *Lessor) clearLocked() {
	l.byID = nil
	l.due.list, l.notes.list = nil, nil
}

// Term is the one that it is in charge for; 0: it is not.
func (l *Lessor) Term() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.term
}

// Count is how many leases there are.
func (l *Lessor) Count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

// NextSeq numbers the note by which the leases are taken over.
func (l *Lessor) NextSeq() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq++
	return l.seq
}

// Gone is closed when a lease goes, or the charge ends.
func (l *Lessor) Gone() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gone
}

func (l *Lessor) tellGoneLocked() {
	close(l.gone)
	l.gone = make(chan struct{})
}

// lookLocked looks at the clock.
func (l *Lessor) lookLocked() time.Duration {
	at := l.clock()
	l.now += min(max(at.Sub(l.looks), 0), maxStep)
	l.looks = at
	return l.now
}

// LeasesReplaced implements kv.LeaseFollower.
func (l *Lessor) LeasesReplaced(all []kv.Lease) {
	l.mu.Lock()
	defer l.mu.Unlock()
	none := l.count == 0
	l.count = len(all)
	if none && l.count > 0 {
		l.first()
	}
	if l.next != 0 {
		l.term, l.next, l.looks, l.now = l.next, 0, l.clock(), 0
		l.from = l.graceLocked()
	}
	if l.term == 0 {
		return
	}
	l.clearLocked()
	l.byID = make(map[int64]*lease, len(all))
	l.lookLocked()
	for _, x := range all {
		l.addLocked(x)
	}
	l.tellGoneLocked()
}

// LeaseGranted implements kv.LeaseFollower.
func (l *Lessor) LeaseGranted(x kv.Lease) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count++; l.count == 1 {
		l.first()
	}
	if l.term != 0 {
		l.lookLocked()
		l.addLocked(x)
	}
}

// LeaseNoted implements kv.LeaseFollower.
func (l *Lessor) LeaseNoted(x kv.Lease) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if one := l.byID[x.ID]; one != nil {
		one.noted = x.Remaining
	}
}

// LeaseGone implements kv.LeaseFollower.
func (l *Lessor) LeaseGone(id int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count--
	if one := l.byID[id]; one != nil {
		delete(l.byID, id)
		l.due.drop(one)
		l.notes.drop(one)
		l.tellGoneLocked()
	}
}

// addLocked begins to count a lease: all of its time, or what is noted of it.
func (l *Lessor) addLocked(x kv.Lease) {
	one := &lease{id: x.ID, ttl: x.TTL, noted: x.Remaining, place: [2]place{{index: -1}, {index: -1}}}
	l.byID[x.ID] = one
	one.deadline = l.fromLocked() + seconds(cmp.Or(x.Remaining, x.TTL))
	one.given = l.now
	l.due.put(one, one.deadline)
	l.scheduleLocked(one)
}

// scheduleLocked has a lease noted in a while, if it has long enough.
func (l *Lessor) scheduleLocked(one *lease) {
	if one.deadline-l.now > l.noteEvery {
		l.notes.put(one, l.now+l.noteEvery)
	} else {
		l.notes.drop(one)
	}
}

// seconds is d as a duration: up to kv.MaxLeaseTTL, which is 285 years.
func seconds(s int64) time.Duration { return time.Duration(s) * time.Second }

// Over lists leases whose time is over, at most limit, and in what term that was
// found. They are listed again if they are still there after some time.
func (l *Lessor) Over(limit int) (ids []int64, term uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.lookLocked()
	for len(ids) < limit {
		one, at := l.due.first()
		if one == nil || at > now {
			break
		}
		one.asked = true
		l.due.put(one, now+askAgain)
		ids = append(ids, one.id)
	}
	return ids, l.term
}

// Notes is what is to be noted now, for up to 1000 leases; nil: nothing. From
// then on a renewal of one of them has its note taken back, whether it gets into
// the log or not.
func (l *Lessor) Notes() (r *pb.LeaseCheckpointRequest, term, seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.lookLocked()
	for r == nil || len(r.Checkpoints) < maxNotes {
		one, at := l.notes.first()
		if one == nil || at > now {
			break
		}
		l.notes.drop(one)
		left := int64(math.Ceil((one.deadline - now).Seconds()))
		if left <= 0 {
			continue
		}
		l.scheduleLocked(one)
		if left >= one.ttl {
			continue // just renewed
		}
		if r == nil {
			r = &pb.LeaseCheckpointRequest{}
			l.seq++
		}
		one.note = l.seq
		r.Checkpoints = append(r.Checkpoints, &pb.LeaseCheckpoint{ID: one.id, Remaining_TTL: left})
	}
	return r, l.term, l.seq
}

// Leases lists the IDs of all leases, those first that are over first; ok is
// false while it is not in charge.
func (l *Lessor) Leases() (ids []int64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]*lease, 0, len(l.byID))
	for _, one := range l.byID {
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b *lease) int {
		return cmp.Or(cmp.Compare(a.deadline, b.deadline), cmp.Compare(a.given, b.given), cmp.Compare(a.id, b.id))
	})
	for _, one := range all {
		ids = append(ids, one.id)
	}
	return ids, l.term != 0
}
