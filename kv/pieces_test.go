package kv

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster/internal/backup"
	"github.com/musterhq/muster/statemachine"
)

// smallPieces has the next Apply call written in pieces, or not, and more of it
// than is kept in mind.
func (s *Store) smallPieces(rnd *rand.Rand) {
	a := &s.applier
	a.recent.most = rnd.IntN(20)
	a.limits = defaultPieceLimits()
	if rnd.IntN(3) > 0 {
		a.limits.first, a.limits.then = rnd.IntN(200), rnd.IntN(200)
	}
	if rnd.IntN(3) > 0 {
		a.limits.attachments = rnd.IntN(3)
	}
}

func (w *world) smallPieces() { w.s.smallPieces(w.rnd) }

var errCut = errors.New("cut")

// crashWithin crashes in the midst of an Apply call, after one of its pieces, of
// which all or some is on disk. What follows goes on as if it had not begun.
func (w *world) crashWithin() {
	w.t.Helper()
	w.index++
	l := logged{through: w.index}
	for range 1 + w.rnd.IntN(8) {
		req := w.requests().write()
		w.model.apply(req)
		l.entries = append(l.entries, statemachine.Entry{Index: w.index, Command: encode(w.t, req)})
	}
	w.log = append(w.log, l)
	s, after := w.s, w.disk
	pieces := w.rnd.IntN(2)
	w.smallPieces()
	s.applier.limits.first, s.applier.limits.then = w.rnd.IntN(50), w.rnd.IntN(50)
	s.applier.limits.step = func(int) error {
		if pieces--; pieces >= 0 {
			return nil
		}
		if w.rnd.IntN(4) > 0 {
			must(w.t, s.flush(s.live))
		}
		after = w.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: pick(w.rnd, 0, 50, 100), RNG: w.rnd})
		return errCut
	}
	_, err := s.Apply(l.through, l.entries)
	s.applier.limits.step = nil
	if err == nil {
		return // it had fewer pieces
	}
	if !errors.Is(err, errCut) {
		w.t.Fatalf("Apply: %v", err)
	}
	if err := s.Close(); !errors.Is(err, errCut) {
		w.t.Fatalf("Close: %v", err)
	}
	w.cut++
	w.disk = after
	w.open()
}

// hundreds is a store with 300 keys under k/, in three revisions, some of them
// on leases, and others before and behind.
func hundreds(t *testing.T, disk vfs.FS) *driver {
	t.Helper()
	d := &driver{TB: t, Store: New(smallOptions(disk))}
	must(t, disk.MkdirAll("kv", 0o755))
	must(t, syncDir(disk, ""))
	_, err := d.Open("kv")
	must(t, err)
	d.do(&pb.LeaseGrantRequest{ID: 7, TTL: 60})
	d.do(&pb.LeaseGrantRequest{ID: 8, TTL: 60})
	d.put("a", "first")
	for i := range 3 {
		txn := &pb.TxnRequest{}
		for j := range 100 {
			op := putOp(fmt.Sprintf("k/%d%02d", i, j), strings.Repeat("v", 20))
			op.GetRequestPut().Lease = pick(newRand(uint64(i*100+j)), 0, 7, int64(8))
			txn.Success = append(txn.Success, op)
		}
		d.do(txn)
	}
	d.do(&pb.PutRequest{Key: []byte("z"), Value: []byte("last"), Lease: 7})
	return d
}

// whole describes all that can be read of a store.
func whole(t *testing.T, s *Store) string {
	t.Helper()
	ctx := t.Context()
	hash, rev, err := s.Hash(ctx)
	must(t, err)
	keys, err := s.HashKV(ctx, 0)
	must(t, err)
	resp, err := s.Range(ctx, all())
	must(t, err)
	on7, err := s.LeaseKeys(7)
	must(t, err)
	on8, err := s.LeaseKeys(8)
	must(t, err)
	streamed := int64(0)
	must(t, s.RangeStream(ctx, all(), 100, func(part *pb.RangeResponse) error {
		streamed += int64(len(part.Kvs))
		return nil
	}))
	if streamed != resp.Count {
		t.Errorf("%d keys streamed, and %d counted", streamed, resp.Count)
	}
	return fmt.Sprintf("%d %08x %08x %s %q %q %+v", rev, hash, keys.Sum, show(resp.Kvs), on7, on8, s.Leases())
}

