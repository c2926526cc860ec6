package kv

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"github.com/musterhq/muster/kv/internal/mvcc"
)

// MaxLeaseTTL bounds the time to live of a lease, in seconds; it is etcd's.
const MaxLeaseTTL = 9_000_000_000

// Lease is what is replicated of one. When it expires is no part of that:
// clocks are not. The leader counts, and says so by a command.
type Lease struct {
	ID        int64
	TTL       int64 // seconds that it was granted for
	Remaining int64 // seconds that were left when the leader last noted it; 0: not noted since it was renewed
}

// LeaseFollower hears what becomes of leases, in the order of the commands,
// once the effects are there to be read; but of an image that is restored a
// moment before. The calls come one at a time, from the goroutine that drives the
// machine, or within FollowLeases, under a lock: they must not block, nor call
// the store.
type LeaseFollower interface {
	LeaseGranted(Lease)
	LeaseNoted(Lease) // its Remaining was set
	LeaseGone(id int64)
	LeasesReplaced([]Lease) // by those of an image that was restored
}

// leases are those that there are, as of the last commit.
type leases struct {
	mu       sync.RWMutex
	byID     map[int64]Lease
	follower LeaseFollower // nil: nobody

	// These belong to the applier.
	term, seq uint64             // see leaseTermKey
	changes   []leaseChange      // of the current Apply call
	touched   map[int64][]string // attachments that the current Apply call wrote, by lease; some more than once
}

type leaseChange struct {
	kind leaseChangeKind
	Lease
}

type leaseChangeKind byte

const (
	leaseGranted leaseChangeKind = iota
	leaseNoted
	leaseGone
)

// Lease returns the lease of that ID, if there is one.
func (s *Store) Lease(id int64) (Lease, bool) {
	l := &s.known.leases
	l.mu.RLock()
	defer l.mu.RUnlock()
	lease, ok := l.byID[id]
	return lease, ok
}

// Leases lists all, sorted by ID.
func (s *Store) Leases() []Lease {
	l := &s.known.leases
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.list()
}

func (l *leases) list() []Lease {
	list := make([]Lease, 0, len(l.byID))
	for _, lease := range l.byID {
		list = append(list, lease)
	}
	slices.SortFunc(list, func(a, b Lease) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// FollowLeases tells f of all leases that there are, by LeasesReplaced, and
// then of every change. One follows at a time; nil ends it.
func (s *Store) FollowLeases(f LeaseFollower) {
	l := &s.known.leases
	l.mu.Lock()
	defer l.mu.Unlock()
	l.follower = f
	if f != nil {
		f.LeasesReplaced(l.list())
	}
}

// LeaseKeys lists the keys that hang on a lease, sorted.
func (s *Store) LeaseKeys(id int64) (keys [][]byte, err error) {
	err = s.read(func(v *view) error {
		lower, upper := mvcc.AttachmentBounds(id)
		return scanFacts(v.db, lower, upper, func(key, _ []byte) error {
			user, ok := mvcc.AttachedKey(key)
			if !ok {
				return fmt.Errorf("damaged store: %x names no key of lease %016x", key, id)
			}
			keys = append(keys, slices.Clone(user))
			return nil
		})
	})
	return keys, err
}

// leaseTermKey is where the term of the last leader lies that took the leases
// over, and the number of its last note, 8 bytes each. What was decided of
// leases before is refused from then on.
func leaseTermKey() []byte { return mvcc.MetaKey("lease-term") }

// A lease is stored as its two numbers, as uvarints.
func encodeLease(l Lease) []byte {
	b := binary.AppendUvarint(nil, uint64(l.TTL))
	return binary.AppendUvarint(b, uint64(l.Remaining))
}

func decodeLease(key, stored []byte) (Lease, error) {
	id, ok := mvcc.LeaseOf(key)
	ttl, n := binary.Uvarint(stored)
	remaining, m := binary.Uvarint(stored[max(n, 0):])
	if !ok || n <= 0 || m <= 0 || n+m != len(stored) {
		return Lease{}, fmt.Errorf("damaged store: %x under %x is no lease", stored, key)
	}
	return Lease{ID: id, TTL: int64(ttl), Remaining: int64(remaining)}, nil
}

// loadLeases reads what the database of g holds.
func (a *applier) loadLeases(g *generation) error {
	byID := map[int64]Lease{}
	lower, upper := mvcc.LeaseBounds()
	err := scanFacts(g.db, lower, upper, func(key, stored []byte) error {
		l, err := decodeLease(key, stored)
		byID[l.ID] = l
		return err
	})
	if err != nil {
		return err
	}
	stored, ok, err := readFact(g.db, leaseTermKey())
	if err != nil {
		return err
	}
	l := &a.known.leases
	l.term, l.seq = 0, 0
	if ok {
		if len(stored) != 16 {
			return fmt.Errorf("damaged store: the term of leases has %d bytes, want 16", len(stored))
		}
		l.term, l.seq = binary.BigEndian.Uint64(stored), binary.BigEndian.Uint64(stored[8:])
	}
	l.replace(byID)
	return nil
}

func (l *leases) replace(byID map[int64]Lease) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.byID, l.changes = byID, nil
	if l.follower != nil {
		l.follower.LeasesReplaced(l.list())
	}
}

// publish lets everybody see what the commands of the Apply call did.
func (l *leases) publish() {
	if len(l.changes) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.changes {
		if c.kind == leaseGone {
			delete(l.byID, c.ID)
		} else {
			l.byID[c.ID] = c.Lease
		}
		if l.follower != nil {
			c.tell(l.follower)
		}
	}
	l.changes = l.changes[:0]
}

// touch notes that what hangs on a lease is not as it was at the last commit.
func (l *leases) touch(id int64, attachment string) {
	if l.touched == nil {
		l.touched = map[int64][]string{}
	}
	l.touched[id] = append(l.touched[id], attachment)
}

// touchedOf lists the attachments of one lease that were touched, in order.
func (l *leases) touchedOf(id int64) []string {
	own := l.touched[id]
	if len(own) == 0 {
		return nil
	}
	slices.Sort(own)
	own = slices.Compact(own)
	l.touched[id] = own
	return own
}

func (c leaseChange) tell(f LeaseFollower) {
	switch c.kind {
	case leaseGranted:
		f.LeaseGranted(c.Lease)
	case leaseNoted:
		f.LeaseNoted(c.Lease)
	case leaseGone:
		f.LeaseGone(c.ID)
	}
}
