package sim

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/crashfs"
	"github.com/musterhq/muster/internal/datadir"
	"github.com/musterhq/muster/internal/formation"
	"github.com/musterhq/muster/internal/member"
	"github.com/musterhq/muster/internal/raftlog"
	"github.com/musterhq/muster/internal/replica"
	"github.com/musterhq/muster/internal/snapshot"
	"github.com/musterhq/muster/internal/wire"
)

// node is a machine with a disk, at one address, on which one process after
// another runs.
type node struct {
	w     *World
	host  string // address
	name  string // of the member: its first host, but for a clone
	zone  string
	mode  formation.Mode
	seeds []string
	fs    *crashfs.FS
	inc   cluster.Incarnation // of the disk, as seen last; zero: none yet
	boots int
	lives int // disks so far
	moves int // to other addresses
	proc  *process
	gone  bool // its member was removed: this disk is of no use any more

	images []image // of its disk, as it was
	stale  bool    // it runs on one of them
	twin   *node   // whose disk it has a copy of; nil: its own
	told   bool    // that it is not trusted: it must not start again

	givenUp bool // the cluster was re-formed without the member whose disk it is

	skew        float64 // of its clock: 2 means that its ticks take twice the time
	pausedUntil instant
	parked      []*turn // what waits for the end of the pause
	disk        diskFaults
}

const dataDir = "/data"

func newNode(w *World, host string, mode formation.Mode, seeds []string) *node {
	n := &node{w: w, host: host, name: host, mode: mode, seeds: seeds, fs: crashfs.New(), skew: 1}
	n.disk.node = n
	return n
}

// up says that a process runs.
func (n *node) up() bool { return n.proc != nil }

// start boots a process from what is on the disk. What a disk refuses to do
// ends it; what it refuses to be is a failure of the world, unless it was
// damaged on purpose.
func (n *node) start() {
	if n.up() || n.gone {
		return
	}
	n.boots++
	p := newProcess(n)
	n.proc = p
	n.disk.attach(p)
	err := p.boot()
	switch {
	case p.dead:
	case p.doomed != nil || n.disk.faulted(err):
		n.w.say("%s doesn't come up: %v", n.host, err)
		p.end(err)
	case errors.Is(err, member.ErrRemoved):
		n.w.say("%s doesn't come up: it was removed", n.host)
		n.gone = true
		p.end(err)
	case errors.Is(err, member.ErrRolledBack):
		n.w.say("%s doesn't come up: %v", n.host, err)
		p.end(err)
	case errors.Is(err, member.ErrOldGeneration) && n.told:
		n.w.say("%s doesn't come up: %v", n.host, err)
		p.end(err)
	case err == nil && n.told:
		p.dead = true
		n.w.fail("%s starts again, though it was told that it is not trusted", n.host)
	case err != nil:
		p.dead = true
		n.w.fail("%s does not start: %v", n.host, err)
	default:
		p.settle()
	}
}

// kill ends the process; the machine runs on, and so does what it has written.
func (n *node) kill() {
	if n.up() {
		n.fs = n.fs.Kill()
		n.proc.bury()
	}
}

// crash loses power.
func (n *node) crash(mode crashfs.Mode, seed uint64) {
	n.fs = n.fs.Crash(mode, seed)
	if n.up() {
		n.proc.bury()
	}
}

// wipe empties the disk of a node that is down. What comes up next is another node.
func (n *node) wipe() {
	n.kill()
	n.fs = crashfs.New()
	n.inc = cluster.Incarnation{}
	n.lives++
	if n.twin != nil {
		n.name = n.host
	}
	n.gone, n.stale, n.twin, n.told, n.givenUp = false, false, nil, false, false
	n.disk = diskFaults{node: n}
	if n.mode == formation.Single { // whoever brings it back knows that there is a cluster
		n.mode, n.seeds = formation.JoinOnly, n.w.hosts()
	}
}

// process is one run of a member.
type process struct {
	node    *node
	boots   int
	m       *member.Member
	self    wire.Identity
	view    *member.View
	dir     *datadir.Dir
	log     *raftlog.Log
	store   *snapshot.Store
	regs    engine   // nil: not yet
	tending *tending // of leases; nil: none

	writer   member.Writer
	applier  *member.Applier
	appends  []member.AppendJob
	applies  []member.ApplyJob
	writing  bool
	applying bool

	links   map[cluster.NodeID]*link
	peers   map[cluster.NodeID]string
	applied uint64 // index of the last entry that was handed to the applier
	shown   uint64 // applied index of the membership seen last

	progress struct{ applied, committed uint64 } // as the member showed it last

	waiting map[uint64]*attempt // proposals by number
	reading map[uint64]*attempt // reads by token

	doomed *crashfs.FS // the disk as the power went; the process learns of it at its next step
	dead   bool
	why    error // that it ended by itself
}

func newProcess(n *node) *process {
	return &process{
		node: n, boots: n.boots, links: map[cluster.NodeID]*link{}, peers: map[cluster.NodeID]string{},
		waiting: map[uint64]*attempt{}, reading: map[uint64]*attempt{},
	}
}

