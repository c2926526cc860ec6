package etcdapi

import (
	"context"
	"errors"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// TestRequestsEnd: what waits for a quorum ends after the request timeout, with or
// without a deadline of the client's, who then goes on at another member.
func TestRequestsEnd(t *testing.T) {
	r := newRig(t, func(c *Config) { c.RequestTimeout = 30 * time.Millisecond })
	wait := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	r.node.before = wait
	r.node.onRead = func(ctx context.Context, _ int) error { return wait(ctx) }
	c := pb.NewKVClient(r.conn(t))
	read := &pb.TxnRequest{Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte("k")}}}}}
	for what, ctx := range map[string]context.Context{"no deadline": context.Background(), "a late deadline": testContext(t)} {
		for method, call := range map[string]func() error{
			"put":   func() error { _, err := c.Put(ctx, &pb.PutRequest{Key: []byte("k")}); return err },
			"range": func() error { _, err := c.Range(ctx, &pb.RangeRequest{Key: []byte("k")}); return err },
			"txn":   func() error { _, err := c.Txn(ctx, read); return err },
			"range stream": func() error {
				return firstOf(c.RangeStream(ctx, &pb.RangeRequest{Key: []byte("k")}))
			},
			"status of auth": func() error {
				_, err := pb.NewAuthClient(r.conn(t)).AuthStatus(ctx, &pb.AuthStatusRequest{})
				return err
			},
		} {
			if err := call(); !errors.Is(err, rpctypes.ErrGRPCTimeout) {
				t.Errorf("%s, %s: %v, want %v", method, what, err, rpctypes.ErrGRPCTimeout)
			}
		}
	}
}

// patientStore notes until when its readers wait.
type patientStore struct {
	Store
	limited bool
}

func (s *patientStore) Range(ctx context.Context, r *pb.RangeRequest) (*pb.RangeResponse, error) {
	_, s.limited = ctx.Deadline()
	return s.Store.Range(ctx, r)
}

func (s *patientStore) ReadTxn(ctx context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error) {
	_, s.limited = ctx.Deadline()
	return s.Store.ReadTxn(ctx, r)
}

// TestLongReads: what is read may take longer than a quorum is waited for, as in etcd.
func TestLongReads(t *testing.T) {
	r := newRig(t)
	s := &patientStore{Store: r.node.store}
	r.api.cfg.Store = s
	c := pb.NewKVClient(r.conn(t))
	if _, err := c.Range(context.Background(), &pb.RangeRequest{Key: []byte("k")}); err != nil || s.limited {
		t.Errorf("range: %v, limited: %v", err, s.limited)
	}
	if _, err := c.Txn(context.Background(), &pb.TxnRequest{}); err != nil || s.limited {
		t.Errorf("txn: %v, limited: %v", err, s.limited)
	}
}

// TestPasswordsTakeLong: the time that a password takes is none that a quorum is
// waited for.
func TestPasswordsTakeLong(t *testing.T) {
	r := newRig(t)
	r.guard(t)
	var first, last time.Time
	r.node.onRead = func(ctx context.Context, _ int) error { first, _ = ctx.Deadline(); return nil }
	r.node.before = func(ctx context.Context) error { last, _ = ctx.Deadline(); return nil }
	c := pb.NewAuthClient(r.conn(t))
	if _, err := c.Authenticate(context.Background(), &pb.AuthenticateRequest{Name: "ann", Password: "ann"}); err != nil {
		t.Fatal(err)
	}
	if first.IsZero() || !last.After(first) {
		t.Errorf("the quorum is waited for until %v before the password, and after it until %v", first, last)
	}
}
