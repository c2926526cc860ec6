package kv

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster/statemachine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// driver gives a store one command at a time.
type driver struct {
	testing.TB
	*Store
	index uint64
}

func newDriver(t testing.TB) *driver {
	t.Helper()
	d := &driver{TB: t, Store: New(smallOptions(vfs.NewMem()))}
	must(t, d.opt.FS.MkdirAll("kv", 0o755))
	_, err := d.Open("kv")
	must(t, err)
	t.Cleanup(func() {
		if err := d.Close(); err != nil && d.failure() == nil {
			t.Error(err)
		}
	})
	return d
}

func (d *driver) do(req proto.Message) Reply {
	d.Helper()
	d.index++
	res, err := d.Apply(d.index, []statemachine.Entry{{Index: d.index, Command: encode(d, req), Wanted: true}})
	must(d, err)
	return res[0].(Reply)
}

func (d *driver) put(key, value string) {
	d.Helper()
	d.do(&pb.PutRequest{Key: []byte(key), Value: []byte(value)})
}

func (d *driver) delete(key string) { d.Helper(); d.do(&pb.DeleteRangeRequest{Key: []byte(key)}) }

func (d *driver) get(r *pb.RangeRequest) *pb.RangeResponse {
	d.Helper()
	resp, err := d.Range(context.Background(), r)
	must(d, err)
	return resp
}

// show prints keys as key=value@create.mod.version.
func show(kvs []*mvccpb.KeyValue) string {
	var out []string
	for _, kv := range kvs {
		out = append(out, fmt.Sprintf("%s=%s@%d.%d.%d", kv.Key, kv.Value, kv.CreateRevision, kv.ModRevision, kv.Version))
	}
	return strings.Join(out, " ")
}

func (d *driver) expect(r *pb.RangeRequest, want string, more bool, count int64) {
	d.Helper()
	resp := d.get(r)
	if got := show(resp.Kvs); got != want || resp.More != more || resp.Count != count {
		d.Errorf("%v\n got %s more %v count %d\nwant %s more %v count %d", r, got, resp.More, resp.Count, want, more, count)
	}
}

func putOp(key, value string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte(key), Value: []byte(value)}}}
}

func deleteOp(key, end string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{
		RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte(key), RangeEnd: []byte(end)}}}
}

func txnOp(t *pb.TxnRequest) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: t}}
}

func all() *pb.RangeRequest { return &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}} }

func TestRevisions(t *testing.T) {
	d := newDriver(t)
	if cur, compacted := d.Revision(); cur != 1 || compacted != 0 {
		t.Errorf("empty store: revision %d, compacted %d; want 1, 0", cur, compacted)
	}
	d.put("a", "1")
	d.put("a", "2")
	d.expect(all(), "a=2@2.3.2", false, 1)
	d.delete("a")
	d.delete("a") // nothing there: no revision
	d.put("a", "3")
	d.expect(all(), "a=3@5.5.1", false, 1)
	d.expect(&pb.RangeRequest{Key: []byte("a"), Revision: 3}, "a=2@2.3.2", false, 1)
	d.expect(&pb.RangeRequest{Key: []byte("a"), Revision: 4}, "", false, 0)
	if got := d.get(&pb.RangeRequest{Key: []byte("a"), Revision: 2}).Header.Revision; got != 5 {
		t.Errorf("header of an old read: revision %d, want the current one, 5", got)
	}
	if _, err := d.Range(context.Background(), &pb.RangeRequest{Key: []byte("a"), Revision: 6}); !errors.Is(err, ErrFutureRev) {
		t.Errorf("revision 6: %v, want %v", err, ErrFutureRev)
	}
}

func TestCompact(t *testing.T) {
	d := newDriver(t)
	for _, v := range []string{"1", "2", "3"} {
		d.put("a", v)
	}
	d.do(&pb.CompactionRequest{Revision: 3})
	d.expect(&pb.RangeRequest{Key: []byte("a"), Revision: 3}, "a=2@2.3.2", false, 1)
	if _, err := d.Range(context.Background(), &pb.RangeRequest{Key: []byte("a"), Revision: 2}); !errors.Is(err, ErrCompacted) {
		t.Errorf("revision 2: %v, want %v", err, ErrCompacted)
	}
	for rev, want := range map[int64]error{3: ErrCompacted, 9: ErrFutureRev} {
		if r := d.do(&pb.CompactionRequest{Revision: rev}); !errors.Is(r.Err, want) {
			t.Errorf("compaction at %d: %v, want %v", rev, r.Err, want)
		}
	}
}

