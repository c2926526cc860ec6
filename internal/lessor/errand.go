package lessor

import (
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/musterhq/muster/kv"
)

// Errand is one request to renew leases at the member that leads, step by step.
// It decides, and whoever moves it brings what it asks for: a [Keeper] by
// waiting, a simulated member as its world goes on.
type Errand struct {
	l     *Lessor
	known func(id int64) bool // whether the store has the lease
	term  uint64
	ids   []int64

	asked  bool // for a quorum, unless it is done at once
	atOnce bool
	began  moment // before the quorum was asked
	reset  *pb.LeaseCheckpointRequest
	seq    uint64
	out    []Renewal
}

// Step is what an errand asks for.
type Step int

const (
	Confirm Step = iota // that a quorum confirms the leadership, from now on, and that what was committed before is applied
	Propose             // that a command is carried out
	Done                // nothing: Renewals has what came of it
)

// Standing is where a member stands, as it sees that itself.
type Standing struct {
	Term    uint64
	Leads   bool
	Settled bool // all that it knows to be committed is applied
}

// Errand begins one, for the leader of term. Without leases it is about nothing but
// the confirmation, which others then need not wait for.
func (l *Lessor) Errand(term uint64, ids []int64, known func(id int64) bool) *Errand {
	return &Errand{l: l, known: known, term: term, ids: ids}
}

// Next says what is to be brought before Next is called again. What can't be
// brought ends the errand, and so does an error: the member does not lead in that
// term any more, as its caller sees it.
func (e *Errand) Next(now Standing) (s Step, cmd []byte, err error) {
	if !now.Leads || now.Term != e.term {
		return Done, nil, errNotHere
	}
	if !e.asked {
		e.asked = true
		if e.out = e.tryAtOnce(now.Settled); e.out != nil {
			e.atOnce = true
			return Done, nil, nil
		}
		e.began = e.l.moment()
		return Confirm, nil, nil
	}
	e.l.confirmed(e.term, e.began)
	if e.reset != nil {
		e.l.Undone(e.reset, e.seq)
	}
	var ok bool
	if e.out, e.reset, e.seq, ok = e.l.Renew(e.term, e.ids); !ok {
		e.out = notTakenOver(e.ids, e.known)
		return Done, nil, nil
	}
	if e.reset == nil {
		return Done, nil, nil
	}
	cmd, err = kv.EncodeLeaseCheckpoint(e.term, e.seq, e.reset)
	return Propose, cmd, err
}

func (e *Errand) tryAtOnce(settled bool) []Renewal {
	if !settled || len(e.ids) == 0 {
		return nil
	}
	return e.l.atOnce(e.term, e.ids)
}

// AtOnce says that it was done without asking anybody.
func (e *Errand) AtOnce() bool { return e.atOnce }

// Renewals is what came of an errand that is done, one for each lease, same order.
func (e *Errand) Renewals() []Renewal { return e.out }

// notTakenOver is the answer of a leader that is not in charge of leases yet: it
// knows which there are, and not how long they have.
func notTakenOver(ids []int64, known func(id int64) bool) []Renewal {
	out := make([]Renewal, len(ids))
	for i, id := range ids {
		if !known(id) {
			out[i].Verdict = Unknown
		}
	}
	return out
}
