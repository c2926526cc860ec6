package replica

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/wire"
)

// Config of a replica. All fields but Logger are required unless a default is stated.
type Config struct {
	Self            cluster.Member // as it is to be known to others; Role is ignored
	Admitted        cluster.Member // Self as it was admitted, until the first snapshot says more; zero: not known
	HeartbeatTicks  int
	ElectionTicks   int
	FirstSeq        uint64           // request numbers of this boot begin here; none was drawn above it before
	Policy          cluster.Policy   // where the cluster's own leaves something unsaid
	Tick            cluster.Duration // how long a tick is; only the policy's times depend on it. Default 100 ms
	MaxGroupBytes   int              // of commands in one entry; default 1 MiB
	MaxAppends      int              // log writes of entries in flight before commands are grouped; default 2
	MaxPendingBytes int64            // a leader turns forwards away above it; default 256 MiB
	Logger          raft.Logger
}

// Replica is one member. Not safe for concurrent use.
type Replica struct {
	cfg     Config
	raft    *raft.RawNode
	storage *storage

	membership cluster.Membership // as of applied
	conf       *raftpb.ConfState  // as of applied
	applied    uint64
	told       uint64 // commit index at the start: see tell
	tick       uint64

	basic     raft.BasicStatus // as of the last drain; only hard and soft state
	termStart uint64           // leader: index of the first entry of its term; 0: not leader
	last      uint64           // index of the last entry, stable or not
	leaderAt  uint64           // tick at which the leader was heard last
	appends   int              // Appends with entries that are not done
	applies   int              // Applys that are not done
	held      *raftpb.Message  // MsgSnap that waits for them

	confs      []uint64 // indexes of configuration changes in the log, not known to be committed; ascending
	confirming int      // Appends that make it durable that one is committed; nothing is sent before they are done

	proposals proposals
	reads     reads
	changes   changes
	peers     peers
	election  election
	out       Effects
	sends     outbox
}

// New starts a replica over a log and the newest image's metadata (nil: none,
// a joiner's first boot), whose Data is [EncodeMembership]'s. Entries above
// the image are handed to the applier again; it skips what its machine holds.
func New(cfg Config, log Log, newest *raftpb.Snapshot) (*Replica, error) {
	if cfg.MaxGroupBytes == 0 {
		cfg.MaxGroupBytes = 1 << 20
	}
	if cfg.MaxAppends == 0 {
		cfg.MaxAppends = 2
	}
	if cfg.MaxPendingBytes == 0 {
		cfg.MaxPendingBytes = 256 << 20
	}
	if cfg.Tick == 0 {
		cfg.Tick = cluster.Duration(100 * time.Millisecond)
	}
	if newest == nil {
		newest = &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{}}
	}
	r := &Replica{cfg: cfg, storage: &storage{log: log, newest: newest}}
	if err := r.storage.check(); err != nil {
		return nil, err
	}
	if err := r.adopt(newest); err != nil {
		return nil, err
	}
	r.proposals.next = cfg.FirstSeq
	r.reads.next = cfg.FirstSeq
	r.peers.heard, r.peers.lags = map[cluster.NodeID]*heard{}, map[cluster.NodeID]*lag{}
	node, err := raft.NewRawNode(&raft.Config{
		ID:                        uint64(cfg.Self.ID),
		ElectionTick:              cfg.ElectionTicks,
		HeartbeatTick:             cfg.HeartbeatTicks,
		Storage:                   r.storage,
		Applied:                   r.applied,
		AsyncStorageWrites:        true,
		MaxSizePerMsg:             1 << 20,
		MaxCommittedSizePerReady:  16 << 20,
		MaxUncommittedEntriesSize: 256 << 20,
		MaxInflightMsgs:           512,
		MaxInflightBytes:          64 << 20,
		CheckQuorum:               true,
		PreVote:                   true,
		StepDownOnRemoval:         true,
		DisableProposalForwarding: true,
		Logger:                    cfg.Logger,
	})
	if err != nil {
		return nil, fmt.Errorf("start raft: %w", err)
	}
	r.raft = node
	r.last = log.LastIndex()
	r.basic = node.BasicStatus()
	r.told = r.basic.GetCommit()
	if r.confs, err = uncommittedConfs(log, r.basic.GetCommit()); err != nil {
		return nil, fmt.Errorf("start raft: %w", err)
	}
	return r, nil
}

// uncommittedConfs lists the configuration changes above the commit index.
func uncommittedConfs(log Log, commit uint64) (confs []uint64, err error) {
	for next := commit + 1; next <= log.LastIndex(); {
		entries, err := log.Entries(next, log.LastIndex()+1, 1<<20)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if isConfChange(e) {
				confs = append(confs, e.GetIndex())
			}
		}
		next += uint64(len(entries))
	}
	return confs, nil
}

