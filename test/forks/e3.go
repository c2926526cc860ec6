package main

import (
	"os"
	"path/filepath"
	"time"
)

const (
	e3Before = 5
	e3Keys   = 20
	e3Apart  = 3 * time.Second // between the starts of two machines
)

// e3: stop c; write 20 keys; stop all; wipe b; start b and c only. It is played
// twice, since two machines never come up in the same moment.
func (st *stage) e3(dir string) {
	st.e3Round(filepath.Join(dir, "1"), "c", "b")
	for _, n := range st.nodes {
		n.close()
	}
	st.nodes = nil
	st.anew()
	st.did("all of that once more, with another order at the end")
	st.e3Round(filepath.Join(dir, "2"), "b", "c")
	st.end("unavailable while the keys could not be there, and complete once a was back")
}

// e3Round starts b and c in the order given.
func (st *stage) e3Round(dir string, order ...string) {
	st.must(os.Mkdir(dir, 0o755))
	id := st.formed(dir)
	a, b, c := st.nodes[0], st.nodes[1], st.nodes[2]
	st.fill("before", e3Before, a, b, c)
	st.did("write %d keys", e3Before)
	c.stop()
	st.did("stop c")
	st.fill("k", e3Keys, a, b)
	st.did("write %d more keys through a and b; each is acknowledged", e3Keys)
	st.stopAll()
	st.must(b.wipe())
	st.did("wipe the disk of b; start %s, and %v later %s, with unchanged flags; a stays down", order[0], e3Apart, order[1])
	first, second := b, c
	if order[0] == "c" {
		first, second = c, b
	}
	st.must(first.start())
	st.pause(e3Apart)
	st.must(second.start())
	faults := len(st.faults)
	st.during(st.watching, func() { st.lookAtEmpty(id, e3Keys, true, b, c) })
	if len(st.faults) == faults {
		st.saw("neither b nor c answered a linearizable read in %v", st.watching)
	}
	text, _ := st.why(b)
	st.tellWhy(b, text)

	st.must(a.start())
	st.did("start a again, whose disk nobody touched")
	all := false
	for end := time.Now().Add(patience); !all && time.Now().Before(end); st.pause(250 * time.Millisecond) {
		st.lookAtEmpty(id, e3Keys, false, b, c)
		all = st.serves(a) && st.serves(c)
		if st.lookAtExit(a) || st.lookAtExit(c) {
			break
		}
		if len(st.faults) > faults && time.Since(end.Add(-patience)) > st.settling {
			break // it has come out already; more would only take longer
		}
	}
	if all {
		st.saw("a and c answer linearizable reads with every acknowledged key")
	} else {
		st.fault("with all three up, a and c do not serve every acknowledged key")
		for _, n := range []*node{a, c} {
			if keys, err := n.keys(st.ctx, true); err == nil {
				st.saw("%s has %d of the %d keys (a serializable read of its own data)", n.Name, count(keys, "k", e3Keys)+count(keys, "before", e3Before), e3Keys+e3Before)
			}
		}
	}
}

// serves says whether the node answers a linearizable read with all the keys.
func (st *stage) serves(n *node) bool {
	keys, err := n.keys(st.ctx, false)
	if err != nil {
		return false
	}
	there := count(keys, "k", e3Keys) + count(keys, "before", e3Before)
	if there < e3Keys+e3Before {
		st.saw("%s answers a linearizable read with %d of the %d keys, though all three are up", n.Name, there, e3Keys+e3Before)
	}
	return there == e3Keys+e3Before
}
