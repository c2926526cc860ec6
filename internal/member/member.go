package member

import (
	"errors"
	"fmt"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/formation"
	"github.com/musterhq/muster/internal/replica"
	"github.com/musterhq/muster/internal/wire"
)

var (
	// ErrRemoved: the node was removed from its cluster, for good.
	ErrRemoved = errors.New("this node was removed from the cluster")

	// ErrCorrupt says that something on disk is damaged or missing; the text
	// says what, and the way out.
	ErrCorrupt = errors.New("data directory damaged")

	// ErrPin: the pin contradicts the data directory or the configuration.
	ErrPin = errors.New("pin refused")

	// ErrRolledBack: the others know better what this node has done than its disk.
	ErrRolledBack = errors.New("the cluster does not trust this disk any more")

	// ErrOldGeneration: the cluster was re-formed, without this node.
	ErrOldGeneration = errors.New("the cluster was re-formed without this node")
)

// Config of a member. Everything in it is open and checked.
type Config struct {
	Self    wire.Identity
	Epoch   uint64   // boots of the data directory
	Boots   []string // a random word of each of the last boots, newest first; not empty
	Cluster string   // name
	Mode    formation.Mode
	Seeds   []string
	Expect  int      // formation.Dynamic: how many founders together
	Nonce   []byte   // 16 random bytes
	Version string   // of the program, shown to peers
	Tokens  [][]byte // peers must prove that they have one of them, and this node that it has the first; none: nobody need

	Heartbeat     time.Duration // between two calls of Tick
	ElectionTicks int
	Policy        cluster.Policy // where the cluster's own leaves something unsaid

	SnapshotLogBytes int64 // of entries logged before an image is taken
	MaxPendingBytes  int64

	Disk   Disk
	Logger raft.Logger
}

// Member is one node. Not safe for concurrent use.
type Member struct {
	cfg  Config
	disk Disk
	body Body

	state   State // as saved last
	pin     Pin   // as saved last; zero: none
	former  *formation.Former
	rep     *replica.Replica
	asked   map[uint64]func(wire.ChangeReply) // waiting changes by token
	replies map[uint64]func(wire.Response)    // waiting questions to the former
	token   uint64
	ticks   uint64
	hints   map[cluster.NodeID]string // addresses from Hellos, newer than the membership's
	met     meetings
	asking  bool     // an announcement of this member's own is on its way
	found   []string // addresses that discovery has found, newest first; see Discovered
	seeking bool     // a seed, or one of those found, is being asked who it is
	again   string   // one of these that is to be asked next; "": whose turn it is
	turn    int      // whom to ask next, if there is no leader to ask
	images  images
	writing int               // appends at the writer
	commit  *raftpb.HardState // not written yet, since only its commit index is new
	view    *View             // as published last
	failed  bool
}

// New takes up the node's life where it stopped. Nothing leaves it before the
// first [Member.Drive]. Errors: [ErrRemoved], [ErrRolledBack], [ErrOldGeneration], [ErrCorrupt], and what the disk says.
func New(cfg Config, body Body) (*Member, error) {
	m := &Member{
		cfg: cfg, disk: cfg.Disk, body: body,
		asked: map[uint64]func(wire.ChangeReply){}, replies: map[uint64]func(wire.Response){},
		hints: map[cluster.NodeID]string{}, met: meetings{asking: map[cluster.NodeID]bool{}},
	}
	if err := m.load(); err != nil {
		return nil, err
	}
	if m.state.Stage == wire.Removed {
		return nil, fmt.Errorf("%w (at index %d of cluster %s): its data directory can't be used again; start with an empty one to join as a new member",
			ErrRemoved, m.state.Tombstone, m.state.ClusterID)
	}
	if m.state.RolledBack != "" {
		return nil, fmt.Errorf("%w: %s", ErrRolledBack, m.state.RolledBack)
	}
	if m.state.Outdated != "" {
		return nil, fmt.Errorf("%w: %s", ErrOldGeneration, m.state.Outdated)
	}
	if m.state.Stage == wire.InCluster {
		if err := m.becomeMember(); err != nil {
			return nil, err
		}
	} else {
		m.former = formation.New(formation.Config{
			Self: cfg.Self, Cluster: cfg.Cluster, Mode: cfg.Mode, Seeds: cfg.Seeds,
			Expect: cfg.Expect, Pin: m.pin.ClusterID, PinPath: m.pinPath(), Nonce: cfg.Nonce, TickMillis: int(cfg.Heartbeat.Milliseconds()),
		}, m.state.Durable)
	}
	m.publish()
	return m, nil
}