// EncodeMembership is the Data of a snapshot message.
func EncodeMembership(m cluster.Membership) []byte {
	b, err := json.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("replica: encode membership: %v", err)) // plain data: cannot fail
	}
	return b
}

// adopt takes the membership, the configuration and the applied index of an image.
func (r *Replica) adopt(s *raftpb.Snapshot) error {
	meta := s.GetMetadata()
	r.membership = cluster.Membership{}
	if meta.GetIndex() > 0 {
		if err := json.Unmarshal(s.GetData(), &r.membership); err != nil {
			return fmt.Errorf("membership in the snapshot at index %d: %w", meta.GetIndex(), err)
		}
	}
	r.storage.newest, r.storage.wanted = s, false
	r.storage.conf = meta.GetIndex()
	r.conf = raftpb.EnsureConfState(meta.GetConfState())
	r.applied = meta.GetIndex()
	r.proposals.handed = handed{} // the image may hold some, or not
	r.out.Members = true
	return nil
}

// Tick advances time by one tick.
func (r *Replica) Tick() {
	r.tick++
	r.raft.Tick()
	r.retryReads()
	r.watchPeers()
	r.watchLeader()
	if r.tick%uint64(r.cfg.HeartbeatTicks*2) == 0 {
		r.plan()
		r.announce()
	}
}

// Step takes a raft message from a peer. The body has checked that it comes
// from From, is meant for this member, and that both are in one cluster.
func (r *Replica) Step(m *raftpb.Message) {
	switch {
	case m.GetType() == raftpb.MsgProp:
		return // forwarding is ours, see Forwarded
	case m.GetType() == raftpb.MsgReadIndex && !r.leads():
		return // raft would answer from a commit index that may be behind; the peer asks again
	case m.GetType() == raftpb.MsgSnap && r.applies > 0:
		// Raft would take over the snapshot's configuration at once, and then
		// apply to it the older changes that are still at the applier.
		r.held = m
		return
	case m.GetType() == raftpb.MsgHeartbeat && m.GetTerm() >= r.basic.GetTerm() && m.GetCommit() > r.last:
		// A leader tells no higher commit index than this member has acknowledged
		// in its term. Raft would panic, and take the program with it.
		r.out.Forgot = &Forgot{Leader: cluster.NodeID(m.GetFrom()), Acked: m.GetCommit(), Last: r.last}
		return
	}
	r.noteVote(m)
	r.heard(cluster.NodeID(m.GetFrom()))
	// An error here means a message that no longer matters: a response of a
	// peer that is no member, or one to a question of an older term.
	_ = r.raft.Step(m)
}

// HoldsSnapshot says that a MsgSnap was stepped of which raft has not heard yet.
func (r *Replica) HoldsSnapshot() bool { return r.held != nil }

// FirstElection spares a cluster its first election timeout: a sole voter, and
// the first of the founders while nothing but the genesis is in the log,
// campaigns at once. Nobody can be leading then, so no leader is disturbed.
func (r *Replica) FirstElection() {
	voters := r.membership.Voters()
	first := len(voters) > 0 && voters[0] == r.cfg.Self.ID
	if first && !r.joint() && (len(voters) == 1 || r.last == r.applied && r.basic.GetTerm() <= 1) {
		_ = r.raft.Campaign() // an error means that it may not: then it waits as others do
	}
}

// Unreachable tells that messages to the peer were lost. It counts as silent
// until it is heard again.
func (r *Replica) Unreachable(id cluster.NodeID) {
	r.raft.ReportUnreachable(uint64(id))
	if h := r.peers.heard[id]; h != nil {
		h.fallSilent(r.peers.lagOf(id), r.tick)
	}
}

// SnapshotSent tells what became of a MsgSnap of Effects.Snapshots. It must be
// called for each, or raft never sends to that peer again.
func (r *Replica) SnapshotSent(to cluster.NodeID, ok bool) {
	status := raft.SnapshotFinish
	if !ok {
		status = raft.SnapshotFailure
	}
	r.raft.ReportSnapshot(uint64(to), status)
}

// SnapshotTaken tells of a new image, whose metadata came from [Replica.SnapshotMeta].
func (r *Replica) SnapshotTaken(s *raftpb.Snapshot) {
	if s.GetMetadata().GetIndex() > r.storage.newest.GetMetadata().GetIndex() {
		r.storage.newest = s
	}
	r.storage.wanted = false
}

