package replica

import (
	"fmt"
	"slices"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/roster"
	"github.com/musterhq/muster/internal/wire"
)

// changes are the membership changes that wait for the leader, which this
// member is, and the one that is in the log and not applied yet.
type changes struct {
	queue     []change
	inflight  *change
	index     uint64 // of the one in flight
	inherited bool   // this term began with changes of older terms in the log, not known to be committed
}

type change struct {
	tokens  []uint64
	c       wire.Change
	offered uint64 // tick at which leadership was offered to another on its account; 0: not yet
}

// maxChanges bounds the queue: more joins than that ask again later.
const maxChanges = 4096

// Change asks for a membership change. The answer comes in Effects.Answers
// under the token, from the applied state. Only a leader carries changes out;
// elsewhere the answer is at once ChangePending with the leader's ID. Asking
// again with the same request ID is harmless and gets the same answer.
func (r *Replica) Change(token uint64, c wire.Change) {
	if o, ok := r.membership.Outcome(c.Request); ok {
		r.answer(token, outcomeReply(o))
		return
	}
	if r.termStart == 0 {
		r.answer(token, wire.ChangeReply{Status: wire.ChangePending, Code: "not_leader", Reason: "this member does not lead"})
		return
	}
	q := &r.changes
	if q.inflight != nil && q.inflight.c.Request == c.Request {
		q.inflight.tokens = append(q.inflight.tokens, token)
		return
	}
	for i := range q.queue {
		if q.queue[i].c.Request == c.Request {
			q.queue[i].tokens = append(q.queue[i].tokens, token)
			return
		}
	}
	if m, joins := joinOf(c); joins {
		if wait := r.Turn(m); wait != nil {
			r.answer(token, *wait)
			return
		}
		r.LoseTurn(m.ID) // it is being added
	}
	if len(q.queue) >= maxChanges {
		r.answer(token, wire.ChangeReply{Status: wire.ChangePending, Code: "queue_full", Reason: "too many membership changes wait"})
		return
	}
	q.queue = append(q.queue, change{tokens: []uint64{token}, c: c})
}

// proposeChange puts the next change into the log, when none is on its way and
// the configuration isn't joint.
func (r *Replica) proposeChange() {
	q := &r.changes
	for len(q.queue) > 0 && q.inflight == nil && r.applied >= r.termStart && !r.joint() {
		next := q.queue[0]
		c, reply := r.complete(next.c)
		if reply == nil && r.losesVote(c) {
			c, reply = r.giveWay(&q.queue[0], c)
		}
		switch {
		case reply != nil:
			q.queue = q.queue[1:]
			r.answerAll(next, *reply)
			continue
		case c.Request == "":
			return // another is to lead first
		}
		if err := r.raft.Step(r.changeMessage(c)); err != nil {
			return // too much is uncommitted, or leadership moves: later
		}
		r.last++
		if c.Request == next.c.Request {
			q.queue = q.queue[1:]
			next.c = c
		} else {
			next = change{c: c} // this goes first; what was asked for goes on waiting
		}
		q.inflight, q.index = &next, r.last
	}
}

// complete checks a change against the applied state. A reply means that
// nothing is to be proposed; a change with another request ID, that this one
// has to happen first.
func (r *Replica) complete(c wire.Change) (wire.Change, *wire.ChangeReply) {
	if o, ok := r.membership.Outcome(c.Request); ok {
		reply := outcomeReply(o)
		return c, &reply
	}
	c = r.resolve(c)
	if len(c.Steps) == 1 {
		switch s := c.Steps[0]; s.Op {
		case wire.OpAdd:
			if have, ok := r.membership.Member(s.Member.ID); ok && have.Incarnation == s.Member.Incarnation {
				return c, &wire.ChangeReply{Status: wire.ChangeApplied, Index: r.applied}
			}
			c.Steps = r.succeed(s)
		case wire.OpRemove:
			plan, why := roster.PlanRemove(r.atTurn(), r.policy(), s.Member.ID, s.BelowFloor)
			if why != nil {
				return c, r.refuses(why)
			}
			if have, _ := r.membership.Member(s.Member.ID); have.Role == cluster.Voter {
				c = r.planned(demoteFirst(plan), c.Why)
			} else {
				c.Steps = steps(plan)
			}
		case wire.OpVote:
			var refused *wire.ChangeReply
			if c, refused = r.letVote(c, s.Member.ID); refused != nil {
				return c, refused
			}
		case wire.OpAnnounce, wire.OpWithdraw, wire.OpReaddress:
			if code, why := checkAnnounced(&r.membership, s); why != "" {
				return c, &wire.ChangeReply{Status: wire.ChangeRefused, Index: r.applied, Code: code, Reason: why}
			}
		case wire.OpStandDown:
			plan, why := roster.PlanStandDown(r.atTurn(), r.policy(), s.Member.ID)
			if why != nil {
				return c, r.refuses(why)
			}
			c.Steps = steps(plan)
			if h := r.peers.heard[s.Member.ID]; h != nil {
				h.stopping = r.tick
			}
		}
	}
	if why := check(&r.membership, c); why != "" {
		return c, &wire.ChangeReply{Status: wire.ChangeRefused, Index: r.applied, Code: "invalid", Reason: why}
	}
	return c, nil
}

