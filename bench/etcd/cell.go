package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"go.uber.org/zap"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/bench/internal/measure"
)

const (
	startTimeout = 30 * time.Second // until all members know one leader and take a put
	putTimeout   = 5 * time.Second
	retryPause   = 50 * time.Millisecond
)

// cell measures one window: fresh servers, fresh connections.
func (s settings) cell(ctx context.Context, dir string, sample *measure.Sample) (err error) {
	sys, err := systemOf(sample.System)
	if err != nil {
		return err
	}
	cellDir, err := os.MkdirTemp(dir, "cell-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(cellDir)) }()
	srv, err := startServers(sys, s.binaries[sys.name], cellDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, srv.kill()) }()

	probes, err := dial(srv.members)
	defer closeAll(probes)
	if err != nil {
		return err
	}
	before, err := waitForLeader(ctx, srv, probes)
	if err != nil {
		return err
	}
	conns, err := dial(s.spread(srv.members, before.at, sample))
	defer closeAll(conns)
	if err != nil {
		return err
	}
	sample.Window, err = measure.Run(ctx, measure.Plan{
		Workers: sample.Clients, WarmUp: s.warmUp, Duration: s.duration, Timeout: putTimeout,
	}, s.puts(conns), srv.usage)
	if err != nil {
		return err
	}
	sample.Note = afterwards(ctx, probes, before)
	return nil
}

// spread says to which member each of the connections goes.
func (s settings) spread(all []member, leader int, sample *measure.Sample) []member {
	if sample.Target == toLeader {
		to := make([]member, min(s.conns, sample.Clients))
		for i := range to {
			to[i] = all[leader]
		}
		return to
	}
	// At least one to each, also when a single client has to take them in turn.
	n := max(len(all), min(s.conns, sample.Clients))
	to := make([]member, n)
	for i := range to {
		to[i] = all[i%len(all)]
	}
	return to
}

// puts writes one random value under random keys. A worker takes the
// connections in turn, so that each member gets the same share of each worker.
func (s settings) puts(conns []*clientv3.Client) measure.Do {
	value := make([]byte, s.valueBytes)
	for i := range value {
		value[i] = byte(rand.Uint32()) // can't be compressed, so no system gains by trying
	}
	text := string(value)
	return func(ctx context.Context, worker, n int) error {
		key := fmt.Sprintf("bench/%016x", rand.IntN(s.keys))
		_, err := conns[(worker+n)%len(conns)].Put(ctx, key, text)
		return err
	}
}

func dial(to []member) ([]*clientv3.Client, error) {
	clients := make([]*clientv3.Client, 0, len(to))
	for _, m := range to {
		c, err := clientv3.New(clientv3.Config{Endpoints: []string{m.client}, Logger: zap.NewNop()})
		if err != nil {
			return clients, fmt.Errorf("connect to %s: %w", m.client, err)
		}
		clients = append(clients, c)
	}
	return clients, nil
}

func closeAll(clients []*clientv3.Client) {
	for _, c := range clients {
		_ = c.Close() // all requests have ended; nothing is lost
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
