package history

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/protobuf/proto"
)

// Etcd is a store of etcd's shape at one moment, in the plainest form: it shares
// no code with one that runs. It does not change; [Etcd.Do] makes another. It
// knows ranges (by limit, count and revision), puts, deletes, transactions,
// compactions, and leases as far as keys hang on them: no sorting, no filters.
type Etcd struct {
	Rev       int64 // of the last write; 1: there was none
	Compacted int64 // reads below it are refused; 0: none is

	keys   map[string]KeyValue
	leases map[int64]int64 // seconds that they were granted for
	events []Event         // of Rev, in order
	before *Etcd           // as it was at the revision before; nil: this is the first
	sum    uint64          // of all events so far
}

// KeyValue is a version of a key.
type KeyValue struct {
	Key, Value           string
	Create, Mod, Version int64
	Lease                int64
}

// Event is one change. Of a deleted key, KV has no version.
type Event struct {
	KV   KeyValue
	Prev *KeyValue // the version before; nil: the key was not there
}

// NewEtcd is a store to which nothing has happened.
func NewEtcd() *Etcd {
	return &Etcd{Rev: 1, keys: map[string]KeyValue{}, leases: map[int64]int64{}}
}

// Get returns a key as it is.
func (s *Etcd) Get(key string) (KeyValue, bool) {
	kv, ok := s.keys[key]
	return kv, ok
}

// Leases lists the IDs of all leases, ascending.
func (s *Etcd) Leases() []int64 { return slices.Sorted(maps.Keys(s.leases)) }

// TTL is how many seconds a lease was granted for; 0: there is no such lease.
func (s *Etcd) TTL(lease int64) int64 { return s.leases[lease] }

// Events lists the changes of the revision Rev.
func (s *Etcd) Events() []Event { return s.events }

// At is the store as it was at a revision, nil for one that it has not come to.
func (s *Etcd) At(rev int64) *Etcd {
	for s != nil && s.Rev > rev {
		s = s.before
	}
	if s == nil || s.Rev < rev {
		return nil
	}
	return s
}

// same says that nobody could tell the two apart.
func (s *Etcd) same(o *Etcd) bool {
	return s.Rev == o.Rev && s.Compacted == o.Compacted && s.sum == o.sum && maps.Equal(s.leases, o.leases)
}

// Do carries out a request: one of etcd's KV or Lease services. It returns the
// store as it is then, and the answer in words, as [Answer] has it.
func (s *Etcd) Do(r proto.Message) (*Etcd, string) {
	switch r := r.(type) {
	case *pb.RangeRequest:
		text, err := s.read(r)
		return s, s.say(s.Rev, text, err)
	case *pb.PutRequest:
		return s.write(func(w *writing) (string, error) { return w.put(r) })
	case *pb.DeleteRangeRequest:
		return s.write(func(w *writing) (string, error) { return w.remove(r), nil })
	case *pb.TxnRequest:
		return s.write(func(w *writing) (string, error) { return w.txn(r) })
	case *pb.CompactionRequest:
		switch {
		case r.GetRevision() <= s.Compacted:
			return s, s.say(s.Rev, "", rpctypes.ErrGRPCCompacted)
		case r.GetRevision() > s.Rev:
			return s, s.say(s.Rev, "", rpctypes.ErrGRPCFutureRev)
		}
		next := *s
		next.Compacted = r.GetRevision()
		return &next, s.say(s.Rev, "compacted", nil)
	case *pb.LeaseGrantRequest:
		if s.leases[r.GetID()] != 0 {
			return s, s.say(s.Rev, "", rpctypes.ErrGRPCLeaseExist)
		}
		next := *s
		next.leases = maps.Clone(s.leases)
		next.leases[r.GetID()] = max(r.GetTTL(), 1)
		return &next, s.say(s.Rev, fmt.Sprintf("lease %x for %d", r.GetID(), next.leases[r.GetID()]), nil)
	case *pb.LeaseRevokeRequest:
		return s.revoke(r.GetID())
	}
	return s, fmt.Sprintf("no model of %T", r)
}

// say puts an answer into words.
func (s *Etcd) say(rev int64, text string, err error) string {
	if err != nil {
		return refused(err)
	}
	return fmt.Sprintf("@%d %s", rev, text)
}

func (s *Etcd) revoke(id int64) (*Etcd, string) {
	if s.leases[id] == 0 {
		return s, s.say(s.Rev, "", rpctypes.ErrGRPCLeaseNotFound)
	}
	next, text := s.write(func(w *writing) (string, error) {
		for _, key := range slices.Sorted(maps.Keys(w.keys)) {
			if w.keys[key].Lease == id {
				w.set(KeyValue{Key: key})
			}
		}
		return "revoked", nil
	})
	if next == s {
		one := *s
		next = &one
	}
	next.leases = maps.Clone(next.leases)
	delete(next.leases, id)
	return next, text
}

