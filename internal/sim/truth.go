package sim

import (
	"encoding/json"
	"fmt"
	"hash/fnv"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/member"
	"github.com/musterhq/muster/internal/wire"
)

// truth sees all that happens and holds it to what must always be so.
type truth struct {
	leaders map[uint64]cluster.NodeID // by term, as anybody believes
	entries map[entryID]uint64        // hash of each entry that anybody has appended
	log     []entrySum                // what was committed, from index first on
	first   uint64                    // index of log[0]
	model   state                     // the machine, as the log makes it
	keys    keyTruth                  // likewise, in a world with a keyspace
	applied map[int]outcome           // by operation

	members  map[uint64]uint64                         // hash of the membership by the index it was applied at
	ever     map[cluster.NodeID]cluster.Incarnation    // of all that were ever members
	removed  map[cluster.NodeID]uint64                 // index of the tombstone
	added    map[cluster.NodeID]uint64                 // index by which it was a member
	changes  map[uint64]wire.Change                    // committed, by index, until their membership was seen
	owners   map[cluster.Incarnation]*node             // whose disk it is
	seats    map[cluster.Incarnation]cluster.ClusterID // which cluster a disk is in
	real     cluster.ClusterID                         // the one that has had a leader
	latest   cluster.Membership                        // as of the highest applied index
	latestAt uint64                                    // that index
	term     uint64                                    // the highest that has a leader
	lone     bool                                      // there was a time with a single voter
	lost     map[int]bool                              // operations that went when the cluster was re-formed
}

type entryID struct{ index, term uint64 }

// entrySum is a committed entry.
type entrySum struct {
	term, sum uint64
	by        uint64 // it was committed in this term or before (Leader Completeness, Raft thesis §3.6.3)
	entry     *raftpb.Entry
}

// outcome is what became of a command.
type outcome struct {
	index  uint64
	won    bool
	answer string // of a keyspace
	at     int64  // likewise: when, as the calls and returns of clients are counted
}

func newTruth() truth {
	return truth{
		leaders: map[uint64]cluster.NodeID{}, entries: map[entryID]uint64{},
		first: 2, model: state{Values: map[string]string{}}, applied: map[int]outcome{},
		members: map[uint64]uint64{}, ever: map[cluster.NodeID]cluster.Incarnation{}, removed: map[cluster.NodeID]uint64{},
		added: map[cluster.NodeID]uint64{}, changes: map[uint64]wire.Change{},
		owners: map[cluster.Incarnation]*node{}, seats: map[cluster.Incarnation]cluster.ClusterID{},
	}
}

// deposed says that a later term than this has a leader.
func (t *truth) deposed(term uint64) bool { return term < t.term }

// committed is the highest index that is known to be committed.
func (t *truth) committed() uint64 { return t.first + uint64(len(t.log)) - 1 }

func sumOf(e *raftpb.Entry) uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, e.GetType())
	h.Write(e.GetData())
	return h.Sum64()
}

// appending: logs match, and a leader has what was committed before its term.
func (t *truth) appending(p *process, j member.AppendJob) {
	w := p.node.w
	if p.node.givenUp {
		return
	}
	for _, e := range j.Append.Entries {
		id := entryID{e.GetIndex(), e.GetTerm()}
		sum := sumOf(e)
		if have, ok := t.entries[id]; ok && have != sum {
			w.fail("%s appends another entry %d of term %d than was appended elsewhere", p, id.index, id.term)
		}
		t.entries[id] = sum
		if c, ok := t.at(id.index); ok && id.term > c.by {
			w.fail("%s appends entry %d of term %d, but one of term %d was committed there by term %d: a committed entry is lost", p, id.index, id.term, c.term, c.by)
		}
	}
}

func (t *truth) at(index uint64) (entrySum, bool) {
	if i := index - t.first; index >= t.first && i < uint64(len(t.log)) {
		return t.log[i], true
	}
	return entrySum{}, false
}

// applying: what is handed to an applier is committed, the same everywhere,
// without gaps, and each command once.
func (t *truth) applying(p *process, j member.ApplyJob) {
	if j.Apply == nil || p.node.givenUp {
		return
	}
	w := p.node.w
	for _, e := range j.Apply.Entries {
		index := e.GetIndex()
		if p.applied > 0 && index != p.applied+1 {
			w.fail("%s is to apply entry %d after %d", p, index, p.applied)
		}
		p.applied = index
		s := entrySum{term: e.GetTerm(), sum: sumOf(e), by: max(t.term, e.GetTerm()), entry: e}
		switch have, ok := t.at(index); {
		case ok && (have.term != s.term || have.sum != s.sum):
			w.fail("%s applies another entry %d than was applied elsewhere", p, index)
		case ok:
		case index != t.committed()+1:
			w.fail("%s applies entry %d, but nobody applied %d", p, index, t.committed()+1)
		default:
			t.commit(w, e, s)
		}
	}
}

// commit takes the next entry of the one log.
func (t *truth) commit(w *World, e *raftpb.Entry, s entrySum) {
	t.log = append(t.log, s)
	index := e.GetIndex()
	if c, ok := changeIn(e); ok {
		t.changes[index] = c
	}
	data := e.GetData()
	if e.GetType() != raftpb.EntryNormal || len(data) == 0 || wire.EntryKind(data[0]) != wire.EntryCommands {
		return
	}
	err := wire.ReadCommands(data, func(_ wire.RequestID, cmd []byte) {
		if w.plan.keyspace {
			t.commitKeys(w, index, cmd)
			return
		}
		var c command
		if err := json.Unmarshal(cmd, &c); err != nil {
			w.fail("entry %d: %v", index, err)
			return
		}
		t.once(w, c.Op, index)
		r := registers{state: t.model}
		t.applied[c.Op] = outcome{index: index, won: r.carryOut(c)}
	})
	if err != nil {
		w.fail("entry %d: %v", index, err)
	}
}

