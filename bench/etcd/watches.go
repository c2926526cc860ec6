package main

import (
	"context"
	"errors"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
)

func watches() []load {
	return []load{
		{name: "one put that all clients watch for; an operation lasts until the last has seen it", unit: "puts",
			targets: []string{toAll}, start: fanOut},
		{name: "each client watches a key of its own and puts it; an operation lasts from the put to the event", unit: "puts",
			targets: []string{toAll}, start: func(ctx context.Context, r *rig, n int) (job, error) { return ownKeys(ctx, r, n, false) }},
		{name: "the same; latency from the put's answer to the event", unit: "puts",
			targets: []string{toAll}, start: func(ctx context.Context, r *rig, n int) (job, error) { return ownKeys(ctx, r, n, true) }},
	}
}

// watch opens a watch and returns when the server has it.
func watch(ctx context.Context, c *clientv3.Client, key string) (clientv3.WatchChan, error) {
	ch := c.Watch(ctx, key, clientv3.WithCreatedNotify())
	select {
	case r, ok := <-ch:
		if !ok || r.Err() != nil {
			return nil, fmt.Errorf("watch %s: %w", key, errors.Join(r.Err(), context.Cause(ctx)))
		}
		return ch, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// next waits for the event of revision rev. Those of earlier puts, whose answer
// was lost, are passed over.
func next(ctx context.Context, ch clientv3.WatchChan, rev int64) error {
	for {
		select {
		case r, ok := <-ch:
			if !ok || r.Err() != nil {
				return fmt.Errorf("watch ended: %w", r.Err())
			}
			if n := len(r.Events); n > 0 && r.Events[n-1].Kv.ModRevision >= rev {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// watchAll opens one watch for each of n clients, on their connections in turn.
func watchAll(r *rig, n int, key func(i int) string) ([]clientv3.WatchChan, func(), error) {
	ctx, stop := context.WithCancel(context.Background())
	chans := make([]clientv3.WatchChan, n)
	for i := range chans {
		var err error
		if chans[i], err = watch(ctx, r.own(i), key(i)); err != nil {
			stop()
			return nil, nil, err
		}
	}
	return chans, stop, nil
}

func fanOut(_ context.Context, r *rig, n int) (job, error) {
	chans, stop, err := watchAll(r, n, func(int) string { return "watch/all" })
	if err != nil {
		return job{}, err
	}
	return job{workers: 1, stop: stop, do: func(ctx context.Context, worker, n int) error {
		resp, err := r.conn(worker, n).Put(ctx, "watch/all", r.value)
		if err != nil {
			return err
		}
		for _, ch := range chans {
			if err := next(ctx, ch, resp.Header.Revision); err != nil {
				return err
			}
		}
		return nil
	}}, nil
}

// ownKeys has n clients put and watch. With acked, the put is over before time is
// taken.
func ownKeys(_ context.Context, r *rig, n int, acked bool) (job, error) {
	key := func(i int) string { return fmt.Sprintf("watch/%06d", i) }
	chans, stop, err := watchAll(r, n, key)
	if err != nil {
		return job{}, err
	}
	revs := make([]int64, n) // of each worker's last put
	put := func(ctx context.Context, worker, _ int) error {
		resp, err := r.own(worker).Put(ctx, key(worker), r.value)
		if err == nil {
			revs[worker] = resp.Header.Revision
		}
		return err
	}
	see := func(ctx context.Context, worker, _ int) error { return next(ctx, chans[worker], revs[worker]) }
	if acked {
		return job{before: put, do: see, stop: stop}, nil
	}
	return job{stop: stop, do: func(ctx context.Context, worker, n int) error {
		if err := put(ctx, worker, n); err != nil {
			return err
		}
		return see(ctx, worker, n)
	}}, nil
}
