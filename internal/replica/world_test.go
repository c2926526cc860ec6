package replica

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/cryptotest"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/wire"
)

// world is a cluster of replicas in one goroutine: a body for each, a network
// of packets that wait to be delivered, and what must always hold (truth).
// The same seed gives the same run.
type world struct {
	t      testing.TB
	rng    *rand.Rand
	policy cluster.Policy
	tune   func(*Config)
	ids    []cluster.NodeID // sorted; those that ever were
	nodes  map[cluster.NodeID]*node
	pool   []packet
	cut    map[[2]cluster.NodeID]bool                            // no packet gets through from the first to the second
	lose   func(from, to cluster.NodeID, m *raftpb.Message) bool // nil: nothing is lost
	truth  truth
}

// packet is one message on its way, as bytes: no pointer is shared.
type packet struct {
	from, to cluster.NodeID
	batch    []byte
	snapshot []byte // a MsgSnap, which comes with its image
}

// node is one member's body: its disk, and what its stages have in hand.
type node struct {
	w         *world
	self      cluster.Member
	rep       *Replica // nil: down
	boot      uint64
	log       *memLog
	image     *raftpb.Snapshot // newest; nil: none
	machine   uint64           // applied index of the machine
	appends   []Append         // at the log writer
	applies   []Apply          // at the applier
	wanted    bool             // an image is to be taken
	gone      *cluster.Tombstone
	restoring bool // a snapshot waits for what is at the applier
	seen      seenEffects
	token     uint64
}

// seenEffects is what a test may look at: all that a replica has said so far.
type seenEffects struct {
	dropped []Dropped
	events  []event.Event
	reads   map[uint64]uint64 // index by token
	answers map[uint64]wire.ChangeReply
	forgot  *Forgot
}

const genesis = 1 // index and term of the founders' empty image

// newWorld starts founders, who are voters, with IDs from 1; the roster aims at
// target voters.
func newWorld(t *testing.T, seed uint64, founders, target int) *world {
	cryptotest.SetGlobalRandom(t, seed) // raft's election jitter
	w := &world{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)),
		policy: cluster.Policy{TargetVoters: target, Stability: cluster.Duration(300 * time.Millisecond)},
		nodes:  map[cluster.NodeID]*node{}, cut: map[[2]cluster.NodeID]bool{}, truth: newTruth(),
	}
	conf := &raftpb.ConfState{}
	m := cluster.Membership{Cluster: "test", ID: cluster.ClusterID{1}}
	for i := range founders {
		n := w.newNode(cluster.NodeID(i + 1))
		mem := n.self
		mem.Role = cluster.Voter
		m.Put(mem)
		conf.Voters = append(conf.Voters, uint64(mem.ID))
	}
	image := &raftpb.Snapshot{
		Data:     EncodeMembership(m),
		Metadata: &raftpb.SnapshotMetadata{Index: new(uint64(genesis)), Term: new(uint64(genesis)), ConfState: conf},
	}
	for _, id := range w.ids {
		n := w.nodes[id]
		n.image, n.machine = cloneImage(image), genesis
		n.log.reset(genesis, genesis)
		n.log.hs = hardState(genesis, 0, genesis)
		n.log.synced = n.log.hs
		n.start()
	}
	return w
}

func hardState(term, vote, commit uint64) *raftpb.HardState {
	return &raftpb.HardState{Term: new(term), Vote: new(vote), Commit: new(commit)}
}

func cloneImage(s *raftpb.Snapshot) *raftpb.Snapshot {
	if s == nil {
		return nil
	}
	return proto.Clone(s).(*raftpb.Snapshot)
}

// newNode makes a node with an empty disk, which is down.
func (w *world) newNode(id cluster.NodeID) *node {
	inc := cluster.Incarnation{7: byte(id), 15: 1}
	n := &node{w: w, log: &memLog{}, self: cluster.Member{
		ID: inc.NodeID(), Incarnation: inc, Name: fmt.Sprint("n", id), PeerAddr: fmt.Sprintf("n%d:2380", id),
	}}
	n.seen = seenEffects{reads: map[uint64]uint64{}, answers: map[uint64]wire.ChangeReply{}}
	w.nodes[id] = n
	w.ids = append(w.ids, id)
	slices.Sort(w.ids)
	return n
}

// start boots the node from what is on its disk.
func (n *node) start() {
	n.w.t.Helper()
	n.boot++
	cfg := Config{
		Self: n.self, HeartbeatTicks: 1, ElectionTicks: 5, FirstSeq: n.boot<<32 | 1,
		Policy: n.w.policy, MaxGroupBytes: 4 << 10, Logger: Silent{},
	}
	if n.w.tune != nil {
		n.w.tune(&cfg)
	}
	rep, err := New(cfg, n.log, cloneImage(n.image))
	if err != nil {
		n.w.t.Fatalf("start %s: %v", n.self.Name, err)
	}
	n.rep = rep
	n.machine = n.image.GetMetadata().GetIndex()
	n.drain()
}

// crash loses all that is not durable.
func (n *node) crash() {
	n.rep, n.appends, n.applies, n.wanted, n.restoring = nil, nil, nil, false, false
	n.log.hs = n.log.synced
}