// commitKeys is commit of one command of a keyspace.
func (t *truth) commitKeys(w *World, index uint64, cmd []byte) {
	op, answer := t.keys.commit(index, cmd)
	if op != 0 {
		t.once(w, op, index)
		t.applied[op] = outcome{index: index, answer: answer, at: w.stamp()}
	}
}

// once: no operation is in the log twice.
func (t *truth) once(w *World, op int, index uint64) {
	if old, twice := t.applied[op]; twice {
		w.fail("operation %d is in the log twice, at %d and at %d", op, old.index, index)
	}
}

// progress: applied and committed are what they say.
func (t *truth) progress(p *process, applied, committed uint64) {
	if applied > committed {
		p.node.w.fail("%s has applied %d, but knows only %d to be committed", p, applied, committed)
	}
}

// changed looks at what a member shows of itself.
func (t *truth) changed(p *process, v *member.View) {
	w, s := p.node.w, &v.Status
	if p.node.givenUp {
		return
	}
	if s.Leader != 0 {
		if have, ok := t.leaders[s.Term]; ok && have != s.Leader {
			w.fail("%s believes that %s leads in term %d, but it is %s", p, s.Leader, s.Term, have)
		}
		t.leaders[s.Term] = s.Leader
		t.term = max(t.term, s.Term)
	}
	switch {
	case s.Joint && s.State == "leader":
		w.reached(onJoint, p)
	case v.Stage == wire.Promised || v.Stage == wire.Accepted:
		w.reached(onPromise, p)
	}
	if v.InCluster() && !s.ClusterID.IsZero() {
		t.oneCluster(p, s)
	}
	if s.Applied > p.shown && len(v.Membership.Members) > 0 && p.m != nil {
		p.shown = s.Applied
		t.membership(p, s.Applied, v.Membership)
	}
}

// oneCluster: a cluster is one that has had a leader, or that disks are in. (A
// coordinator may be founded, and lose its disk before it tells anybody: that
// cluster has never been able to decide anything, and another is founded.)
func (t *truth) oneCluster(p *process, s *cluster.Status) {
	w, id := p.node.w, s.ClusterID
	if s.Leader != 0 {
		if !t.real.IsZero() && t.real != id {
			w.fail("%s has a leader in a second cluster, %s beside %s", p, id, t.real)
		}
		t.real = id
	}
	inc := p.self.Incarnation
	if have, ok := t.seats[inc]; ok && have == id {
		return
	} else if ok {
		w.fail("%s was in cluster %s, and is in %s", p, have, id)
	}
	t.seats[inc] = id
	for _, n := range w.nodes {
		if other, ok := t.seats[n.inc]; ok && other != id && !n.gone {
			w.fail("%s is in cluster %s, and %s in %s", p, id, n.host, other)
		}
	}
}

// membership: it is a function of the log, and no identity comes back.
func (t *truth) membership(p *process, at uint64, m cluster.Membership) {
	w := p.node.w
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // plain data: cannot fail
	}
	h := fnv.New64a()
	h.Write(b)
	if have, ok := t.members[at]; ok && have != h.Sum64() {
		w.fail("%s has another membership at index %d than others had: %s", p, at, b)
	}
	t.members[at] = h.Sum64()
	if at <= t.latestAt {
		return
	}
	if c, ok := t.between(at); ok && t.latestAt > 0 {
		t.legal(p, c, at, &t.latest, &m)
	}
	t.pairs(w, at, &m)
	t.latest, t.latestAt = m, at
	t.lone = t.lone || len(m.Voters()) < 2
	for _, mem := range m.Members {
		if inc, ok := t.ever[mem.ID]; ok && inc != mem.Incarnation {
			w.fail("the ID %s belongs to two disks", mem.ID)
		}
		if _, ok := t.ever[mem.ID]; !ok {
			t.added[mem.ID] = at
		}
		t.ever[mem.ID] = mem.Incarnation
		if index, ok := t.removed[mem.ID]; ok {
			w.fail("%s was removed at index %d, and is a member again at %d", mem.ID, index, at)
		}
	}
	for _, x := range m.Removed {
		t.removed[x.ID] = x.Index
	}
}

// identity: an incarnation belongs to one disk.
func (t *truth) identity(w *World, n *node, id wire.Identity) {
	if n.twin != nil {
		return // with it there are two
	}
	if have := t.owners[id.Incarnation]; have != nil && have != n {
		w.fail("%s and %s have the same incarnation", have.host, n.host)
	}
	t.owners[id.Incarnation] = n
}

// arrived: no message of a foreign identity reaches raft.
func (t *truth) arrived(far *process, from wire.Identity, to cluster.NodeID, id cluster.ClusterID, generation uint64) {
	w := far.node.w
	switch mine := far.view.Status.ClusterID; {
	case far.view.Status.Generation != generation:
		w.fail("%s of generation %d gets a message from %s of generation %d", far, far.view.Status.Generation, from.Name, generation)
	case to != far.self.NodeID:
		w.fail("%s gets a message for %s", far, to)
	case !mine.IsZero() && id != mine:
		w.fail("%s of cluster %s gets a message from %s of cluster %s", far, mine, from.Name, id)
	case mine.IsZero():
		w.fail("%s, in no cluster, gets a message from %s", far, from.Name)
	}
}
