package sim

import (
	"encoding/json"
	"fmt"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/crashfs"
	"github.com/musterhq/muster/internal/formation"
	"github.com/musterhq/muster/internal/wire"
)

// image is a disk as it was once.
type image struct {
	fs    *crashfs.FS
	inc   cluster.Incarnation
	epoch uint64 // the next boot counts one more
}

// backup keeps an image of a node's disk, as its process, or a loss of power,
// would leave it now.
func (w *World) backup(f Fault) {
	n := w.node(f.A)
	if n.inc.IsZero() || n.twin != nil || n.stale {
		return
	}
	img := image{fs: n.fs.Kill(), inc: n.inc}
	if f.N%2 == 0 {
		img.fs = n.fs.Crash(crashfs.Mode(f.N/2%uint64(crashfs.Modes)), f.N)
	}
	var id struct{ Epoch uint64 }
	if read(img.fs, "identity", &id); id.Epoch > 0 {
		img.epoch = id.Epoch
		n.images = append(n.images, img)
	}
}

// read reads a document of a data directory that may be in use; body stays as it
// is when there is none.
func read(fs *crashfs.FS, name string, body any) {
	b, err := fs.ReadFile(fs.PathJoin(dataDir, name))
	if err != nil {
		return
	}
	doc := struct{ Body any }{body}
	if err := json.Unmarshal(b, &doc); err != nil {
		panic(err) // it is written as a whole
	}
}

// old finds a node, from the fault's on, and an image of its disk that everybody
// else will know to be old.
func (w *World) old(f Fault) (*node, *image) {
	for i := range w.nodes {
		n := w.node(f.A + i)
		var old []image
		for _, img := range n.images {
			if img.inc == n.inc && !n.stale && n.twin == nil && w.knownToBeOld(n, img) {
				old = append(old, img)
			}
		}
		if len(old) > 0 {
			return n, &old[f.N%uint64(len(old))]
		}
	}
	return nil, nil
}

// knownToBeOld is what muster can do at all: every other member has a later
// run of the disk in its memory, and on its own disk; no other old image is
// about, which knows as little, and could be a majority with this one while all
// others are down; and there was never a time when a single voter could elect
// itself and ask nobody.
func (w *World) knownToBeOld(n *node, img image) bool {
	t := &w.truth
	id := img.inc.NodeID()
	for _, x := range w.nodes {
		if x.stale || x.twin != nil && !x.gone {
			return false
		}
	}
	if _, ok := t.latest.Member(id); !ok || t.lone {
		return false
	}
	for _, m := range t.latest.Members {
		if m.ID != id && !t.owners[m.Incarnation].remembers(id, img.epoch+1) {
			return false
		}
	}
	return true
}

// remembers says that the node has met a run of that epoch or later, durably.
func (n *node) remembers(id cluster.NodeID, epoch uint64) bool {
	if n == nil || n.stale || n.up() && !n.proc.alive() {
		return false
	}
	var peers struct{ Met map[cluster.NodeID]wire.Run }
	read(n.fs, "peers", &peers)
	return peers.Met[id].Epoch >= epoch
}

// restore puts an older image in the place of a member's disk, as soon as the
// cluster can bear to lose that one.
func (w *World) restore(f Fault) { w.restoreBy(f, w.now+10*second) }

func (w *World) restoreBy(f Fault, until instant) {
	n, img := w.old(f)
	switch {
	case w.healing || w.now > until:
		return
	case n == nil || !w.ops.mayWipe(n):
		w.after(200*millisecond, "restore", func() { w.restoreBy(f, until) })
		return
	}
	w.sometimes(diskRestored)
	w.say("%s gets an image of epoch %d", n.host, img.epoch)
	n.kill()
	n.fs = img.fs.Kill()
	n.mend()
	n.stale = true
	n.start()
}

// clone starts a copy of a member's disk, as it was once, on another machine.
func (w *World) clone(f Fault) {
	n, img := w.old(f)
	if n == nil || len(w.nodes) >= maxNodes {
		return
	}
	w.sometimes(diskCloned)
	c := w.add(formation.JoinOnly, w.hosts())
	w.say("%s is a clone of %s, epoch %d", c.host, n.host, img.epoch)
	c.name, c.zone, c.twin, c.fs = n.name, n.zone, n, img.fs.Kill()
	c.start()
}

// move puts a member's disk into another machine, at another address, in
// another zone perhaps: no copy stays behind, and it is to be taken for what it is. It is told where the
// others are now: they may have moved while it was down.
func (w *World) move(f Fault) {
	n := w.node(f.A)
	if _, ok := w.truth.latest.Member(n.inc.NodeID()); !ok || n.stale || n.twin != nil {
		return
	}
	w.sometimes(memberMoved)
	n.kill()
	n.moves++
	n.host = fmt.Sprintf("%s-%d", n.name, n.moves)
	if f.N%2 == 0 {
		n.zone = w.zoneOf(f.B)
	}
	n.mode, n.seeds = formation.JoinOnly, w.hosts()
	n.start()
}

// distrusted is a node that was told that its disk is not what it was: rightly
// so, and for good. Its operator sees that it is refused once more, and then
// starts anew: as another node, if it was a member's machine.
func (n *node) distrusted(err error) {
	w := n.w
	switch {
	case !n.stale && n.twin == nil:
		w.fail("%s ended, though its disk is what it was: %v", n.host, err)
	case !n.told:
		n.told = true
		w.sometimes(rolledBackTold)
	case n.twin != nil:
		n.gone = true
		w.sometimes(rolledBackAgain)
	default:
		w.sometimes(rolledBackAgain)
		n.wipe()
	}
}
