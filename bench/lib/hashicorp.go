package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"

	"github.com/musterhq/muster/internal/loopback"
)

// hashicorpSettings are what differs between the two rows of hashicorp/raft.
type hashicorpSettings struct {
	maxAppendEntries int  // entries in one AppendEntries and in one group at the leader
	batchApply       bool // Config.BatchApplyCh, and a state machine that takes batches
	rpcsInFlight     int  // 0: the library's default, 2
	logCache         int  // entries kept in front of the log on disk; 0: none
}

// startHashicorpDefault runs raft.DefaultConfig as it comes.
func startHashicorpDefault(ctx context.Context, dir string) (cluster, error) {
	return startHashicorp(ctx, dir, hashicorpSettings{maxAppendEntries: raft.DefaultConfig().MaxAppendEntries})
}

// startHashicorpTuned runs the largest groups that the library allows, with
// the log cache that Consul and Nomad put in front of their logs.
func startHashicorpTuned(ctx context.Context, dir string) (cluster, error) {
	return startHashicorp(ctx, dir, hashicorpSettings{
		maxAppendEntries: 1024, // the most that ValidateConfig accepts
		batchApply:       true,
		logCache:         4096,
	})
}

type hashicorpCluster struct {
	nodes   []*raft.Raft
	leader  *raft.Raft
	fsm     *hashicorpFSM // the leader's
	closers []io.Closer   // what the library leaves to its user, in the order of closing
	ports   loopback.Ports
}

func startHashicorp(ctx context.Context, dir string, set hashicorpSettings) (_ cluster, err error) {
	c := &hashicorpCluster{}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	addrs, err := c.ports.ReserveAny(members)
	if err != nil {
		return nil, err
	}
	servers := make([]raft.Server, members)
	for i, a := range addrs {
		servers[i] = raft.Server{ID: raft.ServerID(fmt.Sprintf("n%d", i+1)), Address: raft.ServerAddress(a)}
	}
	fsms := make([]*hashicorpFSM, members)
	for i, s := range servers {
		fsms[i] = &hashicorpFSM{}
		if err := c.startNode(filepath.Join(dir, string(s.ID)), s, servers, fsms[i], set); err != nil {
			return nil, fmt.Errorf("start %s: %w", s.ID, err)
		}
	}
	i, err := c.waitForLeader(ctx)
	if err != nil {
		return nil, err
	}
	c.leader, c.fsm = c.nodes[i], fsms[i]
	return c, nil
}

func (c *hashicorpCluster) startNode(dir string, self raft.Server, all []raft.Server, fsm *hashicorpFSM, set hashicorpSettings) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	logger := hclog.New(&hclog.LoggerOptions{Output: os.Stderr, Level: hclog.Error})
	store, err := wal.Open(dir, wal.WithLogger(logger))
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	c.closers = append(c.closers, store)
	advertise, err := net.ResolveTCPAddr("tcp", string(self.Address))
	if err != nil {
		return err
	}
	transport, err := raft.NewTCPTransportWithConfig(string(self.Address), advertise, &raft.NetworkTransportConfig{
		MaxPool: members, Timeout: 10 * time.Second, Logger: logger, MaxRPCsInFlight: set.rpcsInFlight,
	})
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	c.closers = append(c.closers, transport)

	cfg := raft.DefaultConfig()
	cfg.LocalID = self.ID
	cfg.Logger = logger
	cfg.NoLegacyTelemetry = true
	cfg.MaxAppendEntries = set.maxAppendEntries
	cfg.BatchApplyCh = set.batchApply
	cfg.SnapshotThreshold = 1 << 62 // none during the run, on either side
	var logs raft.LogStore = store
	if set.logCache > 0 {
		if logs, err = raft.NewLogCache(set.logCache, store); err != nil {
			return err
		}
	}
	var machine raft.FSM = fsm
	if set.batchApply {
		machine = hashicorpBatchFSM{fsm}
	}
	snaps := raft.NewDiscardSnapshotStore()
	if err := raft.BootstrapCluster(cfg, logs, store, snaps, transport, raft.Configuration{Servers: all}); err != nil {
		return fmt.Errorf("bootstrap: %w", err)
	}
	node, err := raft.NewRaft(cfg, machine, logs, store, snaps, transport)
	if err != nil {
		return err
	}
	c.nodes = append(c.nodes, node)
	return nil
}

// waitForLeader returns the leader's position once a barrier went through.
func (c *hashicorpCluster) waitForLeader(ctx context.Context) (int, error) {
	for {
		for i, n := range c.nodes {
			if n.State() == raft.Leader && n.Barrier(5*time.Second).Error() == nil {
				return i, nil
			}
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("wait for a leader: %w", ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Propose implements cluster. hashicorp/raft knows no context: its timeout
// bounds only the wait to be queued, which is what its users have. A proposal
// that is lost after that, with BatchApplyCh, is never answered; the cell then
// ends with its process.
func (c *hashicorpCluster) Propose(ctx context.Context, command []byte) error {
	timeout := time.Duration(0)
	if at, ok := ctx.Deadline(); ok {
		timeout = time.Until(at)
	}
	return c.leader.Apply(command, timeout).Error()
}

// Applied implements cluster.
func (c *hashicorpCluster) Applied() uint64 { return c.fsm.applied.Load() }

// Close implements cluster.
func (c *hashicorpCluster) Close() error {
	var errs []error
	for _, n := range c.nodes {
		errs = append(errs, n.Shutdown().Error())
	}
	for _, cl := range c.closers {
		errs = append(errs, cl.Close())
	}
	c.ports.Release()
	return errors.Join(errs...)
}

// hashicorpFSM counts commands and their bytes.
type hashicorpFSM struct{ applied, bytes atomic.Uint64 }

// Apply implements raft.FSM.
func (f *hashicorpFSM) Apply(l *raft.Log) any {
	f.bytes.Add(uint64(len(l.Data)))
	return f.applied.Add(1)
}

// Snapshot implements raft.FSM; none is taken.
func (f *hashicorpFSM) Snapshot() (raft.FSMSnapshot, error) {
	return nil, errors.New("no snapshots here")
}

// Restore implements raft.FSM; none is there.
func (f *hashicorpFSM) Restore(io.ReadCloser) error { return errors.New("no snapshots here") }

// hashicorpBatchFSM is the same machine taking batches.
type hashicorpBatchFSM struct{ *hashicorpFSM }

// ApplyBatch implements raft.BatchingFSM.
func (f hashicorpBatchFSM) ApplyBatch(logs []*raft.Log) []any {
	results := make([]any, len(logs))
	for i, l := range logs {
		if l.Type == raft.LogCommand {
			results[i] = f.Apply(l)
		}
	}
	return results
}
