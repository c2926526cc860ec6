package kv

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/musterhq/muster/statemachine"
)

// TestPreviousOfMany: what single operations of a transaction return counts as
// well where they are many, together with that of ranges. Members refuse it alike,
// whoever waits, and however the keys were written.
func TestPreviousOfMany(t *testing.T) {
	const size = 5 + 20 + keyOverhead
	singles := func(n int) (ops []*pb.RequestOp) {
		for i := range n {
			op := putOp(fmt.Sprintf("k/0%02d", i), "new")
			op.GetRequestPut().PrevKv = true
			if i%2 == 0 {
				op = deleteOp(fmt.Sprintf("k/0%02d", i), "")
				op.GetRequestDeleteRange().PrevKv = true
			}
			ops = append(ops, op)
		}
		return ops
	}
	within := deleteOp("k/100", "k/120")
	within.GetRequestDeleteRange().PrevKv = true
	for _, tt := range []struct {
		name    string
		ops     []*pb.RequestOp
		limit   int64
		refused bool
	}{
		{"as much as there may be", singles(40), 40 * size, false},
		{"more", singles(40), 40*size - 1, true},
		{"few", singles(32), size, false},
		{"in a transaction within", []*pb.RequestOp{txnOp(&pb.TxnRequest{Success: singles(40)})}, 40*size - 1, true},
		{"beside a range", append(singles(40), within), 60 * size, false},
		{"more beside a range", append(singles(40), within), 60*size - 1, true},
		{"of keys that are not there", append(singles(40), putOp("k/9", "")), 40 * size, false},
	} {
		var after []string
		for _, wanted := range []bool{true, false} {
			d := hundreds(t, vfs.NewMem())
			d.inPieces(nil)
			d.applier.limits.previous = tt.limit
			before := whole(t, d.Store)
			if !wanted {
				must(t, d.Store.Prepare()) // what the other has in memory is read from disk
			}
			d.index++
			cmd := encode(t, &pb.TxnRequest{Success: tt.ops})
			res, err := d.Apply(d.index, []statemachine.Entry{{Index: d.index, Command: cmd, Wanted: wanted}})
			must(t, err)
			if wanted && errors.Is(res[0].(Reply).Err, ErrPreviousTooLarge) != tt.refused {
				t.Errorf("%s: %v", tt.name, res[0])
			}
			got := whole(t, d.Store)
			if (got == before) != tt.refused {
				t.Errorf("%s, wanted %v: refused is %v; left is %s", tt.name, wanted, tt.refused, got)
			}
			after = append(after, got)
			must(t, d.Close())
		}
		if after[0] != after[1] {
			t.Errorf("%s: members have\n%s\n%s", tt.name, after[0], after[1])
		}
	}
}

// TestAnswerTooLarge: ranges that gather more than a message holds stop there;
// what is counted, limited, cut or filtered is not held against them.
func TestAnswerTooLarge(t *testing.T) {
	d := newDriver(t)
	for i := range 100 {
		d.put(fmt.Sprintf("k/%03d", i), strings.Repeat("v", 95))
	}
	span := func(r *pb.RangeRequest) *pb.RangeRequest { r.Key, r.RangeEnd = []byte("k/"), []byte("k0"); return r }
	for _, tt := range []struct {
		r       *pb.RangeRequest
		left    int64
		refused bool
	}{
		{&pb.RangeRequest{}, 100 * 100, false},
		{&pb.RangeRequest{}, 100*100 - 1, true},
		{&pb.RangeRequest{SortTarget: pb.RangeRequest_VALUE}, 100*100 - 1, true},
		{&pb.RangeRequest{Limit: 10}, 11 * 100, false},
		{&pb.RangeRequest{CountOnly: true}, 0, false},
		{&pb.RangeRequest{KeysOnly: true}, 0, false},
		{&pb.RangeRequest{Limit: 10, SortOrder: pb.RangeRequest_DESCEND}, 0, false},
		{&pb.RangeRequest{MinModRevision: 97}, 5 * 100, false},
	} {
		must(t, d.read(func(v *view) error {
			if v.left != maxAnswer {
				t.Errorf("a reader begins with %d bytes left, want %d", v.left, maxAnswer)
			}
			v.left = tt.left
			if _, err := v.rangeKeys(t.Context(), span(tt.r)); errors.Is(err, ErrAnswerTooLarge) != tt.refused {
				t.Errorf("%v with %d bytes left: %v", tt.r, tt.left, err)
			}
			return nil
		}))
	}
	two := branch{ops: []*pb.RequestOp{
		{Request: &pb.RequestOp_RequestRange{RequestRange: span(&pb.RangeRequest{})}},
		{Request: &pb.RequestOp_RequestRange{RequestRange: span(&pb.RangeRequest{})}},
	}}
	for left, refused := range map[int64]bool{200 * 100: false, 200*100 - 1: true} {
		must(t, d.read(func(v *view) error {
			v.left = left
			if _, err := v.readTxn(t.Context(), two); errors.Is(err, ErrAnswerTooLarge) != refused {
				t.Errorf("two ranges with %d bytes left: %v", left, err)
			}
			return nil
		}))
	}
}
