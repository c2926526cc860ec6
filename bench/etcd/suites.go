package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/bench/internal/measure"
)

// suite is loads that are run together.
type suite struct {
	name string // for -only
	// fresh: each window has servers of its own. Without it, servers are started
	// once a round and go through all windows, in the same order on both systems.
	fresh bool
	loads []load
}

// load is what the clients do, one table of the report.
type load struct {
	name    string
	unit    string // what an operation is, in the plural
	targets []string
	// start makes ready what n clients need.
	start func(ctx context.Context, r *rig, n int) (job, error)
}

// job is a load that is ready to run.
type job struct {
	workers int // 0: as many as clients
	before  measure.Do
	do      measure.Do
	stop    func() // gives back what start made; nil: nothing
}

// rig is what a load works with.
type rig struct {
	settings
	conns []*clientv3.Client // the clients share them, in turn
	value string
}

// conn gives a worker the connections in turn, so that each member gets the same
// share of each worker.
func (r *rig) conn(worker, n int) *clientv3.Client { return r.conns[(worker+n)%len(r.conns)] }

// own gives a worker one connection for all of its operations.
func (r *rig) own(worker int) *clientv3.Client { return r.conns[worker%len(r.conns)] }

func suites() []suite {
	return []suite{
		{name: "puts", fresh: true, loads: []load{puts()}},
		{name: "reads", loads: reads()},
		{name: "txn", loads: txns()},
		{name: "watch", loads: watches()},
		{name: "lease", loads: leases()},
	}
}

// suitesOf are those that are named, in the order of suites.
func suitesOf(names string) ([]suite, error) {
	wanted := map[string]bool{}
	for n := range strings.SplitSeq(names, ",") {
		wanted[n] = true
	}
	var chosen []suite
	var known []string
	for _, s := range suites() {
		known = append(known, s.name)
		if wanted[s.name] {
			chosen = append(chosen, s)
		}
		delete(wanted, s.name)
	}
	for n := range wanted {
		return nil, fmt.Errorf("-only: %q is none of %s", n, strings.Join(known, ", "))
	}
	return chosen, nil
}

// holding leaves of the suites the loads whose names hold text.
func holding(all []suite, text string) (left []suite) {
	for _, s := range all {
		s.loads = slices.DeleteFunc(s.loads, func(l load) bool { return !strings.Contains(l.name, text) })
		if len(s.loads) > 0 {
			left = append(left, s)
		}
	}
	return left
}

// puts writes one random value under random keys.
func puts() load {
	return load{name: "puts", unit: "puts", targets: []string{toLeader, toAll}, start: func(_ context.Context, r *rig, _ int) (job, error) {
		return job{do: func(ctx context.Context, worker, n int) error {
			key := fmt.Sprintf("bench/%016x", rand.IntN(r.keys))
			_, err := r.conn(worker, n).Put(ctx, key, r.value)
			return err
		}}, nil
	}}
}

// randomValue can't be compressed, so no system gains by trying.
func randomValue(size int) string {
	value := make([]byte, size)
	for i := range value {
		value[i] = byte(rand.Uint32())
	}
	return string(value)
}