// These change many keys each, all of them under k/.
var large = []struct {
	name string
	do   func(d *driver) Reply
}{
	{"delete", func(d *driver) Reply {
		return d.do(&pb.DeleteRangeRequest{Key: []byte("k/"), RangeEnd: []byte("k0"), PrevKv: true})
	}},
	{"to the end", func(d *driver) Reply { return d.do(&pb.DeleteRangeRequest{Key: []byte("k/"), RangeEnd: []byte{0}}) }},
	{"revoke", func(d *driver) Reply { return d.do(&pb.LeaseRevokeRequest{ID: 7}) }},
	{"txn", func(d *driver) Reply {
		put := putOp("k/000", "again")
		put.GetRequestPut().Lease = 8
		return d.do(&pb.TxnRequest{Success: []*pb.RequestOp{
			putOp("new", "1"), deleteOp("k/050", "k/150"), deleteOp("k/200", ""),
			txnOp(&pb.TxnRequest{Success: []*pb.RequestOp{deleteOp("k/100", "l"), {Request: &pb.RequestOp_RequestRange{RequestRange: all()}}}}),
			deleteOp("k/010", "k/060"), put, putOp("k/1", "2"),
		}})
	}},
}

// inPieces sets limits at which 300 keys are some thirty pieces.
func (d *driver) inPieces(step func(bytes int) error) {
	d.applier.recent.most = 50
	d.applier.limits = pieceLimits{first: 1000, then: 500, attachments: 20, previous: 1 << 20, singles: 32, step: step}
}

// TestPieces: while a large command is carried out in pieces, all that can be
// read is as before, and after it as if there had been no pieces. None of them
// is larger than its limit, and watches are told of one revision, in order.
func TestPieces(t *testing.T) {
	for _, tt := range large {
		t.Run(tt.name, func(t *testing.T) {
			d, other := hundreds(t, vfs.NewMem()), hundreds(t, vfs.NewMem())
			defer d.Close()
			defer other.Close()
			watches := d.NewWatches()
			defer watches.Close()
			rev, err := watches.Add(1, WatchSpec{Key: []byte("k/"), End: []byte("l"), PrevKV: true})
			must(t, err)
			must(t, d.Store.Prepare())
			before, pieces := whole(t, d.Store), 0
			d.inPieces(func(bytes int) error {
				if pieces++; bytes > 1000+100+stateLen {
					t.Errorf("a piece of %d bytes", bytes)
				}
				if got := whole(t, d.Store); got != before {
					t.Errorf("after piece %d:\n%s, before\n%s", pieces, got, before)
				}
				b, more, err := watches.Poll()
				if b != nil || more || err != nil {
					t.Errorf("after piece %d a watch is told: %v %v %v", pieces, b, more, err)
				}
				return nil
			})
			got, want := tt.do(d), tt.do(other)
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("reply %v, want %v", got, want)
			}
			if pieces < 5 {
				t.Errorf("%d pieces", pieces)
			}
			d.same(other)
			if got, want := readEvents(t, d.Store), readEvents(t, other.Store); !slices.Equal(got, want) {
				t.Errorf("events %q, want %q", got, want)
			}
			var told []string
			for more := true; more; {
				var b *WatchBatch
				b, more, err = watches.Poll()
				must(t, err)
				for _, e := range b.Events {
					if e.Kv.ModRevision != rev+1 || e.PrevKv == nil && e.Type == 1 {
						t.Fatalf("event %v, revision %d", e, rev+1)
					}
					told = append(told, string(e.Kv.Key))
				}
			}
			var logged []string
			for _, e := range readEvents(t, other.Store) {
				if _, key, ok := strings.Cut(e, " delete "); ok && strings.HasPrefix(key, "k/") {
					logged = append(logged, key)
				} else if _, key, ok := strings.Cut(e, fmt.Sprintf("%d.", rev+1)); ok && strings.Contains(key, " put k/") {
					logged = append(logged, key[strings.Index(key, "k/"):])
				}
			}
			if !slices.Equal(told, logged) {
				t.Errorf("told of %q, want %q", told, logged)
			}
			d.put("k/001", "later")
			d.put("k/299", "later")
			other.put("k/001", "later")
			other.put("k/299", "later")
			d.same(other)
		})
	}
}

