package main

import (
	"slices"
	"time"

	"github.com/musterhq/muster/event"
)

const e1Keys = 20

// e1: three members hold data; all stop; two are wiped and restarted with
// unchanged flags while the third is down.
func (st *stage) e1(dir string) {
	id := st.formed(dir)
	a, b, c := st.nodes[0], st.nodes[1], st.nodes[2]
	st.fill("k", e1Keys, a, b, c)
	st.did("write %d keys; each is acknowledged", e1Keys)
	// By two of them perhaps, and then a need not have it.
	st.until("a has all keys", func() bool {
		keys, err := a.keys(st.ctx, true)
		return err == nil && count(keys, "k", e1Keys) == e1Keys
	})
	st.saw("a has all %d", e1Keys)
	st.stopAll()
	for _, n := range []*node{b, c} {
		st.must(n.wipe())
		st.must(n.start())
	}
	st.did("wipe the disks of b and c, and start these two with unchanged flags; a stays down")

	st.during(st.watching, func() { st.lookAtEmpty(id, e1Keys, true, b, c) })
	for _, n := range []*node{b, c} {
		st.waitsFor(n, a, b, c)
	}

	st.must(a.start())
	st.did("start a again, whose disk nobody touched")
	st.during(st.settling, func() {
		st.lookAtSurvivor(a, id, e1Keys)
		st.lookAtEmpty(id, e1Keys, false, b, c)
	})
	// What is wrong by now is a fault already; else it may only be slow to answer.
	intact := false
	for end := time.Now().Add(patience); !intact && a.Running() && time.Now().Before(end); st.pause(250 * time.Millisecond) {
		intact = st.lookAtSurvivor(a, id, e1Keys)
	}
	if !intact {
		st.fault("in the end a, whose disk nobody touched, does not show its %d keys", e1Keys)
	}
	st.end("no second cluster came to be, and the survivor's data is intact")
}

// waitsFor asks a node that is in no cluster for whom it waits: that one, and
// none of those that are up.
func (st *stage) waitsFor(n, absent *node, up ...*node) {
	if !st.sys.tellsWhy() {
		return
	}
	said := false
	for end := time.Now().Add(patience); !said && time.Now().Before(end); st.pause(250 * time.Millisecond) {
		text, reasons := st.why(n)
		about := func(x *node) bool {
			return slices.ContainsFunc(reasons, func(r event.Reason) bool { return r.Addr == x.Peer })
		}
		if said = about(absent) && !slices.ContainsFunc(up, about); said {
			st.tellWhy(n, text)
		}
	}
	if !said {
		st.fault("%s doesn't say that it waits for %s alone", n.Name, absent.Name)
	}
}

// stopAll stops every node as an operator would.
func (st *stage) stopAll() {
	for _, n := range st.nodes {
		n.stop()
	}
	st.did("stop all of them (SIGTERM)")
}

// lookAtEmpty looks whether nodes that lost their disks serve, or say that
// they are in another cluster.
func (st *stage) lookAtEmpty(id uint64, all int, write bool, ns ...*node) {
	for _, n := range ns {
		if st.lookAtExit(n) {
			continue
		}
		if keys, err := n.keys(st.ctx, false); err == nil {
			if there := count(keys, "k", all); there < all {
				now, _, _ := n.status(st.ctx) // 0 will do where it is too late to ask
				st.saw("%s is healthy, in a cluster %x: it answers a linearizable read, with %d of the %d acknowledged keys", n.Name, now, there, all)
				st.fault("%s served a linearizable read without acknowledged keys", n.Name)
			}
		}
		if write && n.put(st.ctx, "written-after", n.Name) == nil {
			st.saw("%s acknowledges a new write", n.Name)
		}
		if other, _, err := n.status(st.ctx); err == nil && other != 0 && other != id {
			st.saw("%s is in another cluster, %x", n.Name, other)
			st.fault("there is a second cluster")
		}
	}
}

// lookAtSurvivor says whether the node is in its cluster with all its keys.
func (st *stage) lookAtSurvivor(n *node, id uint64, all int) bool {
	if st.lookAtExit(n) {
		return false
	}
	if now, _, err := n.status(st.ctx); err != nil || now != id {
		return false
	}
	keys, err := n.keys(st.ctx, true)
	if err != nil {
		return false
	}
	there := count(keys, "k", all)
	st.saw("%s has %d of the %d acknowledged keys (a serializable read of its own data)", n.Name, there, all)
	if there < all {
		st.fault("acknowledged keys are gone from %s, whose disk nobody touched", n.Name)
	}
	if keys["written-after"] != "" {
		st.saw("%s has the key that was written to the cluster without it", n.Name)
		st.fault("the data of two histories was merged on %s", n.Name)
	}
	return there == all
}

// lookAtExit says whether a process that was started has ended by itself.
func (st *stage) lookAtExit(n *node) bool {
	if n.Running() {
		return false
	}
	st.saw("the process of %s has ended by itself: %s", n.Name, n.lastWords())
	return true
}
