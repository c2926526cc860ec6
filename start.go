package muster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"strings"

	"github.com/musterhq/muster/internal/datadir"
	"github.com/musterhq/muster/internal/formation"
	"github.com/musterhq/muster/internal/host"
	"github.com/musterhq/muster/internal/member"
	"github.com/musterhq/muster/internal/raftlog"
	"github.com/musterhq/muster/internal/snapshot"
	"github.com/musterhq/muster/internal/wire"
	"github.com/musterhq/muster/statemachine"
)

// Version of the library and the server.
const Version = "0.1.0"

// Start opens the data directory, listens for peers and begins to form or join
// a cluster, or to take part in the one it is a member of. It returns as soon
// as the node runs; [Node.Ready] waits for the cluster. ctx bounds starting
// only. On an error nothing is left behind.
//
// The machine is opened here, driven until Close, and closed by it. Errors:
// ErrConfig, ErrData, ErrRolledBack, ErrDisk, ErrRemoved, and what the network says.
func Start(ctx context.Context, cfg Config, machine statemachine.Machine) (*Node, error) {
	if err := configError(cfg.faults()); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	if _, err := os.Stat(cfg.DataDir); errors.Is(err, os.ErrNotExist) && cfg.noWay() {
		return nil, configError([]error{errNoWay})
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var err error
	if cfg.Network, err = cfg.PeerTLS.secure(cfg.Network); err != nil {
		return nil, err
	}
	s := &starting{cfg: cfg, machine: machine}
	n, err := s.start()
	if err != nil {
		s.undo()
		return nil, sorted(err)
	}
	return n, nil
}

// starting is what has been opened so far.
type starting struct {
	cfg     Config
	machine statemachine.Machine
	closers []io.Closer // newest last
}

func (s *starting) undo() {
	for i := len(s.closers) - 1; i >= 0; i-- {
		_ = s.closers[i].Close() // the error that matters is the one that led here
	}
}

func (s *starting) start() (*Node, error) {
	cfg := s.cfg
	dir, err := datadir.Open(cfg.DataDir, datadir.Options{Name: cfg.Name})
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, dir)
	var state member.State
	if _, err := dir.LoadState(&state); err != nil {
		return nil, err
	}
	if (state.Stage == "" || state.Stage == wire.Blank) && cfg.noWay() {
		return nil, configError([]error{errNoWay})
	}
	hc, err := s.open(dir)
	if err != nil {
		return nil, err
	}
	if hc.Listener, hc.More, err = s.listen(); err != nil {
		return nil, err
	}
	hc.Self = wire.Identity{
		Incarnation: dir.Identity().Incarnation, NodeID: dir.Identity().Incarnation.NodeID(),
		Name: cfg.Name, PeerAddr: advertised(cfg, hc.Listener), Zone: cfg.Zone,
	}
	if told := addrs(cfg.ClientAdvertise); len(told) > 0 {
		hc.Self.ClientAddr, hc.Self.ClientMore = told[0], strings.Join(told[1:], ",")
	}
	h, err := host.Start(hc)
	if err != nil {
		return nil, err
	}
	return &Node{host: h, addr: hc.Self.PeerAddr}, nil
}

// listen opens every address for peers.
func (s *starting) listen() (first net.Listener, more []net.Listener, err error) {
	for _, a := range addrs(s.cfg.PeerListen) {
		l, err := s.cfg.Network.Listen(a)
		if err != nil {
			return nil, nil, fmt.Errorf("listen for peers at %s: %w", a, err)
		}
		s.closers = append(s.closers, l)
		if first == nil {
			first = l
		} else {
			more = append(more, l)
		}
	}
	return first, more, nil
}

// open opens what is on disk.
func (s *starting) open(dir *datadir.Dir) (host.Config, error) {
	cfg := s.cfg
	log, err := raftlog.Open(dir.LogPath(), raftlog.Options{FS: dir.FS(), OnSync: cfg.OnLogSync})
	if err != nil {
		return host.Config{}, fmt.Errorf("open log: %w", err)
	}
	s.closers = append(s.closers, log)
	snapshots, err := snapshot.Open(dir.SnapshotPath(), dir.FS())
	if err != nil {
		return host.Config{}, fmt.Errorf("open snapshots: %w", err)
	}
	var pin member.PinStore
	if cfg.PinFile != "" {
		if pin, err = datadir.OpenPin(dir.FS(), cfg.PinFile); err != nil {
			return host.Config{}, err
		}
	}
	opened, err := s.machine.Open(dir.MachinePath())
	if err != nil {
		return host.Config{}, fmt.Errorf("open state machine: %w", err)
	}
	s.closers = append(s.closers, s.machine)
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce) // never fails: crypto/rand ends the program instead
	return host.Config{Config: member.Config{
		Epoch: dir.Identity().Epoch, Boots: dir.Identity().Boots, Cluster: cfg.Cluster, Mode: mode(cfg), Seeds: cfg.Seeds, Expect: cfg.Expect, Nonce: nonce, Version: Version, Tokens: cfg.tokens(),
		Heartbeat: cfg.HeartbeatInterval, ElectionTicks: int(cfg.ElectionTimeout / cfg.HeartbeatInterval),
		Policy:           cfg.Policy,
		SnapshotLogBytes: cfg.SnapshotLogBytes, MaxPendingBytes: cfg.MaxPendingBytes,
		Disk: member.Disk{Log: log, Snapshots: snapshots, State: dir, Pin: pin, Machine: s.machine, Opened: opened},
	},
		SnapshotRate: cfg.SnapshotSendBytesPerSecond, MaxCommandBytes: cfg.MaxCommandBytes, Owned: []io.Closer{dir},
		Network: cfg.Network, Discovery: cfg.Discovery, Logger: cfg.Logger, OnEvent: cfg.OnEvent, Space: space(cfg, dir),
		Answer: cfg.Answer, OnRoundTrip: cfg.OnRoundTrip,
	}, nil
}

// space looks how much is left on the disk of a data directory.
func space(cfg Config, dir *datadir.Dir) func() (host.Space, error) {
	return func() (host.Space, error) {
		if cfg.DiskSpace != nil {
			free, total, err := cfg.DiskSpace()
			return host.Space{Dir: dir.Path(), Free: free, Total: total}, err
		}
		u, err := dir.FS().GetDiskUsage(dir.Path())
		if err != nil {
			return host.Space{}, err
		}
		return host.Space{Dir: dir.Path(), Free: int64(min(u.AvailBytes, math.MaxInt64)), Total: int64(min(u.TotalBytes, math.MaxInt64))}, nil
	}
}

func mode(cfg Config) formation.Mode {
	switch {
	case cfg.Single:
		return formation.Single
	case cfg.JoinOnly:
		return formation.JoinOnly
	case cfg.Expect > 0:
		return formation.Dynamic
	}
	return formation.Static
}

// advertised is the address that others are told; l is the first listener.
func advertised(cfg Config, l net.Listener) string {
	if cfg.PeerAdvertise != "" {
		return cfg.PeerAdvertise
	}
	host, _, err := net.SplitHostPort(addrs(cfg.PeerListen)[0])
	_, port, err2 := net.SplitHostPort(l.Addr().String())
	if err != nil || err2 != nil {
		return l.Addr().String()
	}
	return net.JoinHostPort(host, port) // the name that was given, with the port that was chosen
}