// same compares all that can be read, and the versions that are there.
func (d *driver) same(other *driver) {
	d.Helper()
	t := d.TB.(*testing.T)
	if got, want := whole(t, d.Store), whole(t, other.Store); got != want {
		d.Fatalf("got  %s\nwant %s", got, want)
	}
	if got, want := versions(d, d.Store), versions(d, other.Store); !slices.Equal(got, want) {
		d.Errorf("versions %q, want %q", got, want)
	}
}

// TestPieceCutShort crashes after every piece of a large command. A member that
// starts on what is left is as it was before the command, and ends as one that
// did not crash, also when it starts several times.
func TestPieceCutShort(t *testing.T) {
	for _, tt := range large {
		t.Run(tt.name, func(t *testing.T) {
			other := hundreds(t, vfs.NewMem())
			defer other.Close()
			before := whole(t, other.Store)
			tt.do(other)
			mem := vfs.NewCrashableMem()
			d := hundreds(t, mem)
			defer d.Close()
			index := d.index
			var crashes []*vfs.MemFS
			d.inPieces(func(int) error {
				must(t, d.flush(d.live))
				crashes = append(crashes, mem.CrashClone(vfs.CrashCloneCfg{}))
				return nil
			})
			tt.do(d)
			for i, disk := range crashes {
				for range 2 {
					after := &driver{TB: t, Store: New(smallOptions(disk)), index: index}
					applied, err := after.Open("kv")
					must(t, err)
					if got := whole(t, after.Store); applied != index || got != before {
						t.Fatalf("crash %d: opened at %d, want %d:\n%s, before\n%s", i, applied, index, got, before)
					}
					if got := readEvents(t, after.Store); len(got) != 302 {
						t.Errorf("crash %d: %d events", i, len(got))
					}
					if i%2 == 0 {
						after.inPieces(nil)
					}
					disk = disk.CrashClone(vfs.CrashCloneCfg{}) // as it was opened
					tt.do(after)
					after.same(other)
					must(t, after.Close())
				}
			}
			if len(crashes) < 5 {
				t.Errorf("%d crashes", len(crashes))
			}
		})
	}
}

// TestBackupBetweenPieces: an image taken in the midst of a large command holds
// nothing of it, whatever is written after it was restored.
func TestBackupBetweenPieces(t *testing.T) {
	d := hundreds(t, vfs.NewMem())
	defer d.Close()
	before, hash := whole(t, d.Store), d.hashKV(0)
	var file []byte
	d.inPieces(func(int) error {
		if file == nil {
			file, _ = saved(t, d.Store)
		}
		return nil
	})
	d.do(&pb.DeleteRangeRequest{Key: []byte("k/"), RangeEnd: []byte("k0")})
	disk := vfs.NewMem()
	must(t, disk.MkdirAll("image", 0o755))
	_, err := backup.Extract(bytes.NewReader(file), disk, "image")
	must(t, err)
	info, err := InspectImage(t.Context(), disk, "image")
	must(t, err)
	if info.Keys != 302 || info.Versions != 302 || info.Hash != hash {
		t.Errorf("the backup holds %+v", info)
	}
	founded := opened(t, file, FoundingOptions{})
	if got := whole(t, founded.Store); got != before {
		t.Errorf("founded with %s, want %s", got, before)
	}
	founded.put("b", "other")
	if got := founded.get(all()); got.Count != 303 || len(versions(t, founded.Store)) != 303 {
		t.Errorf("then %d keys and versions %q", got.Count, versions(t, founded.Store))
	}
	must(t, disk.MkdirAll("member", 0o755))
	joined := New(smallOptions(disk))
	_, err = joined.Open("member")
	must(t, err)
	defer joined.Close()
	must(t, joined.Restore("image", d.index-1))
	if got := whole(t, joined); got != before || len(versions(t, joined)) != 302 {
		t.Errorf("restored is %s and %q, want %s", got, versions(t, joined), before)
	}
}