func TestLimitCountSort(t *testing.T) {
	d := newDriver(t)
	d.put("a", "z")
	d.put("b", "y")
	d.put("c", "x")
	d.put("a", "w") // a: create 2, mod 5, version 2
	r := func(f func(*pb.RangeRequest)) *pb.RangeRequest { r := all(); f(r); return r }
	d.expect(r(func(r *pb.RangeRequest) { r.Limit = 2 }), "a=w@2.5.2 b=y@3.3.1", true, 3)
	d.expect(r(func(r *pb.RangeRequest) { r.Limit = 3 }), "a=w@2.5.2 b=y@3.3.1 c=x@4.4.1", false, 3)
	d.expect(r(func(r *pb.RangeRequest) { r.CountOnly = true; r.Limit = 1 }), "", false, 3)
	d.expect(r(func(r *pb.RangeRequest) { r.KeysOnly = true; r.Limit = 1 }), "a=@2.5.2", true, 3)
	d.expect(r(func(r *pb.RangeRequest) { r.SortOrder = pb.RangeRequest_DESCEND; r.Limit = 1 }), "c=x@4.4.1", true, 3)
	d.expect(r(func(r *pb.RangeRequest) {
		r.SortTarget, r.SortOrder = pb.RangeRequest_VALUE, pb.RangeRequest_ASCEND
		r.Limit = 2
	}),
		"a=w@2.5.2 c=x@4.4.1", true, 3)
	// Without an order the limit comes first: of a and b and one more, c is
	// fetched to know that there is more, and then sorted in.
	d.expect(r(func(r *pb.RangeRequest) { r.SortTarget = pb.RangeRequest_MOD; r.Limit = 1 }), "b=y@3.3.1", true, 3)
	d.expect(r(func(r *pb.RangeRequest) { r.MinModRevision = 4 }), "a=w@2.5.2 c=x@4.4.1", false, 3)
	d.expect(r(func(r *pb.RangeRequest) { r.MaxCreateRevision = 3; r.Limit = 1 }), "a=w@2.5.2", true, 3)
	d.expect(&pb.RangeRequest{Key: []byte("b"), RangeEnd: []byte("a")}, "", false, 0)
	d.expect(&pb.RangeRequest{Key: []byte("b"), RangeEnd: []byte{0}}, "b=y@3.3.1 c=x@4.4.1", false, 2)
}

func TestIgnore(t *testing.T) {
	d := newDriver(t)
	r := d.do(&pb.PutRequest{Key: []byte("a"), IgnoreValue: true})
	if !errors.Is(r.Err, ErrKeyNotFound) {
		t.Errorf("ignore_value on a missing key: %v, want %v", r.Err, ErrKeyNotFound)
	}
	if cur, _ := d.Revision(); cur != 1 {
		t.Errorf("a refused put moved the revision to %d", cur)
	}
	d.do(&pb.LeaseGrantRequest{ID: 7})
	d.do(&pb.LeaseGrantRequest{ID: 8})
	d.do(&pb.PutRequest{Key: []byte("a"), Value: []byte("v"), Lease: 7})
	d.do(&pb.PutRequest{Key: []byte("a"), IgnoreValue: true, Lease: 8})
	d.do(&pb.PutRequest{Key: []byte("a"), Value: []byte("w"), IgnoreLease: true})
	if kv := d.get(&pb.RangeRequest{Key: []byte("a")}).Kvs[0]; string(kv.Value) != "w" || kv.Lease != 8 || kv.Version != 3 {
		t.Errorf("got %v", kv)
	}
}

