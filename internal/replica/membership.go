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

// applyEntry carries out what of an entry concerns the membership. It is the
// same on every member: a function of the log.
func (r *Replica) applyEntry(e *raftpb.Entry) error {
	switch e.GetType() {
	case raftpb.EntryConfChangeV2:
		return r.applyConf(e)
	case raftpb.EntryNormal:
		if d := e.GetData(); len(d) > 0 && wire.EntryKind(d[0]) == wire.EntryUpdate {
			c, err := wire.DecodeUpdate(d)
			if err != nil {
				return fmt.Errorf("entry %d: %w", e.GetIndex(), err)
			}
			r.decide(e.GetIndex(), c)
		}
	default:
		return fmt.Errorf("entry %d: unexpected type %v", e.GetIndex(), e.GetType())
	}
	r.settle(e.GetIndex())
	return nil
}

func (r *Replica) applyConf(e *raftpb.Entry) error {
	cc := &raftpb.ConfChangeV2{}
	if err := proto.Unmarshal(e.GetData(), cc); err != nil {
		return fmt.Errorf("entry %d: configuration change: %w", e.GetIndex(), err)
	}
	if !cc.LeaveJoint() {
		c, err := wire.DecodeChange(cc.GetContext())
		if err != nil {
			return fmt.Errorf("entry %d: %w", e.GetIndex(), err)
		}
		if len(c.Steps) == 1 && c.Steps[0].Op == wire.OpReform {
			r.reform(e.GetIndex(), c)
			return nil
		}
		if !r.decide(e.GetIndex(), c) {
			r.settle(e.GetIndex())
			return nil // refused or a repetition: raft must not hear of it either
		}
	}
	r.conf = r.raft.ApplyConfChange(cc)
	r.storage.conf = e.GetIndex()
	r.leave()
	r.settle(e.GetIndex())
	return nil
}

// decide applies a change to the membership, or records why not, and says
// whether it was applied.
func (r *Replica) decide(index uint64, c wire.Change) bool {
	m := &r.membership
	if _, ok := m.Outcome(c.Request); ok {
		return false
	}
	if why := check(m, c); why != "" {
		m.Record(cluster.Outcome{Request: c.Request, Index: index, Refused: why})
		return false
	}
	for _, s := range c.Steps {
		r.applyStep(index, s)
	}
	if len(c.Policy) > 0 {
		m.Policy, _ = m.Policy.Edited(c.Policy) // check has seen to it
		r.tell(index, event.PolicyChanged{Settings: c.Policy, Why: c.Why, Index: index})
	}
	m.Record(cluster.Outcome{Request: c.Request, Index: index})
	r.out.Members = true
	return true
}

func (r *Replica) applyStep(index uint64, s wire.Step) {
	m := &r.membership
	have, _ := m.Member(s.Member.ID)
	switch s.Op {
	case wire.OpAdd:
		s.Member = m.Admit(s.Member)
		if r.termStart > 0 {
			r.peers.added[s.Member.ID] = r.tick
		}
		r.tell(index, event.MemberAdded{Member: s.Member, Namesake: r.namesake(s.Member), Index: index})
	case wire.OpPromote:
		have.Role = cluster.Voter
		if have.Wanted == cluster.Learner {
			have.Wanted = cluster.Voter // somebody asked for it by name
		}
		m.Put(have)
		r.tell(index, event.Promoted{ID: have.ID, Name: have.Name, Namesake: r.namesake(have), Index: index})
	case wire.OpDemote:
		have.Role = cluster.Learner
		m.Put(have)
		r.tell(index, event.Demoted{ID: have.ID, Name: have.Name, Namesake: r.namesake(have), Index: index})
	case wire.OpRemove:
		m.Remove(have.ID, index)
		for _, o := range m.Members {
			if o.Replaces == have.ID {
				o.Replaces = 0
				m.Put(o)
			}
		}
		r.tell(index, event.MemberRemoved{ID: have.ID, Name: have.Name, Namesake: r.namesake(have), Index: index})
	case wire.OpUpdate:
		m.Put(have.Renewed(s.Member))
	default:
		r.applyAnnounced(index, s)
	}
}

// tell says what an entry has done, once: what was committed when this member
// started, it told before.
func (r *Replica) tell(index uint64, e event.Event) {
	if index > r.told {
		r.event(e)
	}
}

// namesake says whether another member has the name of mem, as long as one of
// them comes in place of the other.
func (r *Replica) namesake(mem cluster.Member) bool {
	return slices.ContainsFunc(r.membership.Members, func(o cluster.Member) bool { return o.Name == mem.Name && o.ID != mem.ID })
}