// atTurn is what the roster goes by for the change whose turn it is.
func (r *Replica) atTurn() roster.Seen {
	seen := r.seen()
	seen.Pending = false
	return seen
}

func (r *Replica) refuses(why *event.Reason) *wire.ChangeReply {
	text := why.Text
	if why.WayOut != "" {
		text += "; " + why.WayOut
	}
	return &wire.ChangeReply{Status: wire.ChangeRefused, Index: r.applied, Code: why.Code, Reason: text}
}

// succeed is how a member is added whose name is taken by one that is silent,
// as after the loss of a disk. A learner makes room in the same change; a voter
// stays until the newcomer can take its place, see package roster. Where the
// other may still answer, the name is its own and check refuses.
func (r *Replica) succeed(add wire.Step) []wire.Step {
	all := []wire.Step{add}
	for _, m := range r.membership.Members {
		if m.Name != add.Member.Name || m.ID == r.cfg.Self.ID {
			continue
		}
		// The leader has dialled the newcomer, so nobody else is at its address.
		silent, _ := r.peers.silence(m.ID, r.tick)
		same, gone := m.PeerAddr == add.Member.PeerAddr, silent > r.cfg.ElectionTicks
		switch {
		case m.Role == cluster.Voter && (same || silent > patience*r.cfg.ElectionTicks):
			all[0].Member.Replaces = m.ID
		case m.Role == cluster.Learner && gone && (same || silent > patience*r.cfg.ElectionTicks):
			all = append(all, wire.Step{Op: wire.OpRemove, Member: cluster.Member{ID: m.ID}})
		}
	}
	return all
}

// patience is how many election timeouts a member may be silent before another
// node may take its name from elsewhere, and how many it may take to stop after
// it has given its role away.
const patience = 10

// losesVote says whether this member, which leads, would be no voter after c.
func (r *Replica) losesVote(c wire.Change) bool {
	return slices.ContainsFunc(c.Steps, func(s wire.Step) bool {
		return s.Member.ID == r.cfg.Self.ID && (s.Op == wire.OpDemote || s.Op == wire.OpRemove)
	})
}

// mayLoseVote says whether a change that takes this leader's vote may be on its
// way although it gives way before its own: one that a former leader proposed.
// It proposes nothing more then, so that its log ends with that change and
// doesn't keep its successor, who has that too, from being elected.
func (r *Replica) mayLoseVote() bool {
	inherited := r.changes.inherited && r.applied < r.termStart
	return inherited || !slices.Contains(r.conf.GetVoters(), uint64(r.cfg.Self.ID))
}

// giveWay hands leadership over before a change that takes this leader's vote.
// Such a change is carried out by a leader that stays a voter: when the old
// leader steps down, it may be the only one with the end of the log, and its
// vote may still be needed, while it can't be elected any more itself. When no
// voter would stay, the newcomers are promoted before. No request: wait.
func (r *Replica) giveWay(head *change, c wire.Change) (wire.Change, *wire.ChangeReply) {
	to, promote := r.successor(c)
	switch {
	case to == 0 && len(promote.Promote) > 0:
		return r.planned(promote, c.Why), nil
	case to == 0 || head.offered > 0 && r.tick-head.offered > uint64(2*r.cfg.ElectionTicks):
		return c, &wire.ChangeReply{Status: wire.ChangeRefused, Index: r.applied, Code: "no_candidate",
			Reason: "this member leads, and no other voter takes leadership over from it"}
	}
	if head.offered == 0 {
		head.offered = r.tick
	}
	if !r.handingOver() {
		// Again, when it came to nothing: one that was promoted just now may
		// not know yet that it can be elected.
		r.handOver(to)
	}
	return wire.Change{}, nil
}

// successor is the furthest of the active voters that c leaves alone, or 0; and
// whom c promotes.
func (r *Replica) successor(c wire.Change) (cluster.NodeID, roster.Change) {
	var promote roster.Change
	var best roster.MemberSeen
	for _, m := range r.seen().Members {
		id := m.Member.ID
		i := slices.IndexFunc(c.Steps, func(s wire.Step) bool { return s.Member.ID == id })
		switch {
		case i >= 0 && c.Steps[i].Op == wire.OpPromote:
			promote.Promote = append(promote.Promote, id)
		case i < 0 && id != r.cfg.Self.ID && m.Member.Role == cluster.Voter && m.Active && (best.Member.ID == 0 || m.Match > best.Match):
			best = m
		}
	}
	return best.Member.ID, promote
}

// StandDown is the change in which this member, which leads and is about to stop,
// gives its vote to a learner once another leads; no steps when none is ready.
// Whoever follows as leader knows too little of the learners at first to pick one.
func (r *Replica) StandDown() []wire.Step {
	to, _ := r.successor(wire.Change{})
	if r.termStart == 0 || to == 0 || r.applied < r.termStart {
		return nil
	}
	seen := r.atTurn()
	seen.Leader = to
	plan, _ := roster.PlanStandDown(seen, r.policy(), r.cfg.Self.ID)
	return steps(plan)
}