func (n *node) up() bool { return n.rep != nil }

// drain takes the effects, as a body does after each input.
func (n *node) drain() {
	e := n.rep.Effects()
	n.post(e.Send)
	for _, m := range e.Snapshots {
		b, err := proto.Marshal(m)
		if err != nil {
			n.w.t.Fatal(err)
		}
		n.w.pool = append(n.w.pool, packet{from: n.self.ID, to: cluster.NodeID(m.GetTo()), snapshot: b})
	}
	n.appends = append(n.appends, e.Append...)
	n.applies = append(n.applies, e.Apply...)
	n.wanted = n.wanted || e.TakeSnapshot
	n.w.truth.effects(n, e)
	n.seen.dropped = append(n.seen.dropped, e.Dropped...)
	n.seen.events = append(n.seen.events, e.Events...)
	for _, r := range e.Reads {
		n.seen.reads[r.Token] = r.Index
	}
	for _, a := range e.Answers {
		n.seen.answers[a.Token] = a.Change
	}
	if e.Removed != nil {
		n.gone = e.Removed
		n.crash()
		return
	}
	if e.Forgot != nil {
		n.seen.forgot = e.Forgot
		n.crash()
		return
	}
	for _, c := range e.Ask {
		if l := n.w.leader(); l != nil && !n.w.cut[[2]cluster.NodeID{n.self.ID, l.self.ID}] {
			l.change(c)
		}
	}
	n.w.truth.state(n)
}

// post puts batches on their way, each message in a packet of its own.
func (n *node) post(out []Outgoing) {
	for _, o := range out {
		b := o.Batch
		for i := range b.Raft {
			n.send(o.To, wire.Batch{Raft: b.Raft[i : i+1]})
		}
		for i := range b.Forwards {
			n.send(o.To, wire.Batch{Forwards: b.Forwards[i : i+1]})
		}
		for i := range b.Rejects {
			n.send(o.To, wire.Batch{Rejects: b.Rejects[i : i+1]})
		}
	}
}

func (n *node) send(to cluster.NodeID, b wire.Batch) {
	enc, err := wire.AppendBatch(nil, &b)
	if err != nil {
		n.w.t.Fatal(err)
	}
	n.w.pool = append(n.w.pool, packet{from: n.self.ID, to: to, batch: enc})
}

// deliver hands a packet over, or loses it when somebody is cut off.
func (w *world) deliver(p packet) {
	from, to := w.nodes[p.from], w.nodes[p.to]
	ok := to != nil && to.up() && !w.cut[[2]cluster.NodeID{p.from, p.to}] && !to.rep.removed(p.from)
	if p.snapshot != nil {
		w.deliverImage(from, to, ok, p.snapshot)
		return
	}
	if !ok {
		return
	}
	b, err := wire.DecodeBatch(p.batch)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, m := range b.Raft {
		if w.lose == nil || !w.lose(p.from, p.to, m) {
			to.rep.Step(m)
		}
	}
	for _, f := range b.Forwards {
		to.rep.Forwarded(p.from, f)
	}
	for _, x := range b.Rejects {
		to.rep.Rejected(x)
	}
	to.drain()
}

func (w *world) deliverImage(from, to *node, ok bool, b []byte) {
	m := &raftpb.Message{}
	if err := proto.Unmarshal(b, m); err != nil {
		w.t.Fatal(err)
	}
	ok = ok && (w.lose == nil || !w.lose(from.self.ID, to.self.ID, m))
	if ok {
		to.rep.Step(m)
		to.drain()
	}
	if from.up() {
		from.rep.SnapshotSent(cluster.NodeID(m.GetTo()), ok)
		from.drain()
	}
}

// removed says who is refused by the transport: not one that still counts in
// the joint configuration.
func (r *Replica) removed(id cluster.NodeID) bool {
	_, ok := r.membership.Tombstone(id)
	return ok && !slices.ContainsFunc(r.membership.Leaving, func(m cluster.Member) bool { return m.ID == id })
}

// append finishes the log writer's first job.
func (n *node) append() {
	a := n.appends[0]
	n.appends = n.appends[1:]
	if a.Snapshot != nil {
		n.finishApplies() // the applier restores the machine after what it has in hand
		if n.rep == nil {
			return
		}
		meta := a.Snapshot.GetMetadata()
		n.log.reset(meta.GetIndex(), meta.GetTerm())
		n.image, n.machine = cloneImage(a.Snapshot), meta.GetIndex()
	}
	n.log.append(n.w.t, a)
	n.post(a.Durable)
	if err := n.rep.Appended(a); err != nil {
		n.w.t.Fatal(err)
	}
	n.drain()
	if a.Snapshot != nil && n.up() {
		n.restoring = slices.ContainsFunc(n.appends, func(a Append) bool { return a.Snapshot != nil })
		n.w.truth.applied(n)
	}
}

