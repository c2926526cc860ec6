package main

import (
	"context"
	"fmt"
	"math/rand/v2"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	readKeys  = 20_000 // that are there to be read
	rangeKeys = 10     // of one small range
	fillBatch = 100    // puts of one transaction; etcd takes 128
)

// readKey sorts as its number does.
func readKey(i int) string { return fmt.Sprintf("read/%08d", i) }

// reads are of keys that nobody changes meanwhile.
func reads() []load {
	point := func(r *rig, opts ...clientv3.OpOption) func(context.Context, int, int) error {
		return func(ctx context.Context, worker, n int) error {
			resp, err := r.conn(worker, n).Get(ctx, readKey(rand.IntN(readKeys)), opts...)
			return expect(err, 1, resp)
		}
	}
	small := func(r *rig, opts ...clientv3.OpOption) func(context.Context, int, int) error {
		return func(ctx context.Context, worker, n int) error {
			from := rand.IntN(readKeys - rangeKeys)
			resp, err := r.conn(worker, n).Get(ctx, readKey(from), append(opts, clientv3.WithRange(readKey(from+rangeKeys)))...)
			return expect(err, rangeKeys, resp)
		}
	}
	read := func(name string, do func(*rig, ...clientv3.OpOption) func(context.Context, int, int) error, opts ...clientv3.OpOption) load {
		return load{name: name, unit: "reads", targets: []string{toAll}, start: func(ctx context.Context, r *rig, _ int) (job, error) {
			return job{do: do(r, opts[:len(opts):len(opts)]...)}, fill(ctx, r)
		}}
	}
	return []load{
		read("linearizable reads of one key", point),
		read("serializable reads of one key", point, clientv3.WithSerializable()),
		read("linearizable reads of ten keys", small),
		read("serializable reads of ten keys", small, clientv3.WithSerializable()),
	}
}

func expect(err error, keys int, resp *clientv3.GetResponse) error {
	if err == nil && len(resp.Kvs) != keys {
		return fmt.Errorf("%d keys were read, want %d", len(resp.Kvs), keys)
	}
	return err
}

// fill puts the keys that are read, unless they are there.
func fill(ctx context.Context, r *rig) error {
	resp, err := r.conns[0].Get(ctx, readKey(0), clientv3.WithRange(readKey(readKeys)), clientv3.WithCountOnly())
	if err != nil || resp.Count == readKeys {
		return err
	}
	for from := 0; from < readKeys; from += fillBatch {
		ops := make([]clientv3.Op, 0, fillBatch)
		for i := range fillBatch {
			ops = append(ops, clientv3.OpPut(readKey(from+i), r.value))
		}
		if _, err := r.conns[0].Txn(ctx).Then(ops...).Commit(); err != nil {
			return fmt.Errorf("put the keys to read: %w", err)
		}
	}
	// Every member has them all before any is asked for a serializable read.
	for _, c := range r.conns {
		if _, err := c.Get(ctx, readKey(0)); err != nil {
			return err
		}
	}
	return nil
}