// Close lets go of the images in use. It writes nothing.
func (m *Member) Close() { m.images.releaseAll() }

// InCluster says that the node is a member, which proposes and reads.
func (m *Member) InCluster() bool { return m.rep != nil }

// Indexes are how far the machine and the log's committed part are.
func (m *Member) Indexes() (applied, committed uint64) {
	if m.rep == nil {
		return 0, 0
	}
	return m.rep.Indexes()
}

// Unsaved is the hard state whose commit index is not on disk: to write it at
// the end spares the next start some waiting. nil: there is none.
func (m *Member) Unsaved() *raftpb.HardState { return m.commit }

// Broken is why the log could not be read, or nil; see [replica.Replica.Broken].
func (m *Member) Broken() error {
	if m.rep == nil {
		return nil
	}
	return m.rep.Broken()
}

// Tick says that a heartbeat's time has passed.
func (m *Member) Tick() {
	m.ticks++
	switch {
	case m.rep != nil:
		m.rep.Tick()
		m.seek()
		m.lookAfterStrangers()
	case m.former != nil:
		m.former.Tick()
	}
}

// Tended is called after the Drive that follows a Tick: it takes an image when
// it is time, and publishes what has changed slowly.
func (m *Member) Tended() {
	m.housekeep()
	m.publish()
}

// Messages takes a batch from a peer that was let in. Raft messages that don't
// fit the connection they came on are not looked at.
func (m *Member) Messages(from cluster.NodeID, b *wire.Batch) {
	if m.rep == nil {
		return
	}
	for _, x := range b.Raft {
		if x.GetFrom() == uint64(from) && x.GetTo() == uint64(m.cfg.Self.NodeID) {
			m.rep.Step(x)
		}
	}
	for _, f := range b.Forwards {
		m.rep.Forwarded(from, f)
	}
	for _, x := range b.Rejects {
		m.rep.Rejected(x)
	}
}

// Unreachable tells that messages to a peer were lost.
func (m *Member) Unreachable(id cluster.NodeID) {
	if m.rep != nil {
		m.rep.Unreachable(id)
	}
}

// Refused hears that a member wants nothing of this node. One that says that
// this node was removed, that its disk is not what it was, or that the cluster
// was re-formed without it, ends it; so it may
// be while the node has not heard yet that it is a member.
func (m *Member) Refused(r *wire.Refusal) {
	mine := m.state.ClusterID
	if r.Code == wire.RefusedClusterID && r.From.Incarnation != m.cfg.Self.Incarnation {
		m.MetStranger(r.From, r.Member)
	}
	if r.From.Incarnation == m.cfg.Self.Incarnation || r.Member.IsZero() || !mine.IsZero() && r.Member != mine {
		return // this node's own refusal, or none of a member's
	}
	switch r.Code {
	case wire.RefusedRemoved:
		m.state.ClusterID = r.Member
		m.removed(r.Index)
	case wire.RefusedRolledBack:
		m.rolledBack(fmt.Sprintf("%s at %s says: %s", r.From.Name, r.From.PeerAddr, r.Reason))
	case wire.RefusedOldGeneration:
		if m.InCluster() {
			m.outdated(r.Generation, fmt.Sprintf("%s at %s says: %s", r.From.Name, r.From.PeerAddr, r.Reason))
		}
	}
}

// Propose, Withdraw, Read and WithdrawRead are the replica's; the node is InCluster.
func (m *Member) Propose(cmd []byte) (seq uint64)  { return m.rep.Propose(cmd) }
func (m *Member) Withdraw(seq uint64) bool         { return m.rep.Withdraw(seq) }
func (m *Member) WithdrawRead(token uint64)        { m.rep.WithdrawRead(token) }
func (m *Member) Membership() cluster.Membership   { return m.membership() }
func (m *Member) Leader() (cluster.NodeID, uint64) { return m.rep.Leader() }

