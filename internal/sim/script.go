package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/musterhq/muster/internal/crashfs"
)

// Script is the faults of a run, and what operators do, in the order of time.
// It is a function of the seed.
type Script []Fault

// Fault is one line of a script. Nodes are numbers; that of a node which isn't
// there yet counts on from the first.
type Fault struct {
	At   instant
	Kind string
	A, B int
	N    uint64 // what else there is to choose
}

// String is the fault in a transcript.
func (f Fault) String() string {
	return fmt.Sprintf("%.3fs %s a=%d b=%d n=%d", float64(f.At)/float64(second), f.Kind, f.A, f.B, f.N%1000)
}

// String lists the faults, one a line, with their places in the whole script.
func (s Script) String() string {
	var b strings.Builder
	for _, f := range s {
		fmt.Fprintln(&b, "  "+f.String())
	}
	return b.String()
}

type kind struct {
	kind   string
	weight int
	do     func(*World, Fault)
}

// kinds is what may befall the world, how often, and what it is.
var kinds = []kind{
	{"isolate", 8, func(w *World, f Fault) { w.isolate(w.node(f.A)) }},
	{"one way", 5, func(w *World, f Fault) { w.net.cut[[2]string{w.node(f.A).host, w.node(f.B).host}] = true }},
	{"split", 5, (*World).split},
	{"heal", 18, func(w *World, _ Fault) { clear(w.net.cut) }},
	{"storm", 6, (*World).storm},
	{"calm", 6, func(w *World, _ Fault) { w.net.calm() }},
	{"kill", 9, func(w *World, f Fault) { w.node(f.A).kill() }},
	{"power", 9, func(w *World, f Fault) { w.node(f.A).crash(crashfs.Mode(f.N%uint64(crashfs.Modes)), f.N) }},
	{"power in the midst", 12, (*World).powerLater},
	{"kill all", 1, (*World).killAll},
	{"start", 22, func(w *World, f Fault) { w.node(f.A).start() }},
	{"start all", 6, func(w *World, _ Fault) { w.startAll() }},
	{"slow disk", 3, func(w *World, f Fault) { w.node(f.A).disk.slow = instant(f.N%300) * millisecond }},
	{"full disk", 2, func(w *World, f Fault) { w.node(f.A).disk.full = true }},
	{"mended disk", 4, func(w *World, f Fault) { w.node(f.A).mend() }},
	{"failing disk", 4, (*World).failLater},
	{"clock", 3, func(w *World, f Fault) { w.node(f.A).skew = 0.5 + float64(f.N%16)/10 }},
	{"pause", 5, func(w *World, f Fault) { w.node(f.A).pause(instant(f.N%4000) * millisecond) }},
	{"join", 9, func(w *World, _ Fault) { w.ops.join() }},
	{"leave", 3, (*World).leave},
	{"remove", 3, (*World).remove},
	{"transfer", 4, (*World).transfer},
	{"ambush", 30, (*World).lay},
	{"kill the leader", 6, func(w *World, _ Fault) { w.onLeader((*node).kill) }},
	{"isolate the leader", 6, func(w *World, _ Fault) { w.onLeader(w.isolate) }},
	{"wipe", 8, (*World).wipe},
	{"backup", 12, (*World).backup},
	{"restore", 10, (*World).restore},
	{"clone", 4, (*World).clone},
	{"move", 3, (*World).move},
	{"replace", 2, func(w *World, f Fault) { w.replaceLost(w.node(f.A).member()) }},
	{"policy", 9, (*World).setPolicy},
	{"pause changes", 3, (*World).hold},
	{"resume changes", 5, (*World).release},
	{"stop", 9, (*World).stop},
	{"zone down", 3, (*World).zoneDown},
	{"zone cut", 3, (*World).zoneCut},
	{"announce", 6, (*World).announce},
	{"withdraw", 1, (*World).withdraw},
	{"promote", 5, (*World).promote},
}

// keyKinds is what befalls a keyspace besides.
var keyKinds = []kind{
	{"compact", 14, (*World).compact},
	{"isolate the leader", 8, func(w *World, _ Fault) { w.onLeader(w.isolate) }},
	{"pause the leader", 8, func(w *World, f Fault) { w.onLeader(func(n *node) { n.pause(instant(f.N%6000) * millisecond) }) }},
}

