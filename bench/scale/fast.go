package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/kv"
)

// fastPuts are put by one command of a load in this process.
const fastPuts = 500

// loadHere fills the member's directory before it is started: the same member
// with the same log and the same store, in this process, without gRPC and
// without a client. It is for sizes whose load would else take most of the time.
func (b *bench) loadHere(ctx context.Context) (rate string, err error) {
	began := time.Now()
	addrs, err := b.ports.ReserveAny(1)
	if err != nil {
		return "", err
	}
	node, err := muster.Start(ctx, muster.Config{Name: "m", DataDir: b.dir, Single: true, PeerListen: addrs[0]}, kv.New(kv.Options{CacheBytes: b.cacheBytes}))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, node.Close()) }()
	if err := node.Ready(ctx); err != nil {
		return "", err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var writers sync.WaitGroup
	for n := range b.clients {
		rnd := rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)})
		writers.Go(func() {
			for from := range next {
				if err := b.putHere(ctx, node, rnd, from); err != nil {
					cancel(fmt.Errorf("put keys from %d: %w", from, err))
				}
			}
		})
	}
	keys := b.keys
	for i := 0; i < keys && ctx.Err() == nil; i += fastPuts {
		if time.Since(began) > b.loadFor {
			keys = i // as many as there was time for
			break
		}
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	writers.Wait()
	b.keys = keys
	return perSecond(float64(b.keys), "keys", began), context.Cause(ctx)
}

func (b *bench) putHere(ctx context.Context, node *muster.Node, rnd *rand.ChaCha8, from int) error {
	t := &pb.TxnRequest{}
	for i := from; i < min(from+fastPuts, b.keys); i++ {
		value := make([]byte, b.valueBytes)
		_, _ = rnd.Read(value) // it never fails
		put := &pb.PutRequest{Key: []byte(key(i)), Value: value}
		t.Success = append(t.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: put}})
	}
	command, err := kv.EncodeTxn(t)
	if err != nil {
		return err
	}
	got, err := node.Propose(ctx, command)
	if r, ok := got.(kv.Reply); ok && err == nil {
		err = r.Err
	}
	return err
}