// apply finishes the applier's first job.
func (n *node) apply() {
	a := n.applies[0]
	n.applies = n.applies[1:]
	n.w.truth.applying(n, a)
	n.restoring = n.rep.held != nil
	if err := n.rep.Applied(a); err != nil {
		n.w.t.Fatal(err)
	}
	n.w.truth.applied(n)
	n.drain()
}

func (n *node) finishApplies() {
	for n.up() && len(n.applies) > 0 {
		n.apply()
	}
}

// shoot takes an image now and, when compact is set, forgets the log under it.
func (n *node) shoot(compact bool) {
	n.wanted = false
	meta, err := n.rep.SnapshotMeta(n.rep.applied)
	if err != nil {
		n.w.t.Fatal(err)
	}
	n.image = cloneImage(meta)
	n.rep.SnapshotTaken(meta)
	if compact {
		n.log.compact(meta.GetMetadata().GetIndex())
	}
	n.drain()
}

// proposeBytes, read and change are a client's.
func (n *node) proposeBytes(cmd []byte) wire.RequestID {
	id := wire.RequestID{Origin: n.self.ID, Seq: n.rep.Propose(cmd)}
	n.drain()
	return id
}

func (n *node) withdraw(id wire.RequestID) bool {
	ok := n.rep.Withdraw(id.Seq)
	if ok {
		n.w.truth.didNot(n.w.t, id, "withdrawn")
	}
	return ok
}

func (n *node) read() uint64 {
	n.token++
	n.w.truth.asked(n, n.token)
	n.rep.Read(n.token)
	n.drain()
	return n.token
}

func (n *node) change(c wire.Change) uint64 {
	n.token++
	token := n.token
	n.rep.Change(token, c)
	n.drain()
	return token
}

// settle delivers and finishes all there is until nothing is on its way; no
// time passes.
func (w *world) settle() {
	for steps := 0; ; steps++ {
		if steps > 20000 {
			w.t.Fatal("the world does not come to rest")
		}
		if len(w.pool) > 0 {
			p := w.pool[0]
			w.pool = w.pool[1:]
			w.deliver(p)
			continue
		}
		if !w.finishOne() {
			return
		}
	}
}

func (w *world) finishOne() bool {
	for _, id := range w.ids {
		switch n := w.nodes[id]; {
		case !n.up():
		case len(n.appends) > 0:
			n.append()
			return true
		case len(n.applies) > 0:
			n.apply()
			return true
		case n.wanted:
			n.shoot(false)
			return true
		}
	}
	return false
}

// ticks lets time pass for all.
func (w *world) ticks(count int) {
	for range count {
		for _, id := range w.ids {
			if n := w.nodes[id]; n.up() {
				n.rep.Tick()
				n.drain()
			}
		}
		w.settle()
	}
}

// until lets time pass until the condition holds.
func (w *world) until(what string, cond func() bool) {
	w.t.Helper()
	w.settle()
	for range 300 {
		if cond() {
			return
		}
		w.ticks(1)
	}
	w.t.Fatalf("after 300 ticks still not: %s\n%s", what, w)
}

// leader is the one of the highest term, or nil.
func (w *world) leader() *node {
	var l *node
	for _, id := range w.ids {
		if n := w.nodes[id]; n.up() && n.rep.termStart > 0 && (l == nil || n.rep.basic.GetTerm() > l.rep.basic.GetTerm()) {
			l = n
		}
	}
	return l
}

// elect makes the node leader and waits until it has committed in its term.
func (w *world) elect(id cluster.NodeID) *node {
	w.t.Helper()
	n := w.nodes[id]
	w.until(fmt.Sprint(n.self.Name, " leads"), func() bool {
		if l := w.leader(); l == n {
			return n.rep.leads() && n.rep.applied >= n.rep.termStart
		} else if l != nil {
			l.rep.Transfer(id)
			l.drain()
		} else {
			_ = n.rep.raft.Campaign()
			n.drain()
		}
		return false
	})
	return n
}

// isolate cuts the nodes off from all others, in both directions.
func (w *world) isolate(ids ...cluster.NodeID) {
	for _, a := range w.ids {
		for _, b := range w.ids {
			if slices.Contains(ids, a) != slices.Contains(ids, b) {
				w.cut[[2]cluster.NodeID{a, b}] = true
			}
		}
	}
}

func (w *world) heal() { clear(w.cut); w.lose = nil }

func (w *world) String() string {
	s := ""
	for _, id := range w.ids {
		n := w.nodes[id]
		if !n.up() {
			s += fmt.Sprintf("%s down, gone %v\n", n.self.Name, n.gone != nil)
			continue
		}
		r := n.rep
		s += fmt.Sprintf("%s %s term %d lead %s applied %d committed %d log %d-%d image %d joint %v conf %v waiting %d batch %d changes %d/%v\n",
			n.self.Name, stateName(r.basic.RaftState), r.basic.GetTerm(), cluster.NodeID(r.basic.Lead), r.applied, r.basic.GetCommit(),
			n.log.FirstIndex(), r.last, n.image.GetMetadata().GetIndex(), r.joint(), r.conf, len(r.proposals.waiting), len(r.reads.batch)+len(r.reads.waiting), len(r.changes.queue), r.changes.inflight != nil)
	}
	return s
}