// TestTxnOneRevision: all operations of a transaction share the main
// revision; later ones see earlier ones.
func TestTxnOneRevision(t *testing.T) {
	d := newDriver(t)
	d.put("a", "1")
	nested := &pb.TxnRequest{Success: []*pb.RequestOp{putOp("c", "3")}}
	r := d.do(&pb.TxnRequest{Success: []*pb.RequestOp{
		putOp("b", "2"), deleteOp("a", ""), txnOp(nested),
		{Request: &pb.RequestOp_RequestRange{RequestRange: all()}},
	}})
	resp := r.Response.(*pb.TxnResponse)
	if resp.Header.Revision != 3 || resp.Responses[2].GetResponseTxn().Header.Revision != 0 {
		t.Errorf("headers: %v", resp)
	}
	if got := show(resp.Responses[3].GetResponseRange().Kvs); got != "b=2@3.3.1 c=3@3.3.1" {
		t.Errorf("the range inside sees %s", got)
	}
	d.expect(all(), "b=2@3.3.1 c=3@3.3.1", false, 2)
	if got := d.events(); got != "2.0 put a, 3.0 put b, 3.1 delete a, 3.2 put c" {
		t.Errorf("event log: %s", got)
	}
}

// TestTxnDeleteThenPut: a delete from a key to the end of all keys passes
// Check beside a put, as in etcd. The put starts the key anew; one that
// refers to the deleted value takes the whole transaction back.
func TestTxnDeleteThenPut(t *testing.T) {
	d := newDriver(t)
	d.put("b", "old")
	wipe := &pb.TxnRequest{Success: []*pb.RequestOp{putOp("a", "kept out"), deleteOp("b", "\x00"), putOp("c", "1"), putOp("b", "new")}}
	wipe.Success[3].GetRequestPut().IgnoreValue = true
	wipe.Success[3].GetRequestPut().Value = nil
	must(t, Check(wipe))
	if r := d.do(wipe); !errors.Is(r.Err, ErrKeyNotFound) {
		t.Errorf("a put of a deleted value: %v, want %v", r.Err, ErrKeyNotFound)
	}
	d.expect(all(), "b=old@2.2.1", false, 1)
	if got := d.events(); got != "2.0 put b" {
		t.Errorf("event log: %s", got)
	}
	wipe.Success[3].GetRequestPut().IgnoreValue = false
	d.do(wipe)
	d.expect(all(), "a=kept out@3.3.1 b=@3.3.1 c=1@3.3.1", false, 3)
}

func TestTxnRefused(t *testing.T) {
	d := newDriver(t)
	d.put("a", "1")
	future := &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte("a"), Revision: 3}}}
	if r := d.do(&pb.TxnRequest{Success: []*pb.RequestOp{putOp("b", "2"), future}}); !errors.Is(r.Err, ErrFutureRev) {
		t.Errorf("a range at the transaction's own revision: %v, want %v", r.Err, ErrFutureRev)
	}
	d.expect(all(), "a=1@2.2.1", false, 1)
}

// TestCommandsNobodyEncoded: a damaged command is refused for its caller, one
// of a kind from the future stops the member.
func TestCommandsNobodyEncoded(t *testing.T) {
	d := newDriver(t)
	for i, cmd := range []string{"", "\x01\xff", "\x02\xff", "\x03\xff", "\x04\xff"} {
		res, err := d.Apply(uint64(i+1), []statemachine.Entry{{Index: uint64(i + 1), Command: []byte(cmd), Wanted: true}})
		if err != nil || !errors.Is(res[0].(Reply).Err, ErrBadCommand) {
			t.Errorf("%q: %v, %v", cmd, res, err)
		}
	}
	if _, err := d.Apply(5, []statemachine.Entry{{Index: 5, Command: []byte{opPut}}}); err == nil {
		t.Error("applied an entry twice")
	}
	d2 := newDriver(t)
	_, err := d2.Apply(1, []statemachine.Entry{{Index: 1, Command: []byte{99}}})
	if err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("a command of kind 99: %v", err)
	}
	if _, again := d2.Apply(2, nil); again == nil {
		t.Error("the store went on after a command that it could not apply")
	}
}

