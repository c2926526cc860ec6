package kv

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster/statemachine"
)

var leaseNotes atomic.Uint64

// encode makes a command of any write request. All notes of leases are of one
// leader, in order.
func encode(t testing.TB, m proto.Message) []byte {
	t.Helper()
	var cmd []byte
	var err error
	switch r := m.(type) {
	case *pb.PutRequest:
		cmd, err = EncodePut(r)
	case *pb.DeleteRangeRequest:
		cmd, err = EncodeDeleteRange(r)
	case *pb.TxnRequest:
		cmd, err = EncodeTxn(r)
	case *pb.CompactionRequest:
		cmd, err = EncodeCompaction(r)
	case *pb.LeaseGrantRequest:
		cmd, err = EncodeLeaseGrant(r)
	case *pb.LeaseRevokeRequest:
		cmd, err = EncodeLeaseRevoke(r)
	case *pb.LeaseCheckpointRequest:
		cmd, err = EncodeLeaseCheckpoint(1, leaseNotes.Add(1), r)
	case *pb.AlarmRequest:
		cmd, err = EncodeAlarm(r)
	default:
		t.Fatalf("no write: %T", m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return cmd
}

// world runs a store next to the model, with the log that a host would have.
type world struct {
	t      *testing.T
	rnd    *rand.Rand
	disk   *vfs.MemFS
	s      *Store
	model  *model
	log    []logged // what was applied, in Apply calls
	index  uint64
	images int
	gens   int // directories used for the store
	dir    string
	cut    int           // calls that a crash cut short between pieces
	bites  chan struct{} // one for each batch that the purger may write; see allow
}

type logged struct {
	through uint64
	entries []statemachine.Entry
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, rnd: rand.New(rand.NewPCG(seed, 0)), disk: vfs.NewCrashableMem(), model: newModel(), dir: "kv", bites: make(chan struct{}, 1<<20)}
	w.mkdir(w.dir)
	w.open()
	return w
}

// mkdir makes a directory as a host does: durably.
func (w *world) mkdir(dir string) {
	w.t.Helper()
	must(w.t, w.disk.MkdirAll(dir, 0o755))
	must(w.t, syncDir(w.disk, ""))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func smallOptions(disk vfs.FS) Options {
	return Options{FS: disk, CacheBytes: 1 << 20, MemTableBytes: 64 << 10}
}

// open starts a store on the directory and repeats the log from there.
func (w *world) open() {
	w.t.Helper()
	w.s = w.store()
	applied, err := w.s.Open(w.dir)
	must(w.t, err)
	w.replay(applied)
}

func (w *world) replay(applied uint64) {
	w.t.Helper()
	atBoundary := applied == 0
	for _, l := range w.log {
		if l.through <= applied {
			atBoundary = atBoundary || l.through == applied
			continue
		}
		w.smallPieces()
		if _, err := w.s.Apply(l.through, l.entries); err != nil {
			w.t.Fatalf("repeat through %d after %d: %v", l.through, applied, err)
		}
	}
	if !atBoundary {
		w.t.Fatalf("applied index %d is inside of an Apply call", applied)
	}
}

func (w *world) requests() requests { return requests{w.rnd, w.model.rev} }

// write applies a few random commands in one call and compares the replies.
func (w *world) write() {
	w.t.Helper()
	var l logged
	var reqs []proto.Message
	var want []Reply
	w.index++
	for range w.rnd.IntN(8) {
		if w.rnd.IntN(2) == 0 {
			w.index++
		}
		req := w.requests().write()
		reqs = append(reqs, req)
		want = append(want, w.model.apply(req))
		l.entries = append(l.entries, statemachine.Entry{Index: w.index, Command: encode(w.t, req), Wanted: w.rnd.IntN(4) > 0})
	}
	w.index += uint64(w.rnd.IntN(2))
	l.through = w.index
	w.smallPieces()
	got, err := w.s.Apply(l.through, l.entries)
	if err != nil {
		w.t.Fatalf("Apply: %v", err)
	}
	w.log = append(w.log, l)
	for i, e := range l.entries {
		if !e.Wanted {
			if got[i] != nil {
				w.t.Fatalf("result of an unwanted %T: %v", reqs[i], got[i])
			}
			continue
		}
		w.same(reqs[i], got[i].(Reply), want[i])
	}
}

func (w *world) same(req proto.Message, got, want Reply) {
	w.t.Helper()
	if errors.Is(got.Err, want.Err) && (want.Err != nil || proto.Equal(got.Response, want.Response)) {
		return
	}
	w.t.Fatalf("%T %v\n got %v, %v\nwant %v, %v", req, req, got.Response, got.Err, want.Response, want.Err)
}

func (w *world) read() {
	w.t.Helper()
	w.model.reading = true
	defer func() { w.model.reading = false }()
	req := w.requests().read()
	want := w.model.apply(req)
	w.same(req, w.s.answer(req), want)
	if r, ok := req.(*pb.RangeRequest); ok {
		w.same(req, w.s.answerInParts(r, w.rnd.IntN(100)), want)
	}
}

func (s *Store) answer(req proto.Message) Reply {
	var r Reply
	if q, ok := req.(*pb.RangeRequest); ok {
		resp, err := s.Range(context.Background(), q)
		if r.Err = err; err == nil {
			r.Response = resp
		}
		return r
	}
	resp, err := s.ReadTxn(context.Background(), req.(*pb.TxnRequest))
	if r.Err = err; err == nil {
		r.Response = resp
	}
	return r
}

// crash loses what was not synced, all or some of it.
func (w *world) crash() {
	w.t.Helper()
	durable, err := w.s.Durable()
	must(w.t, err)
	after := w.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: pick(w.rnd, 0, 50, 100), RNG: w.rnd})
	must(w.t, w.s.Close())
	w.disk = after
	w.s = w.store()
	applied, err := w.s.Open(w.dir)
	must(w.t, err)
	if applied < durable {
		w.t.Fatalf("Open after a crash: applied %d, but %d was durable", applied, durable)
	}
	w.replay(applied)
}