// writing is a store in the midst of a write.
type writing struct {
	s      *Etcd
	keys   map[string]KeyValue // its own once there are events
	events []Event
}

func (s *Etcd) write(do func(*writing) (string, error)) (*Etcd, string) {
	w := &writing{s: s, keys: s.keys}
	text, err := do(w)
	if err != nil || len(w.events) == 0 {
		return s, s.say(s.Rev, text, err)
	}
	h := fnv.New64a()
	fmt.Fprint(h, s.sum, s.Rev)
	for _, e := range w.events {
		fmt.Fprint(h, e.KV)
	}
	next := *s
	next.Rev, next.keys, next.events, next.before, next.sum = s.Rev+1, w.keys, w.events, s, h.Sum64()
	return &next, s.say(next.Rev, text, nil)
}

// set gives a key another version; one without a version deletes it.
func (w *writing) set(kv KeyValue) {
	if len(w.events) == 0 {
		w.keys = maps.Clone(w.keys)
	}
	e := Event{KV: kv}
	if old, ok := w.keys[kv.Key]; ok {
		e.Prev = &old
	}
	if e.KV.Mod = w.s.Rev + 1; kv.Version == 0 {
		delete(w.keys, kv.Key)
	} else {
		w.keys[kv.Key] = e.KV
	}
	w.events = append(w.events, e)
}

func (w *writing) put(r *pb.PutRequest) (string, error) {
	if r.GetLease() != 0 && w.s.leases[r.GetLease()] == 0 {
		return "", rpctypes.ErrGRPCLeaseNotFound
	}
	old, exists := w.keys[string(r.GetKey())]
	kv := KeyValue{Key: string(r.GetKey()), Value: string(r.GetValue()), Create: w.s.Rev + 1, Version: 1, Lease: r.GetLease()}
	if exists {
		kv.Create, kv.Version = old.Create, old.Version+1
	}
	w.set(kv)
	if r.GetPrevKv() && exists {
		return "put before " + old.String(), nil
	}
	return "put", nil
}

func (w *writing) remove(r *pb.DeleteRangeRequest) string {
	var gone []KeyValue
	for _, kv := range within(w.keys, r.GetKey(), r.GetRangeEnd()) {
		w.set(KeyValue{Key: kv.Key})
		gone = append(gone, kv)
	}
	text := fmt.Sprintf("deleted %d", len(gone))
	if r.GetPrevKv() {
		text += list(gone)
	}
	return text
}

// within lists the keys that a request names, sorted.
func within(keys map[string]KeyValue, key, end []byte) []KeyValue {
	if len(end) == 0 {
		if kv, ok := keys[string(key)]; ok {
			return []KeyValue{kv}
		}
		return nil
	}
	var in []KeyValue
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		if k >= string(key) && (bytes.Equal(end, []byte{0}) || k < string(end)) {
			in = append(in, keys[k])
		}
	}
	return in
}

// read answers a range outside of a transaction.
func (s *Etcd) read(r *pb.RangeRequest) (string, error) {
	return (&writing{s: s, keys: s.keys}).read(r)
}

func (w *writing) read(r *pb.RangeRequest) (string, error) {
	keys := w.keys
	now := w.s.Rev
	if len(w.events) > 0 {
		now++
	}
	switch rev := r.GetRevision(); {
	case rev > now:
		return "", rpctypes.ErrGRPCFutureRev
	case rev > 0 && rev < w.s.Compacted:
		return "", rpctypes.ErrGRPCCompacted
	case rev > 0 && rev <= w.s.Rev:
		keys = w.s.At(rev).keys
	}
	kvs := within(keys, r.GetKey(), r.GetRangeEnd())
	count, more := len(kvs), false
	if n := int(r.GetLimit()); n > 0 && n < count {
		kvs, more = kvs[:n], true
	}
	if r.GetCountOnly() {
		kvs, more = nil, false
	}
	return fmt.Sprintf("read %d more %v%s", count, more, list(kvs)), nil
}

// Read is the answer to a range at revision rev, whatever was compacted since.
func (s *Etcd) Read(r *pb.RangeRequest, rev int64) string {
	then := s.At(rev)
	if then == nil {
		return fmt.Sprintf("no answer: there was never a revision %d", rev)
	}
	whole := *then
	whole.Compacted = 0
	_, answer := whole.Do(r)
	return answer
}
