package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/bench/internal/measure"
	"github.com/musterhq/muster/internal/testproc"
)

const (
	startTimeout = 30 * time.Second // until all members know one leader and take a put
	opTimeout    = 5 * time.Second
	readyTimeout = 60 * time.Second // until a load has what it needs
)

// withServers starts a system's members on empty directories, and has f work
// with them.
func (s settings) withServers(ctx context.Context, dir, system string, f func(*servers, []*clientv3.Client) error) (err error) {
	sys, err := systemOf(system)
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
	defer srv.kill()
	probes, err := dial(srv.members)
	defer closeAll(probes)
	if err != nil {
		return err
	}
	return f(srv, probes)
}

// window measures one load: fresh connections. probes has one client per member.
func (s settings) window(ctx context.Context, srv *servers, probes []*clientv3.Client, l load, sample *measure.Sample) error {
	before, err := waitForLeader(ctx, srv, probes)
	if err != nil {
		return err
	}
	conns, err := dial(s.spread(srv.members, before.at, sample))
	defer closeAll(conns)
	if err != nil {
		return err
	}
	ready, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	j, err := l.start(ready, &rig{settings: s, conns: conns, value: randomValue(s.valueBytes)}, sample.Clients)
	if err != nil {
		return fmt.Errorf("get ready: %w", err)
	}
	if j.stop != nil {
		defer j.stop()
	}
	workers := sample.Clients
	if j.workers > 0 {
		workers = j.workers
	}
	sample.Window, err = measure.Run(ctx, measure.Plan{
		Workers: workers, WarmUp: s.warmUp, Duration: s.duration, Timeout: opTimeout, Before: j.before,
	}, j.do, srv.usage)
	if err != nil {
		return err
	}
	sample.Note = afterwards(ctx, probes, before)
	return nil
}

// spread says to which member each of the connections goes.
func (s settings) spread(all []*testproc.Member, leader int, sample *measure.Sample) []*testproc.Member {
	if sample.Target == toLeader {
		to := make([]*testproc.Member, min(s.conns, sample.Clients))
		for i := range to {
			to[i] = all[leader]
		}
		return to
	}
	// At least one to each, also when a single client has to take them in turn.
	n := max(len(all), min(s.conns, sample.Clients))
	to := make([]*testproc.Member, n)
	for i := range to {
		to[i] = all[i%len(all)]
	}
	return to
}

func dial(to []*testproc.Member) ([]*clientv3.Client, error) {
	clients := make([]*clientv3.Client, 0, len(to))
	for _, m := range to {
		c, err := clientv3.New(clientv3.Config{Endpoints: []string{m.Client}, Logger: zap.NewNop()})
		if err != nil {
			return clients, fmt.Errorf("connect to %s: %w", m.Client, err)
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