// image writes one and has another store, or this one, start from it.
func (w *world) image() {
	w.t.Helper()
	w.images++
	dir := fmt.Sprintf("image-%d", w.images)
	w.mkdir(dir)
	if w.rnd.IntN(2) == 0 {
		must(w.t, w.s.Prepare())
	}
	must(w.t, w.s.Checkpoint(dir))
	at := w.index
	for range w.rnd.IntN(5) {
		w.write()
	}
	if w.rnd.IntN(2) == 0 {
		must(w.t, w.s.Close())
		w.gens++
		w.dir = fmt.Sprintf("kv-%d", w.gens)
		w.mkdir(w.dir)
		w.s = w.store()
		_, err := w.s.Open(w.dir)
		must(w.t, err)
	}
	must(w.t, w.s.Restore(dir, at))
	if d, err := w.s.Durable(); err != nil || d != at {
		w.t.Fatalf("Durable after Restore: %d, %v; want %d", d, err, at)
	}
	w.replay(at)
}

// TestMetamorphic holds the store against the model through restarts,
// crashes, restored images, and purges of compacted history that get on by a
// bite now and then: every reply and every answer is equal.
func TestMetamorphic(t *testing.T) {
	for seed := range uint64(16) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seed)
			for range 400 {
				switch n := w.rnd.IntN(100); {
				case n < 50:
					w.write()
				case n < 95:
					w.read()
				case n < 96:
					must(t, w.s.Prepare())
				case n < 97:
					w.purge()
				case n < 98:
					must(t, w.s.Close())
					w.open()
				case n < 99 && w.rnd.IntN(2) == 0:
					w.crashWithin()
				case n < 99:
					w.crash()
				default:
					w.image()
				}
			}
			for range 300 {
				w.read()
			}
			cur, compacted := w.s.Revision()
			if cur != w.model.rev || compacted != max(w.model.compacted, 0) {
				t.Errorf("Revision: %d, %d; want %d, %d", cur, compacted, w.model.rev, w.model.compacted)
			}
			w.sameLeases()
			w.sameHash()
			w.sameEvents()
			w.samePurged()
			w.s.sound(t)
			must(t, w.s.Close())
		})
	}
}

// sameHash feeds the log to a fresh store, in other Apply calls, with nobody
// waiting and nothing purged.
func (w *world) sameHash() {
	w.t.Helper()
	other := New(smallOptions(vfs.NewMem()))
	other.purge.step = func(quit <-chan struct{}) error { <-quit; return errPurgeStopped }
	must(w.t, other.opt.FS.MkdirAll("kv", 0o755))
	_, err := other.Open("kv")
	must(w.t, err)
	other.applier.limits.attachments = w.rnd.IntN(2) * 1000
	var all []statemachine.Entry
	for _, l := range w.log {
		for _, e := range l.entries {
			e.Wanted = false
			all = append(all, e)
		}
	}
	_, err = other.Apply(w.index, all)
	must(w.t, err)
	h1, r1, err1 := w.s.Hash(context.Background())
	h2, r2, err2 := other.Hash(context.Background())
	if err := errors.Join(err1, err2); err != nil || h1 != h2 || r1 != r2 {
		w.t.Errorf("hash %08x at %d, another store that applied the same %08x at %d (%v)", h1, r1, h2, r2, err)
	}
	w.sameKeysHash(other)
	must(w.t, other.Close())
}

// sameKeysHash compares the hashes as of some revisions that may be read.
func (w *world) sameKeysHash(other *Store) {
	w.t.Helper()
	for rev := max(w.model.compacted, 1) - 1; rev <= w.model.rev+1; rev += 1 + w.rnd.Int64N(8) {
		h1, err1 := w.s.HashKV(context.Background(), rev)
		h2, err2 := other.HashKV(context.Background(), rev)
		if h1 != h2 || !errors.Is(err1, err2) {
			w.t.Errorf("hash of revision %d: %+v, %v; another store that applied the same %+v, %v", rev, h1, err1, h2, err2)
		}
	}
}
