package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/internal/loopback"
	"github.com/musterhq/muster/statemachine"
)

type musterCluster struct {
	nodes   []*muster.Node
	leader  *muster.Node
	machine *musterMachine // the leader's
	ports   loopback.Ports
}

// startMuster runs the library's defaults, but for snapshots: none is taken
// during the run, on either side.
func startMuster(ctx context.Context, dir string) (_ cluster, err error) {
	c := &musterCluster{}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	addrs, err := c.ports.ReserveAny(members)
	if err != nil {
		return nil, err
	}
	machines := make([]*musterMachine, members)
	for i, a := range addrs {
		name := fmt.Sprintf("n%d", i+1)
		machines[i] = &musterMachine{}
		n, err := muster.Start(ctx, muster.Config{
			Name: name, DataDir: filepath.Join(dir, name), PeerListen: a, Seeds: addrs,
			SnapshotLogBytes: 1 << 62,
		}, statemachine.InMemory(machines[i]))
		if err != nil {
			return nil, fmt.Errorf("start %s: %w", name, err)
		}
		c.nodes = append(c.nodes, n)
	}
	for _, n := range c.nodes {
		if err := n.Ready(ctx); err != nil {
			return nil, err
		}
	}
	i, err := c.waitForLeader(ctx)
	if err != nil {
		return nil, err
	}
	c.leader, c.machine = c.nodes[i], machines[i]
	return c, nil
}

func (c *musterCluster) waitForLeader(ctx context.Context) (int, error) {
	for {
		for i, n := range c.nodes {
			if s := n.Status(); s.Leader != 0 && s.Leader == s.Self.ID {
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

// Propose implements cluster.
func (c *musterCluster) Propose(ctx context.Context, command []byte) error {
	_, err := c.leader.Propose(ctx, command)
	return err
}

// Applied implements cluster.
func (c *musterCluster) Applied() uint64 { return c.machine.applied.Load() }

// Close implements cluster.
func (c *musterCluster) Close() error {
	var errs []error
	for _, n := range c.nodes {
		errs = append(errs, n.Close())
	}
	c.ports.Release()
	return errors.Join(errs...)
}

// musterMachine counts commands and their bytes.
type musterMachine struct{ applied, bytes atomic.Uint64 }

// Apply implements statemachine.Memory.
func (m *musterMachine) Apply(command []byte) statemachine.Result {
	m.bytes.Add(uint64(len(command)))
	return m.applied.Add(1)
}

// Save implements statemachine.Memory.
func (m *musterMachine) Save(w io.Writer) error {
	return binary.Write(w, binary.BigEndian, [2]uint64{m.applied.Load(), m.bytes.Load()})
}

// Load implements statemachine.Memory.
func (m *musterMachine) Load(r io.Reader) error {
	var v [2]uint64
	if err := binary.Read(r, binary.BigEndian, &v); err != nil {
		return err
	}
	m.applied.Store(v[0])
	m.bytes.Store(v[1])
	return nil
}