// SnapshotMeta describes an image of the machine taken at index, which must be
// the applied index: the applier's jobs and its images complete in one order.
func (r *Replica) SnapshotMeta(index uint64) (*raftpb.Snapshot, error) {
	if index != r.applied {
		return nil, fmt.Errorf("image at index %d, but %d is applied", index, r.applied)
	}
	term, err := r.storage.Term(index)
	if err != nil {
		return nil, fmt.Errorf("term of index %d: %w", index, err)
	}
	return &raftpb.Snapshot{
		Data:     EncodeMembership(r.membership),
		Metadata: &raftpb.SnapshotMetadata{Index: new(index), Term: new(term), ConfState: r.conf},
	}, nil
}

// Appended takes back a finished Append of Effects, in order.
func (r *Replica) Appended(a Append) error {
	if len(a.Entries) > 0 {
		r.appends--
	}
	if a.confirms {
		r.confirming--
	}
	if a.Snapshot != nil {
		if err := r.adopt(a.Snapshot); err != nil {
			return err
		}
		r.event(event.SnapshotInstalled{Index: r.applied})
	}
	for _, m := range a.self {
		_ = r.raft.Step(m) // see Step
	}
	return nil
}

// Applied takes back a finished Apply of Effects, in order. Configuration
// changes take effect here (raft v3 applies them when they are applied, not
// when they are appended).
func (r *Replica) Applied(a Apply) error {
	for _, e := range a.Entries {
		if err := r.learn(e); err != nil {
			return fmt.Errorf("entry %d: %w", e.GetIndex(), err)
		}
		if err := r.applyEntry(e); err != nil {
			return err
		}
	}
	r.applied = a.Through()
	r.applies--
	for _, m := range a.self {
		_ = r.raft.Step(m) // see Step
	}
	if m := r.held; m != nil && r.applies == 0 {
		r.held = nil
		_ = r.raft.Step(m) // see Step
	}
	return nil
}

// Effects drains what there is to do. Call it after inputs, until it is empty
// it need not be called again.
func (r *Replica) Effects() Effects {
	for r.termStart == 0 && r.raft.HasReady() {
		r.ready(r.raft.Ready()) // a follower learns first whom to forward to
	}
	r.flush()
	for r.raft.HasReady() {
		r.ready(r.raft.Ready())
		r.flush()
	}
	r.releaseReads()
	if r.confirming == 0 {
		r.out.Send = r.sends.take()
	}
	if r.storage.wanted {
		r.out.TakeSnapshot = true
	}
	out := r.out
	r.out = Effects{}
	return out
}

func (r *Replica) ready(rd raft.Ready) {
	if !raft.IsEmptySnap(rd.Snapshot) {
		r.last = rd.Snapshot.GetMetadata().GetIndex()
	}
	r.follow(rd)
	for _, s := range rd.ReadStates {
		r.readState(s)
	}
	sync := r.confirms(rd)
	var votes outbox
	for _, m := range rd.Messages {
		switch {
		case m.GetTo() == raft.LocalAppendThread:
			a := r.appendJob(m, rd.MustSync || sync)
			a.confirms, sync = sync, false
			r.out.Append = append(r.out.Append, a)
		case m.GetTo() == raft.LocalApplyThread:
			r.applies++
			r.out.Apply = append(r.out.Apply, Apply{Entries: m.GetEntries(), self: m.GetResponses()})
		case m.GetType() == raftpb.MsgVote:
			votes.raft(m)
		default:
			r.send(m)
		}
	}
	if sync {
		r.out.Append = append(r.out.Append, Append{Sync: true, confirms: true})
	}
	r.askForVotes(votes.take())
}

// askForVotes lets a candidate's questions out once its own vote is durable
// (Raft thesis §3.8: a server updates its persistent state before it sends
// anything). Raft v3 with asynchronous storage counts that vote only then, but
// asks the others at once, and their votes alone may elect it. When it then
// forgets its term in a crash, the same voters elect it for the same term
// again, and it gives them other entries under the same index and term.
func (r *Replica) askForVotes(votes []Outgoing) {
	if len(votes) == 0 {
		return
	}
	if len(r.out.Append) == 0 { // the vote went to disk before
		r.out.Append = append(r.out.Append, Append{Sync: true})
	}
	last := &r.out.Append[len(r.out.Append)-1]
	last.Sync = true
	last.Durable = append(last.Durable, votes...)
}

// confirms says whether a configuration change is committed by now. That has to
// be durable here before anybody else is told. Raft v3 follows a configuration
// from when it is applied, and so from when it is known to be committed: when a
// leader forgot that in a crash, it would need the votes of members that the
// change left out; these may remember, hold a longer log than its own, and
// never campaign again.
func (r *Replica) confirms(rd raft.Ready) bool {
	if len(rd.Entries) > 0 {
		first := rd.Entries[0].GetIndex()
		r.confs = slices.DeleteFunc(r.confs, func(i uint64) bool { return i >= first }) // overwritten
		for _, e := range rd.Entries {
			if isConfChange(e) {
				r.confs = append(r.confs, e.GetIndex())
			}
		}
	}
	n := len(r.confs)
	commit := r.basic.GetCommit()
	r.confs = slices.DeleteFunc(r.confs, func(i uint64) bool { return i <= commit })
	if len(r.confs) == n && !slices.ContainsFunc(rd.CommittedEntries, isConfChange) {
		return false
	}
	r.confirming++
	return true
}

