package crashfs

import (
	"math/rand/v2"
	"slices"
)

// Mode says which unsynced changes an image holds.
type Mode int

const (
	None   Mode = iota // nothing that wasn't synced
	All                // everything
	Prefix             // of each file its first writes, of all names the first changes, cut at random
	Random             // any of them: writes by sector, names one by one
	Torn               // as Random, and sectors may be torn at any byte
	modes
)

// Modes is how many there are, for tests that go through all.
const Modes = int(modes)

func (m Mode) String() string { return [...]string{"none", "all", "prefix", "random", "torn"}[m] }

// Crash returns the disk as it may be after a loss of power now. The image is
// fully durable, has no open files, no locks and no hook.
func (f *FS) Crash(mode Mode, seed uint64) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := crasher{mode: mode, rng: rand.New(rand.NewPCG(seed, 0x6d7573746572)), copies: map[*node]*node{}, fate: map[int64]bool{}}
	c.cut = c.rng.Int64N(f.next + 1)
	img := New()
	img.root = c.copy(f.root)
	img.clock = f.clock
	return img
}

// Kill returns the disk as the next process finds it when this one dies and
// the machine runs on: everything that was written can be read, what wasn't
// synced still isn't. It has no open files, no locks and no hook.
func (f *FS) Kill() *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	img := New()
	img.root = clone(f.root, map[*node]*node{})
	img.clock = f.clock
	img.next = f.next
	return img
}

// crasher makes one image. The maps are only looked up in, never ranged over.
type crasher struct {
	mode   Mode
	rng    *rand.Rand
	copies map[*node]*node // hard links stay links
	fate   map[int64]bool  // of changes of names, by id
	cut    int64           // last change of names in Prefix
}

func (c *crasher) copy(n *node) *node {
	if done := c.copies[n]; done != nil {
		return done
	}
	m := &node{dir: n.dir, mode: n.mode, mod: n.mod}
	c.copies[n] = m
	if !n.dir {
		m.durable = c.content(n)
		m.data = slices.Clone(m.durable)
		return m
	}
	for _, d := range c.names(n) {
		m.names = append(m.names, dirent{name: d.name, node: c.copy(d.node)})
	}
	m.durableNames = slices.Clone(m.names)
	return m
}

// keep is how many of a file's n writes come into question.
func (c *crasher) keep(n int) int {
	switch c.mode {
	case None:
		return 0
	case Prefix:
		return c.rng.IntN(n + 1)
	}
	return n
}

func (c *crasher) coin() bool { return c.rng.IntN(2) == 0 }

// partial says whether changes survive one by one.
func (c *crasher) partial() bool { return c.mode == Random || c.mode == Torn }

func (c *crasher) names(n *node) []dirent {
	list := slices.Clone(n.durableNames)
	for _, ch := range n.changes {
		if !c.survives(ch.id) {
			continue
		}
		for _, d := range ch.set {
			list = bind(list, d)
		}
	}
	return list
}

// survives decides over one change of names, the same for both its sides.
func (c *crasher) survives(id int64) bool {
	switch c.mode {
	case None:
		return false
	case All:
		return true
	case Prefix:
		return id <= c.cut
	}
	fate, known := c.fate[id]
	if !known {
		fate = c.coin()
		c.fate[id] = fate
	}
	return fate
}

func (c *crasher) content(n *node) []byte {
	b := slices.Clone(n.durable)
	for _, w := range n.writes[:c.keep(len(n.writes))] {
		if !c.partial() {
			b = overlay(b, w.data, w.off)
			continue
		}
		for _, s := range sectors(w) {
			if c.coin() {
				b = overlay(b, c.tear(s.data), s.off)
			}
		}
	}
	// A file may have grown without its new bytes: they read as zeros.
	if grow := len(n.data) - len(b); grow > 0 && c.partial() && c.coin() {
		b = append(b, make([]byte, grow)...)
	}
	return b
}

func (c *crasher) tear(sector []byte) []byte {
	if c.mode == Torn && c.rng.IntN(4) == 0 {
		return sector[:c.rng.IntN(len(sector)+1)]
	}
	return sector
}

// sectors cuts a write at the sector boundaries of its file.
func sectors(w write) []write {
	var out []write
	for len(w.data) > 0 {
		n := min(len(w.data), int(SectorSize-w.off%SectorSize))
		out = append(out, write{off: w.off, data: w.data[:n]})
		w.off += int64(n)
		w.data = w.data[n:]
	}
	return out
}

func clone(n *node, copies map[*node]*node) *node {
	if done := copies[n]; done != nil {
		return done
	}
	m := &node{dir: n.dir, mode: n.mode, mod: n.mod, data: slices.Clone(n.data), durable: slices.Clone(n.durable)}
	copies[n] = m
	m.writes = slices.Clone(n.writes) // their bytes are never changed
	list := func(from []dirent) []dirent {
		var to []dirent
		for _, d := range from {
			if d.node != nil {
				d.node = clone(d.node, copies)
			}
			to = append(to, d)
		}
		return to
	}
	m.names, m.durableNames = list(n.names), list(n.durableNames)
	for _, c := range n.changes {
		k := change{set: list(c.set), id: c.id}
		if c.other != nil {
			k.other = clone(c.other, copies)
		}
		m.changes = append(m.changes, k)
	}
	return m
}