// check says why a change can't be applied to m, or "". It is a function of
// the membership alone, the same when proposing and when applying.
func check(m *cluster.Membership, c wire.Change) string {
	switch {
	case len(c.Steps) == 0 && len(c.Policy) == 0, len(c.Steps) > 0 && len(c.Policy) > 0:
		return "a change has either steps or settings of the policy"
	case len(c.Policy) > 0:
		if _, err := m.Policy.Edited(c.Policy); err != nil {
			return err.Error()
		}
		return ""
	}
	for i, s := range c.Steps {
		for _, o := range c.Steps[:i] {
			if o.Member.ID == s.Member.ID {
				return fmt.Sprintf("two steps for member %s", s.Member.ID)
			}
		}
		if why := checkStep(m, s); why != "" {
			return why
		}
		if why := nameTaken(m, c, s); why != "" {
			return why
		}
	}
	if !leavesVoter(m, c) {
		return "no voter would be left: the last voter can't go"
	}
	return ""
}

// leavesVoter says whether anybody votes after the change.
func leavesVoter(m *cluster.Membership, c wire.Change) bool {
	voters := len(m.Voters())
	for _, s := range c.Steps {
		have, _ := m.Member(s.Member.ID)
		switch {
		case s.Op == wire.OpPromote:
			voters++
		case have.Role == cluster.Voter && (s.Op == wire.OpDemote || s.Op == wire.OpRemove):
			voters--
		}
	}
	return voters > 0
}

func checkStep(m *cluster.Membership, s wire.Step) string {
	id := s.Member.ID
	if aboutAnnounced(s.Op) {
		_, why := checkAnnounced(m, s)
		return why
	}
	if t, ok := m.Tombstone(id); ok {
		return fmt.Sprintf("member %s (%s) was removed at index %d: an identity is never used again", id, t.Name, t.Index)
	}
	have, ok := m.Member(id)
	if s.Op != wire.OpAdd && !ok {
		return fmt.Sprintf("no member has the ID %s", id)
	}
	switch s.Op {
	case wire.OpAdd:
		if ok {
			return fmt.Sprintf("member %s is there already", id)
		}
	case wire.OpPromote:
		if have.Role != cluster.Learner {
			return fmt.Sprintf("member %s (%s) is no learner", id, have.Name)
		}
	case wire.OpDemote:
		if have.Role != cluster.Voter {
			return fmt.Sprintf("member %s (%s) is no voter", id, have.Name)
		}
	case wire.OpUpdate, wire.OpRemove:
	default:
		return fmt.Sprintf("unknown step %q", s.Op)
	}
	return ""
}

// nameTaken says whose the name is that a step gives, unless that one goes in
// the same change, or one of the two comes in place of the other.
func nameTaken(m *cluster.Membership, c wire.Change, s wire.Step) string {
	if s.Op != wire.OpAdd && s.Op != wire.OpUpdate {
		return ""
	}
	mem := s.Member
	if have, ok := m.Member(mem.ID); ok {
		mem.Replaces = have.Replaces
	}
	for _, o := range m.Members {
		goes := slices.ContainsFunc(c.Steps, func(s wire.Step) bool { return s.Op == wire.OpRemove && s.Member.ID == o.ID })
		if o.ID != mem.ID && o.Name == mem.Name && !goes && o.ID != mem.Replaces && o.Replaces != mem.ID {
			return fmt.Sprintf("the name %q belongs to member %s at %s, which may still answer: choose another name, or stop that one", mem.Name, o.ID, o.PeerAddr)
		}
	}
	return ""
}

// leave notices who has left the configuration: a removed voter counts until
// the joint configuration is left.
func (r *Replica) leave() {
	in := func(id cluster.NodeID) bool {
		u := uint64(id)
		return slices.Contains(r.conf.GetVoters(), u) || slices.Contains(r.conf.GetVotersOutgoing(), u) || slices.Contains(r.conf.GetLearners(), u)
	}
	var kept []cluster.Member
	for _, m := range r.membership.Leaving {
		if in(m.ID) {
			kept = append(kept, m)
			continue
		}
		r.out.Members = true
		if t, ok := r.membership.Tombstone(m.ID); ok && m.ID == r.cfg.Self.ID {
			r.out.Removed = &t
		}
	}
	r.membership.Leaving = kept
}

// settle answers the change that was in flight at index.
func (r *Replica) settle(index uint64) {
	q := &r.changes
	if q.inflight == nil || index < q.index {
		return
	}
	done := *q.inflight
	q.inflight = nil
	if o, ok := r.membership.Outcome(done.c.Request); ok {
		r.answerAll(done, outcomeReply(o))
		return
	}
	// Raft took an empty entry in its place, which it does when it finds that
	// another change is pending: it did not happen, and may be tried again.
	q.queue = append([]change{done}, q.queue...)
}

// Membership is who is in the cluster as of the applied index. A copy.
func (r *Replica) Membership() cluster.Membership { return r.membership.Clone() }
