package etcdapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestPutGetDeleteTxnThroughEtcdsClient(t *testing.T) {
	r := newRig(t)
	c, ctx := r.client(t), testContext(t)

	put, err := c.Put(ctx, "a", "1")
	if err != nil {
		t.Fatal(err)
	}
	if h := put.Header; h.Revision != 2 || h.ClusterId != 9 || h.MemberId != 1 || h.RaftTerm != 5 {
		t.Errorf("header of the put: %v, want revision 2, cluster 9, member 1, term 5", h)
	}
	got, err := c.Get(ctx, "a")
	if err != nil || len(got.Kvs) != 1 || string(got.Kvs[0].Value) != "1" || got.Header.MemberId != 1 {
		t.Errorf("get: %v, %v", got, err)
	}
	put, err = c.Put(ctx, "a", "2", clientv3.WithPrevKV())
	if err != nil || string(put.PrevKv.GetValue()) != "1" {
		t.Errorf("put with the previous value: %v, %v", put, err)
	}
	txn, err := c.Txn(ctx).If(clientv3.Compare(clientv3.Value("a"), "=", "2")).
		Then(clientv3.OpPut("b", "3"), clientv3.OpGet("a")).Else(clientv3.OpDelete("a")).Commit()
	if err != nil || !txn.Succeeded || len(txn.Responses) != 2 {
		t.Errorf("txn: %v, %v", txn, err)
	}
	del, err := c.Delete(ctx, "a", clientv3.WithPrefix())
	if err != nil || del.Deleted != 1 {
		t.Errorf("delete: %v, %v", del, err)
	}
	got, err = c.Get(ctx, "a", clientv3.WithRev(2))
	if err != nil || len(got.Kvs) != 1 || got.Header.Revision != 5 {
		t.Errorf("get at revision 2: %v, %v", got, err)
	}
}

func TestWhatEntersTheLogAndWhatIsReadAfterAgreement(t *testing.T) {
	get := &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte("k")}}}
	old := &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte("k"), Serializable: true}}}
	put := &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("k")}}}
	nested := func(op *pb.RequestOp) *pb.RequestOp {
		return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: &pb.TxnRequest{Failure: []*pb.RequestOp{op}}}}
	}
	txn := func(ops ...*pb.RequestOp) func(context.Context, pb.KVClient) error {
		return func(ctx context.Context, c pb.KVClient) error {
			_, err := c.Txn(ctx, &pb.TxnRequest{Success: ops})
			return err
		}
	}
	for name, tt := range map[string]struct {
		do               func(context.Context, pb.KVClient) error
		proposals, reads int
	}{
		"linearizable range": {func(ctx context.Context, c pb.KVClient) error {
			_, err := c.Range(ctx, get.GetRequestRange())
			return err
		}, 0, 1},
		"serializable range": {func(ctx context.Context, c pb.KVClient) error {
			_, err := c.Range(ctx, old.GetRequestRange())
			return err
		}, 0, 0},
		"txn that reads":           {txn(get, old), 0, 1},
		"txn that reads old state": {txn(old, old), 0, 0},
		"txn that reads, nested":   {txn(nested(old)), 1, 0},
		"txn that writes":          {txn(get, put), 1, 0},
		"txn that writes, nested":  {txn(nested(put)), 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			if err := tt.do(testContext(t), pb.NewKVClient(r.conn(t))); err != nil {
				t.Fatal(err)
			}
			if r.node.proposals != tt.proposals || r.node.reads != tt.reads {
				t.Errorf("%d proposals and %d reads, want %d and %d", r.node.proposals, r.node.reads, tt.proposals, tt.reads)
			}
		})
	}
}

func TestBadRequestsNeverReachTheLog(t *testing.T) {
	r := newRig(t)
	c, ctx := pb.NewKVClient(r.conn(t)), testContext(t)
	put := &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("k")}}}
	for name, tt := range map[string]struct {
		do   func() error
		want error
	}{
		"put without key":      {func() error { _, err := c.Put(ctx, &pb.PutRequest{}); return err }, rpctypes.ErrGRPCEmptyKey},
		"range without key":    {func() error { _, err := c.Range(ctx, &pb.RangeRequest{}); return err }, rpctypes.ErrGRPCEmptyKey},
		"range in the future":  {func() error { _, err := c.Range(ctx, &pb.RangeRequest{Key: []byte("k"), Revision: 99}); return err }, rpctypes.ErrGRPCFutureRev},
		"delete without key":   {func() error { _, err := c.DeleteRange(ctx, &pb.DeleteRangeRequest{}); return err }, rpctypes.ErrGRPCEmptyKey},
		"txn with a key twice": {func() error { _, err := c.Txn(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{put, put}}); return err }, rpctypes.ErrGRPCDuplicateKey},
		"put above the limit": {func() error {
			_, err := c.Put(ctx, &pb.PutRequest{Key: []byte("k"), Value: make([]byte, DefaultMaxRequestBytes)})
			return err
		}, rpctypes.ErrGRPCRequestTooLarge},
	} {
		if err := tt.do(); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	if r.node.proposals != 0 {
		t.Errorf("%d of the bad requests were proposed", r.node.proposals)
	}
}

func TestRefusalByTheMachineIsToldAsEtcdTellsIt(t *testing.T) {
	r := newRig(t)
	_, err := pb.NewKVClient(r.conn(t)).Put(testContext(t), &pb.PutRequest{Key: []byte("k"), IgnoreValue: true})
	if !errors.Is(err, rpctypes.ErrGRPCKeyNotFound) || r.node.proposals != 1 {
		t.Errorf("%v after %d proposals, want %v after 1", err, r.node.proposals, rpctypes.ErrGRPCKeyNotFound)
	}
}

