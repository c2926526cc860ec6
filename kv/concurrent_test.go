package kv

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// TestReadersSeeOneRevision: two keys that every transaction sets to the same
// value are never seen apart, through flushes and restores, and no read fails.
func TestReadersSeeOneRevision(t *testing.T) {
	d := newDriver(t)
	ctx, stop := context.WithCancel(context.Background())
	set := func(i int) {
		v := fmt.Sprintf("%0400d", i)
		d.do(&pb.TxnRequest{Success: []*pb.RequestOp{putOp("a", v), putOp("b", v)}})
	}
	set(0)
	var readers sync.WaitGroup
	for n := range 3 {
		readers.Go(func() {
			for ctx.Err() == nil {
				if err := sameValues(d.Store, n); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for round := range 6 {
		dir := fmt.Sprintf("image-%d", round)
		must(t, d.opt.FS.MkdirAll(dir, 0o755))
		must(t, d.Checkpoint(dir))
		at := d.index
		for i := range 120 {
			set(i)
		}
		must(t, d.Restore(dir, at))
		d.index = at
	}
	stop()
	readers.Wait()
}

func sameValues(s *Store, n int) error {
	ctx := context.Background()
	var a, b []byte
	var rev int64
	if n == 0 {
		get := func(key string) *pb.RequestOp {
			return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte(key)}}}
		}
		resp, err := s.ReadTxn(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{get("a"), get("b")}})
		if err != nil {
			return err
		}
		rev = resp.Header.Revision
		a, b = resp.Responses[0].GetResponseRange().Kvs[0].Value, resp.Responses[1].GetResponseRange().Kvs[0].Value
	} else {
		resp, err := s.Range(ctx, all())
		if err != nil {
			return err
		}
		if len(resp.Kvs) != 2 || resp.Kvs[0].ModRevision != resp.Header.Revision {
			return fmt.Errorf("at revision %d: %s", resp.Header.Revision, show(resp.Kvs))
		}
		rev, a, b = resp.Header.Revision, resp.Kvs[0].Value, resp.Kvs[1].Value
	}
	if string(a) != string(b) {
		return fmt.Errorf("at revision %d: a is %s, b is %s", rev, a, b)
	}
	if _, err := s.Durable(); err != nil {
		return err
	}
	if err := s.Prepare(); err != nil && !errors.Is(err, ErrClosed) {
		return err
	}
	return nil
}

func TestCancelledRange(t *testing.T) {
	d := newDriver(t)
	for i := range 1100 {
		d.put(fmt.Sprint(i), "")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := d.Range(ctx, all()); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled range: %v", err)
	}
	if _, _, err := d.Hash(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled hash: %v", err)
	}
}
