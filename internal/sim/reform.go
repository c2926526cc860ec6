package sim

import (
	"encoding/json"
	"fmt"

	"github.com/musterhq/muster/internal/recovery"
	"github.com/musterhq/muster/internal/wire"
)

// forceNew re-forms the cluster around a node that is down, and gives the others
// up. What only they had is not true any more.
func (o *operators) forceNew(n *node) recovery.Outcome {
	w := o.w
	out, err := recovery.ForceNew(dataDir, recovery.Options{FS: n.fs, Cluster: clusterName})
	if err != nil {
		w.fail("%s can't be made the only one: %v", n.host, err)
		return out
	}
	w.say("operator: the cluster goes on with %s alone, from index %d", n.host, out.Kept)
	for _, other := range w.nodes {
		if other != n && !other.inc.IsZero() {
			other.givenUp = true
		}
	}
	w.truth.fork(out.Kept)
	return out
}

// fork forgets what was committed above an index, and who led and belonged to
// the cluster.
func (t *truth) fork(kept uint64) {
	old := newTruth()
	old.first, old.owners, old.seats, old.real, old.removed, old.ever = t.first, t.owners, t.seats, t.real, t.removed, t.ever
	old.lone, old.lost = true, map[int]bool{}
	for op, x := range t.applied {
		if x.index > kept {
			old.lost[op] = true
		}
	}
	for _, s := range t.log {
		if s.entry.GetIndex() <= kept {
			old.log = append(old.log, s)
			old.replay(s)
		}
	}
	*t = old
}

// replay puts the commands of an entry into the model again.
func (t *truth) replay(s entrySum) {
	data := s.entry.GetData()
	if len(data) == 0 || wire.EntryKind(data[0]) != wire.EntryCommands {
		return
	}
	err := wire.ReadCommands(data, func(_ wire.RequestID, cmd []byte) {
		var c command
		if err := json.Unmarshal(cmd, &c); err != nil {
			panic(err) // it was read before
		}
		r := registers{state: t.model}
		t.applied[c.Op] = outcome{index: s.entry.GetIndex(), won: r.carryOut(c)}
	})
	if err != nil {
		panic(fmt.Sprintf("sim: %v", err)) // it was read before
	}
}

// aloneWith says whether the cluster's one voter is the node.
func (w *World) aloneWith(n *node) bool {
	v := w.truth.latest.Voters()
	return len(v) == 1 && v[0] == n.inc.NodeID()
}
