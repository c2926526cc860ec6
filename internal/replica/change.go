package replica

import (
	"fmt"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/roster"
	"github.com/musterhq/muster/internal/wire"
)

// changes are the membership changes that wait for the leader, which this
// member is, and the one that is in the log and not applied yet.
type changes struct {
	queue    []change
	inflight *change
	index    uint64 // of the one in flight
	serial   uint64 // numbers the leader's own changes
}

type change struct {
	tokens []uint64
	c      wire.Change
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
	if len(q.queue) >= maxChanges {
		r.answer(token, wire.ChangeReply{Status: wire.ChangePending, Code: "queue_full", Reason: "too many membership changes wait"})
		return
	}
	q.queue = append(q.queue, change{[]uint64{token}, c})
}

// Forget drops a token whose caller has gone; the change itself goes on.
func (r *Replica) Forget(token uint64) {
	drop := func(c *change) { c.tokens = without(c.tokens, token) }
	if r.changes.inflight != nil {
		drop(r.changes.inflight)
	}
	for i := range r.changes.queue {
		drop(&r.changes.queue[i])
	}
}

// proposeChange puts the next change into the log, when none is on its way and
// the configuration isn't joint.
func (r *Replica) proposeChange() {
	q := &r.changes
	for len(q.queue) > 0 && q.inflight == nil && r.applied >= r.termStart && !r.joint() {
		next := q.queue[0]
		q.queue = q.queue[1:]
		c, reply := r.complete(next.c)
		if reply != nil {
			r.answerAll(next, *reply)
			continue
		}
		next.c = c
		if err := r.raft.Step(r.changeMessage(c)); err != nil {
			// Too much is uncommitted, or leadership moves: later.
			q.queue = append([]change{next}, q.queue...)
			return
		}
		r.last++
		q.inflight, q.index = &next, r.last
	}
}

// complete checks a change against the applied state and, for a removal, adds
// the promotion or demotion that goes with it. A reply means that nothing is
// to be proposed.
func (r *Replica) complete(c wire.Change) (wire.Change, *wire.ChangeReply) {
	if o, ok := r.membership.Outcome(c.Request); ok {
		reply := outcomeReply(o)
		return c, &reply
	}
	if len(c.Steps) == 1 {
		switch s := c.Steps[0]; s.Op {
		case wire.OpAdd:
			if have, ok := r.membership.Member(s.Member.ID); ok && have.Incarnation == s.Member.Incarnation {
				return c, &wire.ChangeReply{Status: wire.ChangeApplied, Index: r.applied}
			}
		case wire.OpRemove:
			plan, why := roster.PlanRemove(r.seen(), r.cfg.Policy, s.Member.ID)
			if why != nil {
				return c, &wire.ChangeReply{Status: wire.ChangeRefused, Index: r.applied, Code: why.Code, Reason: why.Text}
			}
			c.Steps = steps(plan)
		}
	}
	if why := check(&r.membership, c); why != "" {
		return c, &wire.ChangeReply{Status: wire.ChangeRefused, Index: r.applied, Code: "invalid", Reason: why}
	}
	return c, nil
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
		out = append(out, &raftpb.ConfChangeSingle{Type: typ.Enum(), NodeId: new(uint64(s.Member.ID))})
	}
	return out
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