func isConfChange(e *raftpb.Entry) bool { return e.GetType() == raftpb.EntryConfChangeV2 }

func (r *Replica) appendJob(m *raftpb.Message, mustSync bool) Append {
	a := Append{Entries: m.GetEntries(), Snapshot: m.GetSnapshot()}
	if m.Term != nil || m.Vote != nil || m.Commit != nil {
		a.HardState = &raftpb.HardState{Term: m.Term, Vote: m.Vote, Commit: m.Commit}
	}
	a.Sync = mustSync || a.Snapshot != nil
	if len(a.Entries) > 0 {
		r.appends++
	}
	var out outbox
	for _, resp := range m.GetResponses() {
		r.noteAnswer(resp)
		if resp.GetTo() == uint64(r.cfg.Self.ID) {
			a.self = append(a.self, resp)
		} else {
			out.raft(resp)
		}
	}
	a.Durable = out.take()
	return a
}

func (r *Replica) send(m *raftpb.Message) {
	r.noteAnswer(m)
	if m.GetType() == raftpb.MsgSnap {
		r.out.Snapshots = append(r.out.Snapshots, m)
		return
	}
	r.sends.raft(m)
}

// follow notices a new leader or term.
func (r *Replica) follow(rd raft.Ready) {
	if n := len(rd.Entries); n > 0 {
		r.last = rd.Entries[n-1].GetIndex()
	}
	was := r.basic
	if rd.SoftState != nil {
		r.basic.SoftState = *rd.SoftState
	}
	if rd.HardState != nil {
		r.basic.HardState = rd.HardState
	}
	now := r.basic
	if now.RaftState != raft.StateLeader {
		r.termStart = 0
	} else if was.RaftState != raft.StateLeader || was.GetTerm() != now.GetTerm() {
		r.startTerm(rd.Entries)
	}
	if was.Lead != now.Lead {
		r.election.noteLeader(now.Lead, now.GetTerm(), r.tick)
	}
	if was.Lead == now.Lead && was.GetTerm() == now.GetTerm() {
		return
	}
	r.reads.reissue = true
	r.leaderAt = r.tick
	if was.RaftState == raft.StateLeader && r.termStart == 0 {
		r.stepDown()
	}
	if was.Lead != now.Lead || now.Lead != raft.None {
		lead := cluster.NodeID(now.Lead)
		mem, _ := r.membership.Member(lead)
		r.event(event.LeaderChanged{Term: now.GetTerm(), Leader: lead, Name: mem.Name})
	}
}

// startTerm runs when this member becomes leader: among the entries about to
// be appended is the empty one that raft begins its term with.
func (r *Replica) startTerm(entries []*raftpb.Entry) {
	for _, e := range entries {
		if e.GetTerm() == r.basic.GetTerm() {
			r.termStart = e.GetIndex()
			break
		}
	}
	if r.termStart == 0 {
		panic(fmt.Sprintf("replica: leader of term %d without an entry of that term", r.basic.GetTerm()))
	}
	r.proposals.led, r.proposals.forwarded = r.basic.GetTerm(), map[cluster.NodeID]uint64{}
	r.changes.inherited = len(r.confs) > 0
	r.peers.startTerm(r.tick)
}

// leads says that this member leads and has committed an entry of its term:
// only then is its commit index current (Raft thesis §6.4).
func (r *Replica) leads() bool {
	return r.termStart > 0 && r.basic.GetCommit() >= r.termStart
}

// stepDown gives back what only a leader could have carried out.
func (r *Replica) stepDown() {
	r.peers.why = nil
	r.abandonChanges()
	r.rejectForeign()
}

func (r *Replica) event(e event.Event) { r.out.Events = append(r.out.Events, e) }

// outbox groups what goes to one peer, in the order of first use.
type outbox struct{ list []Outgoing }

func (o *outbox) to(id cluster.NodeID) *wire.Batch {
	for i := range o.list {
		if o.list[i].To == id {
			return o.list[i].Batch
		}
	}
	b := &wire.Batch{}
	o.list = append(o.list, Outgoing{To: id, Batch: b})
	return b
}

func (o *outbox) raft(m *raftpb.Message) {
	b := o.to(cluster.NodeID(m.GetTo()))
	b.Raft = append(b.Raft, m)
}

func (o *outbox) take() []Outgoing {
	list := o.list
	o.list = nil
	return list
}