// TestReadsGoOn: a large delete keeps nobody from reading what was before.
func TestReadsGoOn(t *testing.T) {
	d := hundreds(t, vfs.NewMem())
	defer d.Close()
	at, goOn := make(chan struct{}), make(chan struct{})
	d.inPieces(func(int) error {
		at <- struct{}{}
		<-goOn
		return nil
	})
	done := make(chan Reply)
	go func() {
		done <- d.do(&pb.DeleteRangeRequest{Key: []byte("k/"), RangeEnd: []byte("k0")})
	}()
	for pieces := 0; ; pieces++ {
		select {
		case <-at:
			resp := d.get(all())
			one := d.get(&pb.RangeRequest{Key: []byte("k/000")})
			if resp.Count != 302 || one.Count != 1 || one.Header.Revision != resp.Header.Revision {
				t.Errorf("after piece %d: %d keys, %v", pieces, resp.Count, one)
			}
			goOn <- struct{}{}
		case r := <-done:
			if deleted := r.Response.(*pb.DeleteRangeResponse).Deleted; deleted != 300 || pieces < 8 {
				t.Errorf("%d deleted in %d pieces", deleted, pieces)
			}
			if resp := d.get(all()); resp.Count != 2 {
				t.Errorf("%d keys are left", resp.Count)
			}
			return
		}
	}
}

// TestPreviousTooLarge: what can't be returned is not deleted, on any member.
func TestPreviousTooLarge(t *testing.T) {
	d := hundreds(t, vfs.NewMem())
	defer d.Close()
	before := whole(t, d.Store)
	d.inPieces(nil)
	d.applier.limits.previous = 100 * (5 + 20 + keyOverhead)
	del := func(end string, prev bool) *pb.DeleteRangeRequest {
		return &pb.DeleteRangeRequest{Key: []byte("k/"), RangeEnd: []byte(end), PrevKv: prev}
	}
	op := func(r *pb.DeleteRangeRequest) *pb.RequestOp {
		return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: r}}
	}
	for _, req := range []*pb.TxnRequest{
		{Success: []*pb.RequestOp{op(del("k/100\x00", true))}},
		{Success: []*pb.RequestOp{putOp("b", ""), op(del("k/050", true)), txnOp(&pb.TxnRequest{Success: []*pb.RequestOp{op(del("k/051", true))}})}},
	} {
		for _, wanted := range []bool{true, false} {
			d.index++
			res, err := d.Apply(d.index, []statemachine.Entry{{Index: d.index, Command: encode(t, req), Wanted: wanted}})
			must(t, err)
			if wanted && !errors.Is(res[0].(Reply).Err, ErrPreviousTooLarge) {
				t.Errorf("%v: %v, want %v", req, res[0], ErrPreviousTooLarge)
			}
		}
	}
	if r := d.do(del("k/100\x00", true)); !errors.Is(r.Err, ErrPreviousTooLarge) {
		t.Errorf("%v, want %v", r, ErrPreviousTooLarge)
	}
	if got := whole(t, d.Store); got != before {
		t.Errorf("a refused delete left %s, want %s", got, before)
	}
	if r := d.do(del("k/100", true)).Response.(*pb.DeleteRangeResponse); r.Deleted != 100 || len(r.PrevKvs) != 100 {
		t.Errorf("%d deleted, %d returned", r.Deleted, len(r.PrevKvs))
	}
	if r := d.do(del("l", false)).Response.(*pb.DeleteRangeResponse); r.Deleted != 200 {
		t.Errorf("%d deleted", r.Deleted)
	}
}

