package crashfs

import (
	"cmp"
	"io/fs"
	"slices"
)

// SectorSize is the unit in which an unsynced write survives, in bytes.
const SectorSize = 512

// node is a file or a directory. Guarded by FS.mu.
type node struct {
	dir  bool
	mode fs.FileMode
	mod  int64 // logical time of the last change

	// A file: what is read, what is on disk, and the writes in between.
	data    []byte
	durable []byte
	writes  []write

	// A directory: the same with names, each list sorted by name.
	names        []dirent
	durableNames []dirent
	changes      []change
}

// write is one unsynced write.
type write struct {
	off  int64
	data []byte
}

// dirent is a name in a directory.
type dirent struct {
	name string
	node *node
}

// change is one unsynced change of names: those in set are bound to a node, or
// unbound where that is nil. A rename within a directory has two.
type change struct {
	set []dirent
	id  int64 // ascending over the whole FS
	// The other directory of a rename across two, which has a change of the
	// same id: they live and die together.
	other *node
}

func find(list []dirent, name string) (int, bool) {
	return slices.BinarySearchFunc(list, name, func(d dirent, name string) int { return cmp.Compare(d.name, name) })
}

func lookup(list []dirent, name string) *node {
	if i, ok := find(list, name); ok {
		return list[i].node
	}
	return nil
}

// bind returns list with the name bound to n, or unbound when n is nil.
func bind(list []dirent, d dirent) []dirent {
	i, ok := find(list, d.name)
	switch {
	case ok && d.node == nil:
		return slices.Delete(list, i, i+1)
	case ok:
		list[i].node = d.node
		return list
	case d.node == nil:
		return list
	}
	return slices.Insert(list, i, d)
}

// apply carries out a change of names, now, unsynced.
func (n *node) apply(c change) {
	for _, d := range c.set {
		n.names = bind(n.names, d)
	}
	n.changes = append(n.changes, c)
}

// writeAt changes the file, unsynced.
func (n *node) writeAt(p []byte, off int64) {
	n.data = overlay(n.data, p, off)
	n.writes = append(n.writes, write{off: off, data: slices.Clone(p)})
}

// overlay returns b with p at off, grown with zeros where needed.
func overlay(b, p []byte, off int64) []byte {
	if grow := off + int64(len(p)) - int64(len(b)); grow > 0 {
		b = append(b, make([]byte, grow)...)
	}
	copy(b[off:], p)
	return b
}

// sync makes everything durable. Bytes that an earlier failed sync lost stay
// lost: only the writes since then reach the disk.
func (n *node) sync() {
	for _, w := range n.writes {
		n.durable = overlay(n.durable, w.data, w.off)
	}
	n.writes = nil
	if len(n.changes) > 0 {
		n.syncNames(n.changes[len(n.changes)-1].id)
	}
}

// syncNames makes the changes up to id durable, and with a rename what came
// before it in the other directory.
func (n *node) syncNames(id int64) {
	k := 0
	for k < len(n.changes) && n.changes[k].id <= id {
		k++
	}
	done := n.changes[:k]
	n.changes = n.changes[k:]
	for _, c := range done {
		for _, d := range c.set {
			n.durableNames = bind(n.durableNames, d)
		}
		if c.other != nil {
			c.other.syncNames(c.id)
		}
	}
}

// lose is what a failed sync does: the pages are clean, the disk has nothing.
func (n *node) lose() {
	n.writes = nil
}
