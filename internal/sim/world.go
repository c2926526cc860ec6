package sim

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/formation"
	"github.com/musterhq/muster/internal/history"
)

// What every node of the world is told.
const (
	clusterName    = "sim"
	heartbeat      = 100 * time.Millisecond
	heartbeatTime  = 100 * millisecond // the same
	electionTicks  = 10
	stabilityTicks = 5
	segmentBytes   = 16 << 10
	cacheBytes     = 8 << 10
	maxNodes       = 7
)

// World is a cluster, its clients and operators, and all that befalls them.
type World struct {
	seed   uint64
	rng    *rand.Rand // of all chance that is not a link's
	plan   plan
	now    instant
	seq    uint64
	agenda agenda
	stamps int64 // calls and returns of clients

	nodes   []*node // in order of their addresses
	net     network
	truth   truth
	clients clients
	ops     operators
	stops   []*stop // members that were told to stop, in that order

	images   []checkpoint // of keyspaces, by number from 1
	watchers []*watcher
	tenants  []*tenant

	ambushes   []ambush
	transcript transcript
	counters   map[string]int
	failure    string                                   // the first thing that went wrong
	overhear   func(from, to string, m *raftpb.Message) // nil, or sees each message that arrives
	attend     func(at moment, p *process)              // nil, or is there in each moment
	healing    bool
	leaderTook instant
}

// plan is what kind of world it is, by its seed.
type plan struct {
	founders   int
	expect     int // of formation.Dynamic; no seed draws it, scenes set it
	voters     int // target
	imageBytes int64
	trouble    instant // how long faults go on
	clients    int
	zones      int            // in which the machines stand; 0: none
	policy     cluster.Policy // that every node is configured with
	keyspace   bool           // the machine speaks etcd
}

// keyspaces: one seed in so many has a keyspace for a machine. They take longer.
const keyspaces = 5

func newPlan(seed uint64) plan {
	r := rand.New(rand.NewPCG(seed, 1))
	p := plan{founders: 3, voters: 5, imageBytes: 1500 + r.Int64N(6000), clients: 2 + r.IntN(4), keyspace: seed%keyspaces == 2}
	switch r.IntN(10) {
	case 0:
		p.founders = 1
	case 1:
		p.founders = 2
	case 2, 3:
		p.founders = 5
	case 4:
		p.founders = 4
	}
	if r.IntN(2) == 0 {
		p.voters = 3
	}
	p.trouble = 25*second + instant(r.Int64N(int64(20*second)))
	if r.IntN(3) > 0 {
		p.zones = 2 + r.IntN(3)
	}
	p.policy = basePolicy(p.voters)
	if r.IntN(4) > 0 {
		p.policy.DeadAfter = cluster.Duration(2+r.IntN(5)) * cluster.Duration(time.Second)
	}
	return p
}

// basePolicy is what nodes are configured with. Nobody is removed because it
// has been away, but where an operator wants it so.
func basePolicy(voters int) cluster.Policy {
	return cluster.Policy{
		TargetVoters: voters, Stability: cluster.Duration(stabilityTicks * heartbeat), JoinExpiry: cluster.Never, RemoveAfter: cluster.Never,
	}
}

func newWorld(seed uint64, p plan) *World {
	w := &World{
		seed: seed, rng: rand.New(rand.NewPCG(seed, 2)), plan: p,
		transcript: newTranscript(), counters: map[string]int{},
	}
	w.net = newNetwork(w)
	w.truth = newTruth()
	w.truth.keys = newKeyTruth(w)
	w.clients.w, w.ops.w = w, w
	var seeds []string
	for i := range w.plan.founders {
		seeds = append(seeds, host(i))
	}
	mode := formation.Static
	if w.plan.founders == 1 {
		mode = formation.Single
	}
	for range w.plan.founders {
		w.add(mode, seeds)
	}
	return w
}

func host(i int) string { return fmt.Sprintf("n%d", i+1) }

// add puts up a machine with an empty disk; it is not started.
func (w *World) add(mode formation.Mode, seeds []string) *node {
	n := newNode(w, host(len(w.nodes)), mode, seeds)
	n.zone = w.zoneOf(len(w.nodes))
	w.nodes = append(w.nodes, n)
	return n
}

// hosts lists the addresses of all machines.
func (w *World) hosts() (all []string) {
	for _, n := range w.nodes {
		all = append(all, n.host)
	}
	return all
}

func (w *World) node(i int) *node { return w.nodes[i%len(w.nodes)] }

// running lists the processes, in order of their nodes.
func (w *World) running() []*process {
	var out []*process
	for _, n := range w.nodes {
		if n.up() {
			out = append(out, n.proc)
		}
	}
	return out
}

// fail ends the world: something that must hold doesn't.
func (w *World) fail(format string, args ...any) {
	if w.failure == "" {
		w.failure = fmt.Sprintf(format, args...)
		w.say("FAILURE: %s", w.failure)
	}
}

// sometimes counts what must happen now and then, or the world is too tame.
func (w *World) sometimes(what string) { w.counters[what]++ }

// jitter draws a duration below d.
func (w *World) jitter(d instant) instant {
	if d <= 0 {
		return 0
	}
	return instant(w.rng.Int64N(int64(d)))
}

func (w *World) stamp() int64 { w.stamps++; return w.stamps }

// key derives independent chance from the seed.
func key(seed uint64, what string, n uint64) [32]byte {
	b := binary.LittleEndian.AppendUint64([]byte(what), seed)
	return sha256.Sum256(binary.LittleEndian.AppendUint64(b, n))
}

// patience bounds the search for a linearization of one key.
const patience = 20 * time.Second

// judge says whether what clients saw can be explained.
func (w *World) judge() {
	if w.plan.keyspace {
		w.judgeKeys()
		return
	}
	ops := w.clients.history(&w.truth)
	if w.failure != "" {
		return
	}
	if err := history.Check(ops, patience); err != nil {
		w.fail("clients: %v", err)
	}
}

// judgeKeys is judge, of clients of a keyspace.
func (w *World) judgeKeys() {
	rs := w.clients.requests(&w.truth)
	if w.failure != "" {
		return
	}
	if err := history.CheckEtcd(rs, patience); err != nil {
		w.fail("clients: %v", err)
	}
}
