package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	leaseTTL  = 3600 // seconds; none expires during a run
	keptAlive = 5000 // leases that are kept alive
	granters  = 100  // that grant them
)

func leases() []load {
	of := func(name, unit string, start func(context.Context, *rig, int) (job, error)) load {
		return load{name: name, unit: unit, targets: []string{toAll}, start: start}
	}
	return []load{
		of("grant a lease and revoke it", "pairs", func(_ context.Context, r *rig, _ int) (job, error) {
			return job{do: func(ctx context.Context, worker, n int) error {
				c := r.conn(worker, n)
				l, err := c.Grant(ctx, leaseTTL)
				if err != nil {
					return err
				}
				_, err = c.Revoke(ctx, l.ID)
				return err
			}}, nil
		}),
		of("grant a lease, put a key on it and revoke it", "triples", func(_ context.Context, r *rig, _ int) (job, error) {
			return job{do: func(ctx context.Context, worker, n int) error {
				c := r.conn(worker, n)
				l, err := c.Grant(ctx, leaseTTL)
				if err != nil {
					return err
				}
				if _, err := c.Put(ctx, fmt.Sprintf("lease/%06d", worker), r.value, clientv3.WithLease(l.ID)); err != nil {
					return err
				}
				_, err = c.Revoke(ctx, l.ID)
				return err
			}}, nil
		}),
		of("put a key on a lease that is there", "puts", putsOnLease),
		{
			name: fmt.Sprintf("keep %d leases alive, one stream a client", keptAlive), unit: "keep-alives",
			targets: []string{toLeader, toAll}, start: keepAlives,
		},
	}
}

func putsOnLease(ctx context.Context, r *rig, n int) (job, error) {
	ids, err := grant(ctx, r, min(n, granters))
	return job{do: func(ctx context.Context, worker, n int) error {
		_, err := r.conn(worker, n).Put(ctx, fmt.Sprintf("lease/%06d/%02d", worker, n%16), r.value, clientv3.WithLease(ids[worker%len(ids)]))
		return err
	}}, err
}

// keepAlives has each client renew its share of the leases, one at a time, on a
// stream that stays open. clientv3's KeepAliveOnce opens a stream for each. A single
// client has a stream on each connection and takes them in turn: with one it
// would be chance whether it asks the leader.
func keepAlives(ctx context.Context, r *rig, n int) (job, error) {
	ids, err := grant(ctx, r, keptAlive)
	if err != nil {
		return job{}, err
	}
	all, stop := context.WithCancel(context.Background())
	single := n == 1
	if single {
		n = len(r.conns)
	}
	streams := make([]pb.Lease_LeaseKeepAliveClient, n)
	for i := range streams {
		if streams[i], err = pb.NewLeaseClient(r.own(i).ActiveConnection()).LeaseKeepAlive(all); err != nil {
			stop()
			return job{}, err
		}
	}
	return job{stop: stop, do: func(_ context.Context, worker, n int) error {
		id, stream := ids[(worker+n*len(streams))%len(ids)], streams[worker]
		if single {
			id, stream = ids[n%len(ids)], streams[n%len(streams)]
		}
		if err := stream.Send(&pb.LeaseKeepAliveRequest{ID: int64(id)}); err != nil {
			return err
		}
		resp, err := stream.Recv()
		if err == nil && resp.TTL == 0 {
			return fmt.Errorf("lease %x is gone", id)
		}
		return err
	}}, nil
}

// grant grants n leases, by several clients at once.
func grant(ctx context.Context, r *rig, n int) ([]clientv3.LeaseID, error) {
	ids, errs := make([]clientv3.LeaseID, n), make([]error, min(n, granters))
	var wg sync.WaitGroup
	for g := range errs {
		wg.Go(func() {
			for i := g; i < n && errs[g] == nil; i += len(errs) {
				l, err := r.own(i).Grant(ctx, leaseTTL)
				if err == nil {
					ids[i] = l.ID
				}
				errs[g] = err
			}
		})
	}
	wg.Wait()
	return ids, errors.Join(errs...)
}