// demoteFirst is the first half of a removal of voters. They stay as learners,
// which still answer and can vote, until it is known that the configuration
// without them holds: raft v3 follows a configuration from when it is applied,
// not appended, so members that don't know yet that it is committed may need
// the very ones that it leaves out (of two voters, say, the last to know).
func demoteFirst(p roster.Change) roster.Change {
	return roster.Change{Promote: p.Promote, Demote: append(p.Demote, p.Remove...)}
}

// planned is a change of this leader's own.
func (r *Replica) planned(p roster.Change, why string) wire.Change {
	r.peers.plan++
	request := fmt.Sprintf("plan-%s-%d-%d", r.cfg.Self.ID, r.basic.GetTerm(), r.peers.plan)
	return wire.Change{Request: request, Steps: steps(p), Why: why}
}

// steps spells out what the planner wants.
func steps(p roster.Change) []wire.Step {
	var out []wire.Step
	add := func(op wire.ChangeOp, ids []cluster.NodeID) {
		for _, id := range ids {
			out = append(out, wire.Step{Op: op, Member: cluster.Member{ID: id}})
		}
	}
	add(wire.OpPromote, p.Promote)
	add(wire.OpDemote, p.Demote)
	add(wire.OpRemove, p.Remove)
	return out
}

// changeMessage is the proposal of a change: a configuration change, or a
// plain entry when it touches no role.
func (r *Replica) changeMessage(c wire.Change) *raftpb.Message {
	e := &raftpb.Entry{}
	if singles := confSingles(c); len(singles) > 0 {
		// Several steps at once use a joint configuration that raft's leader
		// leaves by itself (Raft thesis §4.3).
		cc := &raftpb.ConfChangeV2{Changes: singles, Context: wire.EncodeChange(c)}
		typ, data, err := raftpb.MarshalConfChange(cc)
		if err != nil {
			panic(fmt.Sprintf("replica: encode change: %v", err)) // plain data: cannot fail
		}
		e.Type, e.Data = typ.Enum(), data
	} else {
		e.Data = wire.EncodeUpdate(c)
	}
	return &raftpb.Message{Type: raftpb.MsgProp.Enum(), From: new(uint64(r.cfg.Self.ID)), Entries: []*raftpb.Entry{e}}
}

func confSingles(c wire.Change) []*raftpb.ConfChangeSingle {
	var out []*raftpb.ConfChangeSingle
	for _, s := range c.Steps {
		var typ raftpb.ConfChangeType
		switch s.Op {
		case wire.OpAdd, wire.OpDemote:
			typ = raftpb.ConfChangeAddLearnerNode
		case wire.OpPromote:
			typ = raftpb.ConfChangeAddNode
		case wire.OpRemove:
			typ = raftpb.ConfChangeRemoveNode
		default:
			continue
		}
		out = append(out, confSingle(typ, uint64(s.Member.ID)))
	}
	return out
}

// leaveJoint leaves a joint configuration that raft has left standing: it does
// so itself when it applies an entry, but not while it hands leadership over.
func (r *Replica) leaveJoint() {
	// An error means that leadership is handed over still, or gone: later.
	_ = r.raft.Step(&raftpb.Message{
		Type: raftpb.MsgProp.Enum(), From: new(uint64(r.cfg.Self.ID)),
		Entries: []*raftpb.Entry{{Type: raftpb.EntryConfChangeV2.Enum()}},
	})
}

func (r *Replica) joint() bool { return len(r.conf.GetVotersOutgoing()) > 0 }

// abandonChanges runs when leadership is lost: what waits did not happen; of
// what is in flight nobody knows. Both ask again with the same request ID.
func (r *Replica) abandonChanges() {
	q := &r.changes
	if q.inflight != nil {
		r.answerAll(*q.inflight, wire.ChangeReply{Status: wire.ChangeUnknown, Code: "leadership_lost", Reason: "leadership was lost before the change was decided"})
	}
	for _, c := range q.queue {
		r.answerAll(c, wire.ChangeReply{Status: wire.ChangePending, Code: "not_leader", Reason: "leadership was lost before the change was proposed"})
	}
	q.queue, q.inflight = nil, nil
}

func (r *Replica) answerAll(c change, reply wire.ChangeReply) {
	for _, t := range c.tokens {
		r.answer(t, reply)
	}
}

func (r *Replica) answer(token uint64, reply wire.ChangeReply) {
	reply.Leader = cluster.NodeID(r.basic.Lead)
	r.out.Answers = append(r.out.Answers, Answer{Token: token, Change: reply})
}

func outcomeReply(o cluster.Outcome) wire.ChangeReply {
	if o.Refused != "" {
		return wire.ChangeReply{Status: wire.ChangeRefused, Index: o.Index, Code: "invalid", Reason: o.Refused}
	}
	return wire.ChangeReply{Status: wire.ChangeApplied, Index: o.Index}
}