// TestRefusedBeforeAnyPiece: a transaction that is refused for what its
// operations do to each other has written nothing yet.
func TestRefusedBeforeAnyPiece(t *testing.T) {
	d := hundreds(t, vfs.NewMem())
	defer d.Close()
	before := whole(t, d.Store)
	d.inPieces(func(int) error {
		t.Error("a piece was written")
		return nil
	})
	ignoring := func(key string) *pb.RequestOp {
		op := putOp(key, "")
		op.GetRequestPut().IgnoreValue = true
		return op
	}
	for _, ops := range [][]*pb.RequestOp{
		{deleteOp("k/", "\x00"), ignoring("k/100")},
		{txnOp(&pb.TxnRequest{Success: []*pb.RequestOp{deleteOp("a", "\x00")}}), txnOp(&pb.TxnRequest{Success: []*pb.RequestOp{ignoring("z")}})},
		{putOp("k/100", ""), deleteOp("k/", "\x00"), txnOp(&pb.TxnRequest{Success: []*pb.RequestOp{putOp("k/200", ""), ignoring("k/100")}})},
	} {
		if r := d.do(&pb.TxnRequest{Success: ops}); !errors.Is(r.Err, ErrKeyNotFound) {
			t.Errorf("%v: %v", ops, r)
		}
	}
	if got := whole(t, d.Store); got != before {
		t.Errorf("refused transactions left %s, want %s", got, before)
	}
	d.inPieces(nil)
	if r := d.do(&pb.TxnRequest{Success: []*pb.RequestOp{
		deleteOp("k/", "\x00"), putOp("k/100", "back"), txnOp(&pb.TxnRequest{Success: []*pb.RequestOp{ignoring("a")}}),
	}}); r.Err != nil {
		t.Errorf("refused: %v", r.Err)
	}
	if got := show(d.get(all()).Kvs); got != "a=first@2.7.2 k/100=back@7.7.1" {
		t.Errorf("left is %s", got)
	}
}

// TestIgnoredValuesInPieces: what commands copy is bounded, too.
func TestIgnoredValuesInPieces(t *testing.T) {
	d := newDriver(t)
	d.put("k", strings.Repeat("v", 5000))
	pieces := 0
	d.inPieces(func(bytes int) error {
		if pieces++; bytes > 6000 {
			t.Errorf("a piece of %d bytes", bytes)
		}
		return nil
	})
	var batch []statemachine.Entry
	for range 20 {
		d.index++
		batch = append(batch, statemachine.Entry{Index: d.index, Command: encode(t, &pb.PutRequest{Key: []byte("k"), IgnoreValue: true})})
	}
	_, err := d.Apply(d.index, batch)
	must(t, err)
	if kv := d.get(&pb.RangeRequest{Key: []byte("k")}).Kvs[0]; kv.Version != 21 || kv.ModRevision != 22 || len(kv.Value) != 5000 || pieces < 19 {
		t.Errorf("version %d at %d, of %d bytes, in %d pieces", kv.Version, kv.ModRevision, len(kv.Value), pieces)
	}
}

// TestManyRevokesInPieces: what one call keeps in memory of attachments is bounded,
// however many leases it revokes, and those that are granted anew meanwhile have
// what was put on them since.
func TestManyRevokesInPieces(t *testing.T) {
	const leases, keys = 50, 40
	fill := func(d *driver) {
		for id := range leases {
			d.do(&pb.LeaseGrantRequest{ID: int64(id + 1), TTL: 60})
			for i := range keys {
				d.do(&pb.PutRequest{Key: fmt.Appendf(nil, "k/%02d/%02d", i, id), Lease: int64(id + 1)})
			}
		}
	}
	d, other := newDriver(t), newDriver(t)
	fill(d)
	fill(other)
	most := 0
	d.inPieces(func(int) error {
		most = max(most, len(d.applier.facts.newest))
		return nil
	})
	var reqs []proto.Message
	for id := range leases {
		reqs = append(reqs, &pb.LeaseRevokeRequest{ID: int64(id + 1)})
		if id%10 == 0 {
			reqs = append(reqs, &pb.LeaseGrantRequest{ID: int64(id + 1), TTL: 60},
				&pb.PutRequest{Key: []byte("k/again"), Lease: int64(id + 1)})
		}
	}
	d.index++
	var batch []statemachine.Entry
	for _, req := range reqs {
		batch = append(batch, statemachine.Entry{Index: d.index, Command: encode(t, req)})
		other.do(req)
	}
	_, err := d.Apply(d.index, batch)
	must(t, err)
	if limit := d.applier.limits.attachments + 2*len(reqs); most == 0 || most > limit {
		t.Errorf("%d facts in memory, want at most %d", most, limit)
	}
	d.same(other)
	for id := range int64(leases) {
		mine, err := d.LeaseKeys(id + 1)
		must(t, err)
		want := 0
		if id == 40 {
			want = 1
		}
		if len(mine) != want {
			t.Errorf("lease %d has keys %q, want %d", id+1, mine, want)
		}
	}
}