// Read asks for a linearizable read, and returns the token that comes back in
// [Watcher.Released].
func (m *Member) Read() (token uint64) {
	m.token++
	m.rep.Read(m.token)
	return m.token
}

// Drive carries out effects until there are none.
func (m *Member) Drive() {
	if m.failed {
		return
	}
	if m.rep == nil {
		m.driveForming()
		if m.rep == nil {
			return
		}
	}
	for !m.failed && m.carryOut(m.rep.Effects()) {
	}
}

// carryOut does what the replica wants done, and says whether some of it is
// done already, so that there may be more.
func (m *Member) carryOut(eff replica.Effects) (more bool) {
	m.body.Progress(m.rep.Indexes()) // before others hear what is committed
	for _, o := range eff.Send {
		m.body.Send(o.To, o.Batch)
	}
	for _, a := range eff.Append {
		if m.appendLater(a) {
			more = true
		}
	}
	for i := range eff.Apply {
		m.body.Apply(ApplyJob{Apply: &eff.Apply[i]})
	}
	for _, x := range eff.Snapshots {
		m.sendImage(x)
	}
	for _, d := range eff.Dropped {
		m.body.Dropped(d)
	}
	for _, r := range eff.Reads {
		m.body.Released(r)
	}
	for _, a := range eff.Answers {
		if reply := m.asked[a.Token]; reply != nil {
			delete(m.asked, a.Token)
			reply(a.Change)
		}
	}
	for _, c := range eff.Ask {
		m.announce(c)
	}
	for _, e := range eff.Events {
		m.body.Emit(m.named(e))
	}
	if eff.TakeSnapshot {
		m.takeImage()
	}
	if eff.Removed != nil {
		m.removed(eff.Removed.Index)
	}
	if x := eff.Forgot; x != nil {
		m.rolledBack(fmt.Sprintf("the leader %s has this member's word for entries up to index %d, but its log ends at %d: an older image of its disk is running", m.view.Name(x.Leader), x.Acked, x.Last))
	}
	m.follow(eff.Members || len(eff.Events) > 0, eff.Members)
	return more
}

// named fills in a leader's name that the replica doesn't know: before its
// first snapshot, a member knows the others as it was admitted.
func (m *Member) named(e event.Event) event.Event {
	if l, ok := e.(event.LeaderChanged); ok && l.Name == "" && l.Leader != 0 {
		all := m.membership()
		mem, _ := all.Member(l.Leader)
		l.Name = mem.Name
		return l
	}
	return e
}

// follow makes visible what has changed, but for indexes.
func (m *Member) follow(changed, members bool) {
	if members {
		m.setPeers()
	}
	leader, term := m.rep.Leader()
	if s := &m.view.Status; changed || s.Leader != leader || s.Term != term {
		m.publish()
	}
}

// fail ends the member.
func (m *Member) fail(err error) {
	if !m.failed {
		m.failed = true
		m.body.Fail(err)
	}
}

// removed ends a member that is out for good.
func (m *Member) removed(index uint64) {
	if m.state.Stage == wire.Removed {
		return
	}
	next := m.state
	next.Stage, next.Tombstone = wire.Removed, index
	if m.save(next) {
		m.fail(fmt.Errorf("%w at index %d", ErrRemoved, index))
	}
}

// rolledBack ends a member whose disk must not be trusted. It is noted there,
// lest the epoch grow by restarts until it is beyond what others have met.
// Nothing else on the disk changes.
func (m *Member) rolledBack(reason string) {
	if m.failed {
		return
	}
	next := m.state
	next.RolledBack = reason + "; " + wire.RefusedRolledBack.WayOut(m.cfg.Self.Name)
	if m.save(next) {
		m.fail(fmt.Errorf("%w: %s", ErrRolledBack, next.RolledBack))
	}
}

// Left ends a member whose removal is decided and which doesn't lead.
func (m *Member) Left(index uint64) { m.removed(index) }