func TestCheck(t *testing.T) {
	ops := func(n int) (out []*pb.RequestOp) {
		for i := range n {
			out = append(out, putOp(fmt.Sprint(i), ""))
		}
		return out
	}
	ifElse := func(a, b []*pb.RequestOp) *pb.RequestOp { return txnOp(&pb.TxnRequest{Success: a, Failure: b}) }
	then := func(ops ...*pb.RequestOp) *pb.TxnRequest { return &pb.TxnRequest{Success: ops} }
	one := func(ops ...*pb.RequestOp) []*pb.RequestOp { return ops }
	for name, c := range map[string]struct {
		req  proto.Message
		want error
	}{
		"range":                   {&pb.RangeRequest{Key: []byte("a")}, nil},
		"range without key":       {&pb.RangeRequest{}, ErrEmptyKey},
		"sort order":              {&pb.RangeRequest{Key: []byte("a"), SortOrder: 9}, ErrInvalidSortOption},
		"sort target":             {&pb.RangeRequest{Key: []byte("a"), SortTarget: 9}, ErrInvalidSortOption},
		"put without key":         {&pb.PutRequest{}, ErrEmptyKey},
		"value ignored and given": {&pb.PutRequest{Key: []byte("a"), Value: []byte("v"), IgnoreValue: true}, ErrValueProvided},
		"lease ignored and given": {&pb.PutRequest{Key: []byte("a"), Lease: 1, IgnoreLease: true}, ErrLeaseProvided},
		"delete without key":      {&pb.DeleteRangeRequest{}, ErrEmptyKey},
		"compare without key":     {&pb.TxnRequest{Compare: []*pb.Compare{{}}}, ErrEmptyKey},
		"empty op":                {then(&pb.RequestOp{}), ErrKeyNotFound},
		"as many as may be":       {then(ops(MaxTxnOps)...), nil},
		"too many":                {then(ops(MaxTxnOps + 1)...), ErrTooManyOps},
		"too many nested":         {then(ifElse(ops(MaxTxnOps), nil)), ErrTooManyOps},
		"put twice":               {then(putOp("a", ""), putOp("a", "")), ErrDuplicateKey},
		"put and delete":          {then(putOp("a", ""), deleteOp("a", "")), ErrDuplicateKey},
		"put inside a delete":     {then(putOp("b", ""), deleteOp("a", "c")), ErrDuplicateKey},
		"put beside a delete":     {then(putOp("c", ""), deleteOp("a", "c")), nil},
		"either or":               {then(ifElse(one(putOp("a", "")), one(putOp("a", "")))), nil},
		"nested and again":        {then(ifElse(one(putOp("a", "")), nil), putOp("a", "")), ErrDuplicateKey},
		"delete, then nested put": {then(ifElse(one(deleteOp("a", "z")), nil), ifElse(one(putOp("b", "")), nil)), ErrDuplicateKey},
		"nested put, then delete": {then(ifElse(one(putOp("b", "")), nil), ifElse(one(deleteOp("a", "z")), nil)), nil},
		"failure branch":          {&pb.TxnRequest{Failure: one(putOp("a", ""), putOp("a", ""))}, ErrDuplicateKey},
	} {
		if got := Check(c.req); !errors.Is(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	if Check(&pb.PutResponse{}) == nil {
		t.Error("checked something that is no request")
	}
}

func TestReadTxn(t *testing.T) {
	d := newDriver(t)
	d.put("a", "1")
	d.put("b", "2")
	get := &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte("b")}}}
	resp, err := d.ReadTxn(context.Background(), &pb.TxnRequest{
		Compare: []*pb.Compare{{Key: []byte("a"), Target: pb.Compare_VERSION, Result: pb.Compare_GREATER, TargetUnion: &pb.Compare_Version{Version: 1}}},
		Failure: []*pb.RequestOp{get, txnOp(&pb.TxnRequest{Success: []*pb.RequestOp{get}})},
	})
	must(t, err)
	if resp.Succeeded || resp.Header.Revision != 3 ||
		show(resp.Responses[0].GetResponseRange().Kvs) != "b=2@3.3.1" ||
		show(resp.Responses[1].GetResponseTxn().Responses[0].GetResponseRange().Kvs) != "b=2@3.3.1" {
		t.Errorf("got %v", resp)
	}
	if _, err := d.ReadTxn(context.Background(), &pb.TxnRequest{Success: []*pb.RequestOp{putOp("a", "")}}); err == nil {
		t.Error("a put passes as a read")
	}
}

func TestClosed(t *testing.T) {
	s := New(smallOptions(vfs.NewMem()))
	if _, err := s.Range(context.Background(), all()); !errors.Is(err, ErrClosed) {
		t.Errorf("before Open: %v, want %v", err, ErrClosed)
	}
	must(t, s.Close())
	must(t, s.opt.FS.MkdirAll("kv", 0o755))
	_, err := s.Open("kv")
	must(t, err)
	if _, err := s.Open("kv"); err == nil {
		t.Error("opened twice")
	}
	must(t, s.Close())
	must(t, s.Close())
	if _, err := s.Apply(1, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v, want %v", err, ErrClosed)
	}
}