// newScript draws one.
func newScript(seed uint64, p plan) Script {
	trouble, kinds := p.trouble, kinds
	if p.keyspace {
		kinds = slices.Concat(kinds, keyKinds)
	}
	r := rand.New(rand.NewPCG(seed, 4))
	total := 0
	for _, k := range kinds {
		total += k.weight
	}
	var s Script
	at := instant(r.Int64N(int64(8 * second)))
	for at < trouble {
		x := r.IntN(total)
		for _, k := range kinds {
			if x -= k.weight; x < 0 {
				s = append(s, Fault{At: at, Kind: k.kind, A: r.IntN(maxNodes), B: r.IntN(maxNodes), N: r.Uint64()})
				break
			}
		}
		at += instant(r.Int64N(int64(700 * millisecond)))
	}
	return s
}

// befall carries a fault out.
func (w *World) befall(f Fault) {
	w.say("fault: %s", f)
	for _, k := range slices.Concat(kinds, keyKinds) {
		if k.kind == f.Kind {
			k.do(w, f)
			break
		}
	}
	for _, p := range w.running() {
		p.settle()
	}
}

func (w *World) onLeader(do func(*node)) {
	if l := w.leader(); l != nil {
		do(l.node)
	}
}

func (w *World) isolate(n *node) {
	for _, o := range w.nodes {
		if o != n {
			w.net.cut[[2]string{o.host, n.host}] = true
			w.net.cut[[2]string{n.host, o.host}] = true
		}
	}
}

// split cuts the nodes into two halves, as the bits of N have it.
func (w *World) split(f Fault) {
	for i, a := range w.nodes {
		for j, b := range w.nodes {
			if f.N>>i&1 != f.N>>j&1 {
				w.net.cut[[2]string{a.host, b.host}] = true
			}
		}
	}
}

// storm makes the network bad for everybody.
func (w *World) storm(f Fault) {
	w.net.loss = float64(f.N%20) / 100
	w.net.twice = float64(f.N/20%20) / 100
	w.net.reorder = float64(f.N/400%20) / 100
	w.net.delay = instant(f.N/8000%8) * 30 * millisecond
	w.net.streams = float64(f.N/64000%5) / 5
}

func (w *World) powerLater(f Fault) {
	d := &w.node(f.A).disk
	d.cut, d.mode, d.seed = 1+int(f.N%12), crashfs.Mode(f.N/12%uint64(crashfs.Modes)), f.N
}

func (w *World) failLater(f Fault) {
	d := &w.node(f.A).disk
	d.failing, d.onSync, d.seed = true, f.N%2 == 0, f.N
}

func (w *World) killAll(f Fault) {
	for i, n := range w.nodes {
		if f.N%2 == 0 {
			n.kill()
		} else {
			n.crash(crashfs.Mode(f.N/2%uint64(crashfs.Modes)), f.N+uint64(i))
		}
	}
}

func (w *World) startAll() {
	for _, n := range w.nodes {
		n.start()
	}
}

// mend takes a disk's faults away.
func (n *node) mend() { n.disk = diskFaults{node: n} }

// member is a process of the node that operators can use, or nil.
func (n *node) member() *process {
	if n.up() && n.proc.alive() && n.proc.m.InCluster() && len(n.proc.view.Membership.Members) > 0 && !n.paused() {
		return n.proc
	}
	return nil
}

func (w *World) leave(f Fault) {
	if p := w.node(f.A).member(); p != nil && len(w.ops.lost()) == 0 {
		w.ops.remove(p, p.self.NodeID, "itself")
	}
}

func (w *World) remove(f Fault) {
	p := w.node(f.A).member()
	if p == nil || len(w.ops.lost()) > 0 {
		return
	}
	ms := p.view.Membership.Members
	m := ms[f.B%len(ms)]
	if f.N%3 == 0 {
		w.ops.removeBelowFloor(p, m.ID, m.Name)
		return
	}
	w.ops.remove(p, m.ID, m.Name)
}

func (w *World) transfer(f Fault) {
	p := w.node(f.A).member()
	if p == nil {
		return
	}
	ms := p.view.Membership.Members
	m := ms[f.B%len(ms)]
	w.ops.transfer(p, m.ID, m.Name)
}

// wipe loses a disk, where the cluster can bear it. The machine comes back as
// another node, which the cluster swaps for the old one.
func (w *World) wipe(f Fault) {
	w.wipeBy(f, w.now+5*second)
}

func (w *World) wipeBy(f Fault, until instant) {
	n := w.node(f.A)
	switch {
	case n.inc.IsZero() || w.healing || w.now > until:
		return
	case !w.ops.mayWipe(n):
		w.after(200*millisecond, "wipe", func() { w.wipeBy(f, until) })
		return
	}
	w.sometimes(diskWiped)
	n.wipe()
	n.start()
}

// replaceLost has members removed whose disk is gone.
func (w *World) replaceLost(p *process) {
	if p == nil {
		return
	}
	for _, m := range w.ops.lost() {
		w.ops.remove(p, m.ID, m.Name+", whose disk is lost")
	}
}