// chance draws from the seed, differently for each boot.
func (n *node) chance() io.Reader {
	return rand.NewChaCha8(key(n.w.seed, "disk "+n.host, uint64(n.boots)))
}

func (p *process) boot() error {
	n, w := p.node, p.node.w
	dir, err := datadir.Open(dataDir, datadir.Options{FS: n.fs, Rand: n.chance(), Name: n.name})
	if err != nil {
		return err
	}
	p.dir = dir
	id := dir.Identity()
	n.inc = id.Incarnation
	p.self = wire.Identity{Incarnation: id.Incarnation, NodeID: id.Incarnation.NodeID(), Name: n.name, PeerAddr: n.host, Zone: n.zone}
	w.truth.identity(w, n, p.self)
	if p.log, err = raftlog.Open(dir.LogPath(), raftlog.Options{FS: n.fs, SegmentBytes: segmentBytes, CacheBytes: cacheBytes}); err != nil {
		return err
	}
	if p.store, err = snapshot.Open(dir.SnapshotPath(), n.fs); err != nil {
		return err
	}
	p.regs = w.newEngine(n.fs)
	opened, err := p.regs.Open(dir.MachinePath())
	if err != nil {
		return err
	}
	nonce := key(w.seed, "nonce "+n.host, uint64(n.boots))
	m, err := member.New(member.Config{
		Self: p.self, Epoch: id.Epoch, Boots: id.Boots, Cluster: clusterName, Mode: n.mode, Seeds: n.seeds, Expect: n.w.plan.expect, Nonce: nonce[:16], Version: "sim",
		Heartbeat: heartbeat, ElectionTicks: electionTicks,
		Policy:           w.plan.policy,
		SnapshotLogBytes: w.plan.imageBytes, MaxPendingBytes: 1 << 20,
		Disk:   member.Disk{Log: p.log, Snapshots: p.store, State: dir, Machine: p.regs, Opened: opened},
		Logger: replica.Silent{},
	}, p)
	if err != nil {
		return err
	}
	p.m = m
	applied, _ := m.Indexes()
	p.writer = member.Writer{Log: p.log, Restore: p.restore, Send: p.Send}
	p.applier = &member.Applier{Self: p.self.NodeID, Machine: p.regs, Snapshots: p.store, Take: p.take}
	w.say("%s is up: boot %d, %s, applied %d, log to %d", n.host, n.boots, p.view.Stage, applied, p.log.LastIndex())
	m.Drive()
	p.tick()
	p.tend()
	return nil
}

// tick lets a heartbeat's time pass on this node's clock, again and again.
func (p *process) tick() {
	d := instant(float64(heartbeat.Microseconds()) * p.node.skew)
	p.node.w.schedule(d, "tick", p, func() {
		p.m.Tick()
		p.m.Drive()
		if p.alive() {
			p.m.Tended()
		}
		p.tick()
	})
}

// alive says that the process may go on: its disk has power and its member has
// not failed.
func (p *process) alive() bool { return !p.dead && p.doomed == nil && p.why == nil }

// input gives the member something to do, and drives it.
func (p *process) input(what string, d instant, do func()) {
	p.node.w.schedule(d, what, p, func() {
		do()
		p.m.Drive()
	})
}

// settle looks, after each step, whether the process has come to its end.
func (p *process) settle() {
	switch {
	case p.dead:
	case p.doomed != nil:
		p.node.w.say("%s loses power in the midst of it", p.node.host)
		p.node.fs = p.doomed
		p.bury()
	case p.why != nil:
		p.end(p.why)
	}
}

// end is a process that ended by itself.
func (p *process) end(err error) {
	n := p.node
	switch {
	case p.doomed != nil:
		n.fs = p.doomed
	default:
		n.w.say("%s ended: %v", n.host, err)
		n.fs = n.fs.Kill()
	}
	p.bury()
	if errors.Is(err, member.ErrRemoved) {
		n.gone = true
	} else if errors.Is(err, member.ErrRolledBack) {
		n.distrusted(err)
	} else if errors.Is(err, member.ErrOldGeneration) && n.givenUp {
		n.told = true
	} else if p.doomed == nil && !n.disk.faulted(err) {
		n.w.fail("%s ended by itself: %v", n.host, err)
	}
}

// bury forgets the process.
func (p *process) bury() {
	n := p.node
	n.w.mourn(p)
	p.dead = true
	n.proc = nil
	n.w.net.cutOff(p)
	p.close()
	for _, a := range sortedAttempts(p.waiting) {
		a.unknown("its member died")
	}
	for _, a := range sortedAttempts(p.reading) {
		a.never()
	}
}

// close ends what of the machine the world can't see: it has goroutines.
func (p *process) close() {
	for _, v := range p.node.w.watchers {
		if v.p == p {
			v.leave()
		}
	}
	if p.regs != nil {
		if err := p.regs.Close(); err != nil {
			p.node.w.fail("%s: close the machine: %v", p, err)
		}
	}
}

// String is the process as failures show it.
func (p *process) String() string { return fmt.Sprintf("%s/%d", p.node.host, p.boots) }
