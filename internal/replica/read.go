package replica

import (
	"encoding/binary"
	"slices"

	"go.etcd.io/raft/v3"
)

// reads are the linearizable reads on their way (Raft thesis §6.4): they wait,
// go to the leader as one batch, get its commit index, and are released once
// that is applied here. One batch is out at a time.
type reads struct {
	next      uint64   // number of the next question to the leader
	waiting   []uint64 // tokens
	batch     []uint64 // tokens of the batch that is out
	first     uint64   // the batch's first question: any answer from it on will do
	asked     uint64   // tick of the last question
	reissue   bool     // the leader changed: ask again
	confirmed []confirmed
}

type confirmed struct {
	index  uint64
	tokens []uint64
}

// Read asks for a linearizable read. The token comes back in Effects.Reads.
func (r *Replica) Read(token uint64) { r.reads.waiting = append(r.reads.waiting, token) }

// WithdrawRead forgets a read whose caller has gone.
func (r *Replica) WithdrawRead(token uint64) {
	q := &r.reads
	if i := slices.Index(q.batch, token); i >= 0 {
		q.batch = takeOut(q.batch, i)
	} else if i := slices.Index(q.waiting, token); i >= 0 {
		q.waiting = takeOut(q.waiting, i)
	}
}

// issueReads sends the next question, when there is one and somebody to ask.
func (r *Replica) issueReads() {
	q := &r.reads
	if len(q.batch) == 0 {
		if len(q.waiting) == 0 {
			return
		}
		if !r.mayAsk() {
			return
		}
		q.batch, q.waiting = q.waiting, nil
		q.first = q.next
	} else if !q.reissue || !r.mayAsk() {
		return
	}
	q.reissue = false
	q.asked = r.tick
	r.raft.ReadIndex(binary.BigEndian.AppendUint64(nil, q.next))
	q.next++
}

// mayAsk says that a question has a chance: a leader answers only once it has
// committed in its term, for its commit index may be behind until then. (Raft
// itself checks that, except for a cluster of one.)
func (r *Replica) mayAsk() bool {
	if r.termStart > 0 {
		return r.leads()
	}
	return r.basic.Lead != raft.None && r.basic.Lead != uint64(r.cfg.Self.ID)
}

// retryReads asks again when no answer came: questions to a leader may be lost.
func (r *Replica) retryReads() {
	if q := &r.reads; len(q.batch) > 0 && r.tick-q.asked >= uint64(2*r.cfg.HeartbeatTicks) {
		q.reissue = true
	}
}

func (r *Replica) readState(s raft.ReadState) {
	q := &r.reads
	if len(s.RequestCtx) != 8 || len(q.batch) == 0 || binary.BigEndian.Uint64(s.RequestCtx) < q.first {
		return // the answer to an older batch, which had another already
	}
	q.confirmed = append(q.confirmed, confirmed{s.Index, q.batch})
	q.batch = nil
}

func (r *Replica) releaseReads() {
	q := &r.reads
	kept := q.confirmed[:0]
	for _, c := range q.confirmed {
		if c.index > r.applied {
			kept = append(kept, c)
			continue
		}
		for _, t := range c.tokens {
			r.out.Reads = append(r.out.Reads, ReadDone{Token: t, Index: r.applied})
		}
	}
	clear(q.confirmed[len(kept):])
	q.confirmed = kept
}