func TestCompact(t *testing.T) {
	r := newRig(t)
	c, ctx := r.client(t), testContext(t)
	for i := range 4 {
		if _, err := c.Put(ctx, "k", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Compact(ctx, 4); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(ctx, "k", clientv3.WithRev(2)); !errors.Is(err, rpctypes.ErrCompacted) {
		t.Errorf("get before the compaction: %v, want %v", err, rpctypes.ErrCompacted)
	}
}

func TestRangeStreamGivesWhatRangeGivesInPieces(t *testing.T) {
	r := newRig(t)
	c, ctx := r.client(t), testContext(t)
	value := bytes.Repeat([]byte{'x'}, 300<<10)
	for i := range 10 {
		if _, err := c.Put(ctx, fmt.Sprintf("k%d", i), string(value)); err != nil {
			t.Fatal(err)
		}
	}
	whole, err := c.Get(ctx, "k", clientv3.WithPrefix(), clientv3.WithLimit(8))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := c.GetStream(ctx, "k", clientv3.WithPrefix(), clientv3.WithLimit(8))
	if err != nil {
		t.Fatal(err)
	}
	pieces, keys := 0, 0
	var last *pb.RangeResponse
	for p := range stream {
		if p.Err() != nil {
			t.Fatal(p.Err())
		}
		pieces, keys, last = pieces+1, keys+len(p.Kvs), p.RangeResponse
	}
	if pieces < 2 || keys != len(whole.Kvs) || last.Count != whole.Count || last.More != whole.More || last.Header.GetRevision() != whole.Header.Revision {
		t.Errorf("%d pieces with %d keys, the last %v, count %d, more %v; want %d keys, count %d, more %v",
			pieces, keys, last.Header, last.Count, last.More, len(whole.Kvs), whole.Count, whole.More)
	}
}

// An empty result is one message, with a header.
func TestRangeStreamOfNothing(t *testing.T) {
	r := newRig(t)
	stream, err := r.client(t).GetStream(testContext(t), "none")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for p := range stream {
		n++
		if p.Err() != nil || p.Header.GetRevision() != 1 {
			t.Errorf("%v, %v", p.RangeResponse, p.Err())
		}
	}
	if n != 1 {
		t.Errorf("%d messages, want 1", n)
	}
}

// TestPhysicalCompaction: it waits for the purge, also where the revision was
// compacted before, and tells of the compaction all the same.
func TestPhysicalCompaction(t *testing.T) {
	r := newRig(t)
	c, ctx := pb.NewKVClient(r.conn(t)), testContext(t)
	for range 3 {
		if _, err := c.Put(ctx, &pb.PutRequest{Key: []byte("k")}); err != nil {
			t.Fatal(err)
		}
	}
	purge := &slowPurge{Store: r.node.store, allowed: make(chan struct{})}
	r.api.cfg.Store = purge
	for i, want := range []error{nil, rpctypes.ErrGRPCCompacted} {
		done := make(chan error, 1)
		go func() {
			_, err := c.Compact(ctx, &pb.CompactionRequest{Revision: 3, Physical: true})
			done <- err
		}()
		select {
		case err := <-done:
			t.Fatalf("compaction %d: %v, before the purge was done", i, err)
		case purge.allowed <- struct{}{}:
		}
		if err := <-done; !errors.Is(err, want) {
			t.Errorf("compaction %d: %v, want %v", i, err, want)
		}
	}
	if resp, err := c.Compact(ctx, &pb.CompactionRequest{Revision: 4}); err != nil || resp.Header.Revision != 4 {
		t.Errorf("a compaction that is not physical: %v, %v", resp, err)
	}
}

// slowPurge is a store whose purge is done when it is allowed to be.
type slowPurge struct {
	Store
	allowed chan struct{}
}

func (s *slowPurge) Purged(ctx context.Context) error {
	select {
	case <-s.allowed:
		return s.Store.Purged(ctx)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TestLimits: those of etcd by default, others where they are set.
func TestLimits(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxTxnOps, c.MaxRequestBytes = 2, 1000 })
	c, ctx := pb.NewKVClient(r.conn(t)), testContext(t)
	txn := func(n int) *pb.TxnRequest {
		t := &pb.TxnRequest{}
		for i := range n {
			t.Success = append(t.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte{byte(i + 1)}}}})
		}
		return t
	}
	if _, err := c.Txn(ctx, txn(2)); err != nil {
		t.Errorf("two operations: %v", err)
	}
	if _, err := c.Txn(ctx, txn(3)); !errors.Is(err, rpctypes.ErrGRPCTooManyOps) {
		t.Errorf("three operations: %v, want %v", err, rpctypes.ErrGRPCTooManyOps)
	}
	put := func(n int) error {
		_, err := c.Put(ctx, &pb.PutRequest{Key: []byte("k"), Value: make([]byte, n)})
		return err
	}
	if err := put(900); err != nil {
		t.Errorf("a request below the limit: %v", err)
	}
	if err := put(1000); !errors.Is(err, rpctypes.ErrGRPCRequestTooLarge) {
		t.Errorf("a request above the limit: %v, want %v", err, rpctypes.ErrGRPCRequestTooLarge)
	}
	if err := put(1000 + overheadBytes); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a message above what gRPC takes: %v, want %v", err, codes.ResourceExhausted)
	}
}
