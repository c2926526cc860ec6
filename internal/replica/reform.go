package replica

import (
	"fmt"
	"slices"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/wire"
)

// ReformEntry is the entry that re-forms a cluster around one of its members.
// It is written to the end of that member's log while it is stopped, as
// committed. What stands before it is applied before it, whoever the voters
// were then; that none of them is asked is what re-forming means.
//
// It is a configuration change so that raft campaigns only after it is applied.
func ReformEntry(only cluster.Member, generation, index, term uint64) *raftpb.Entry {
	c := wire.Change{
		Request: fmt.Sprintf("reform-%s-%d", only.ID, generation), Generation: generation,
		Steps: []wire.Step{{Op: wire.OpReform, Member: only}}, Why: "the majority was lost for good",
	}
	typ, data, err := raftpb.MarshalConfChange(&raftpb.ConfChangeV2{
		Transition: raftpb.ConfChangeTransitionJointExplicit.Enum(),
		Changes:    []*raftpb.ConfChangeSingle{confSingle(raftpb.ConfChangeAddNode, uint64(only.ID))},
		Context:    wire.EncodeChange(c),
	})
	if err != nil {
		panic(fmt.Sprintf("replica: encode change: %v", err)) // plain data: cannot fail
	}
	return &raftpb.Entry{Index: new(index), Term: new(term), Type: typ.Enum(), Data: data}
}

func confSingle(typ raftpb.ConfChangeType, id uint64) *raftpb.ConfChangeSingle {
	return &raftpb.ConfChangeSingle{Type: typ.Enum(), NodeId: new(id)}
}

// reform applies that entry. Raft goes through a joint configuration, and
// leaves the one that it may be in, without asking those in it.
func (r *Replica) reform(index uint64, c wire.Change) {
	only := c.Steps[0].Member
	leave := &raftpb.ConfChangeV2{}
	if r.joint() {
		r.conf = r.raft.ApplyConfChange(leave)
	}
	enter := &raftpb.ConfChangeV2{
		Transition: raftpb.ConfChangeTransitionJointExplicit.Enum(),
		Changes:    []*raftpb.ConfChangeSingle{confSingle(raftpb.ConfChangeAddNode, uint64(only.ID))},
	}
	for _, id := range slices.Concat(r.conf.GetVoters(), r.conf.GetLearners()) {
		if id != uint64(only.ID) {
			enter.Changes = append(enter.Changes, confSingle(raftpb.ConfChangeRemoveNode, id))
		}
	}
	r.raft.ApplyConfChange(enter)
	r.conf = r.raft.ApplyConfChange(leave)
	r.storage.conf = index
	lost := len(r.membership.Members) - 1
	r.membership.Reform(only, c.Generation, index)
	r.membership.Record(cluster.Outcome{Request: c.Request, Index: index})
	r.out.Members = true
	r.event(event.Reformed{Generation: c.Generation, Index: index, Name: only.Name, Lost: lost})
	r.settle(index)
}

// Replayed is what a whole log makes of the membership.
type Replayed struct {
	Membership cluster.Membership
	Joint      bool               // it ends in a joint configuration
	Removed    *cluster.Tombstone // it holds the removal of the member whose log it is
}

// Replay applies a stopped member's log to its end, committed or not, to learn
// of the membership alone. It writes nothing.
func Replay(self cluster.Member, log Log, newest *raftpb.Snapshot) (out Replayed, err error) {
	r, err := New(Config{Self: self, HeartbeatTicks: 1, ElectionTicks: 10, FirstSeq: 1, Logger: Silent{}}, whole{log}, newest)
	if err != nil {
		return out, err
	}
	defer func() { // raft panics where it can't read what is committed
		if p := recover(); p != nil {
			if err = r.Broken(); err == nil {
				panic(p)
			}
		}
	}()
	for {
		eff := r.Effects()
		for _, a := range eff.Append {
			if err := r.Appended(a); err != nil {
				return out, err
			}
		}
		for _, a := range eff.Apply {
			if err := r.Applied(a); err != nil {
				return out, err
			}
		}
		if eff.Removed != nil {
			out.Removed = eff.Removed
		}
		if len(eff.Append) == 0 && len(eff.Apply) == 0 {
			break
		}
	}
	out.Membership, out.Joint = r.Membership(), r.joint()
	return out, nil
}

// whole is a log all of which is committed.
type whole struct{ Log }

func (w whole) HardState() *raftpb.HardState {
	last := w.LastIndex()
	hs := &raftpb.HardState{Commit: new(last)}
	if have := w.Log.HardState(); have != nil {
		hs = proto.CloneOf(have)
		hs.Commit = new(last)
	}
	if term, err := w.Term(last); err == nil && term > hs.GetTerm() {
		hs.Term = new(term)
	}
	return hs
}
