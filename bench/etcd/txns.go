package main

import (
	"context"
	"fmt"
	"math/rand/v2"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Each client compares and puts perClient keys, of which it shares half with the
// next client.
const perClient = 8

func txns() []load {
	type txn = func(ctx context.Context, r *rig, c *clientv3.Client, worker int, seen []int64) error
	of := func(name string, pick func(n int) txn) load {
		return load{name: name, unit: "txns", targets: []string{toAll}, start: func(ctx context.Context, r *rig, n int) (job, error) {
			if err := fill(ctx, r); err != nil {
				return job{}, err
			}
			seen := make([][]int64, n) // per worker: the revision at which it last saw each of its keys
			for i := range seen {
				seen[i] = make([]int64, perClient)
			}
			return job{do: func(ctx context.Context, worker, n int) error {
				return pick(n)(ctx, r, r.conn(worker, n), worker, seen[worker])
			}}, nil
		}}
	}
	return []load{
		of("compare-and-put of one key", func(int) txn { return compareAndPut }),
		of("read-only transactions of three keys", func(int) txn { return readOnly }),
		of("transactions of four puts, a read and a delete", func(int) txn { return several }),
		of("a mix: half read-only, a third compare-and-put, a sixth of several operations", func(n int) txn {
			return []txn{readOnly, compareAndPut, readOnly, several, readOnly, compareAndPut}[n%6]
		}),
	}
}

// compareAndPut puts if nobody else did since this worker last looked, and looks
// otherwise. Both are answers; neither is an error.
func compareAndPut(ctx context.Context, r *rig, c *clientv3.Client, worker int, seen []int64) error {
	i := rand.IntN(perClient)
	key := fmt.Sprintf("cas/%06d", worker*perClient/2+i)
	resp, err := c.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", seen[i])).
		Then(clientv3.OpPut(key, r.value)).Else(clientv3.OpGet(key)).Commit()
	if err != nil {
		return err
	}
	if resp.Succeeded {
		seen[i] = resp.Header.Revision
	} else if kvs := resp.Responses[0].GetResponseRange().Kvs; len(kvs) == 1 {
		seen[i] = kvs[0].ModRevision
	}
	return nil
}

func readOnly(ctx context.Context, _ *rig, c *clientv3.Client, _ int, _ []int64) error {
	ops := make([]clientv3.Op, 3)
	for i := range ops {
		ops[i] = clientv3.OpGet(readKey(rand.IntN(readKeys)))
	}
	_, err := c.Txn(ctx).Then(ops...).Commit()
	return err
}

func several(ctx context.Context, r *rig, c *clientv3.Client, worker int, _ []int64) error {
	// A key may be put once in a transaction; a worker's own four differ.
	key := func(i int) string { return fmt.Sprintf("txn/%04d/%04d", worker, i) }
	at := rand.IntN(1000)
	_, err := c.Txn(ctx).Then(
		clientv3.OpPut(key(at), r.value), clientv3.OpPut(key(at+1), r.value),
		clientv3.OpPut(key(at+2), r.value), clientv3.OpPut(key(at+3), r.value),
		clientv3.OpGet(readKey(rand.IntN(readKeys))), clientv3.OpDelete(key(at+4)),
	).Commit()
	return err
}
