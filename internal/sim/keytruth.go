package sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster/internal/history"
	"github.com/musterhq/muster/kv"
)

// keyTruth is what a keyspace must be like: a plain store of etcd's shape, as the
// log makes it, and what was promised of leases. It shares no code with package kv.
type keyTruth struct {
	w         *World
	now       *history.Etcd
	events    []history.Event   // of all revisions, in order
	own       []history.Request // that came of no client
	term, seq uint64            // of the leader that took the leases over last, and of its last note
	noted     map[int64]int64   // seconds that leases were noted to have left
	ended     map[int64]instant // leases whose time was said to be over, and when
	until     map[int64]instant // as clients were told that leases last
	revoked   map[int64]bool    // leases whose clients were told that they are
}

func newKeyTruth(w *World) keyTruth {
	return keyTruth{w: w, now: history.NewEtcd(), noted: map[int64]int64{}, ended: map[int64]instant{}, until: map[int64]instant{}, revoked: map[int64]bool{}}
}

// The first byte of kv's commands; they are on disk, and never change.
const (
	opPut = 1 + iota
	opDeleteRange
	opTxn
	opCompaction
	opLeaseGrant
	opLeaseRevoke
	opLeaseCheckpoint
)

// commit carries out the next command of the log, and returns the answer.
func (t *keyTruth) commit(index uint64, b []byte) (op int, answer string) {
	op, cmd := readCommand(b)
	if cmd[0] == opLeaseCheckpoint {
		return op, t.note(cmd[1:])
	}
	r, term := decode(cmd)
	if r == nil {
		t.w.fail("entry %d: %x is no command", index, cmd)
		return op, ""
	}
	if revoke, ok := r.(*pb.LeaseRevokeRequest); ok && term != 0 {
		if term != t.term {
			t.w.sometimes(expiryTooLate)
			return op, history.Answer(nil, kv.ErrLeaseTerm)
		}
		t.over(revoke.GetID())
		answer = t.do(r)
		t.own = append(t.own, history.Request{ID: -int(index), Client: -1, What: r, Call: t.w.stamp(), Return: t.w.stamp(), Fate: history.Happened, Answer: answer})
		return op, answer
	}
	return op, t.do(r)
}

func (t *keyTruth) do(r proto.Message) string {
	next, answer := t.now.Do(r)
	if next.Rev != t.now.Rev {
		t.events = append(t.events, next.Events()...)
	}
	maps.DeleteFunc(t.noted, func(id, _ int64) bool { return next.TTL(id) == 0 })
	t.now = next
	return answer
}

// decode reads a command, and in whose name it is: the leader's of a term, or 0.
func decode(cmd []byte) (r proto.Message, term uint64) {
	body := cmd[1:]
	switch cmd[0] {
	case opPut:
		r = &pb.PutRequest{}
	case opDeleteRange:
		r = &pb.DeleteRangeRequest{}
	case opTxn:
		r = &pb.TxnRequest{}
	case opCompaction:
		r = &pb.CompactionRequest{}
	case opLeaseGrant:
		r = &pb.LeaseGrantRequest{}
	case opLeaseRevoke:
		r = &pb.LeaseRevokeRequest{}
		term, body = binary.BigEndian.Uint64(body), body[8:]
	default:
		return nil, 0
	}
	if proto.Unmarshal(body, r) != nil {
		return nil, 0
	}
	return r, term
}

// note is what a leader says that leases have left.
func (t *keyTruth) note(body []byte) string {
	term, seq := binary.BigEndian.Uint64(body), binary.BigEndian.Uint64(body[8:])
	var r pb.LeaseCheckpointRequest
	if err := proto.Unmarshal(body[16:], &r); err != nil {
		t.w.fail("a note of leases: %v", err)
	}
	if term < t.term || term == t.term && seq <= t.seq {
		return history.Answer(nil, kv.ErrLeaseTerm)
	}
	if term > t.term {
		t.w.sometimes(leasesTakenOver)
	}
	t.term, t.seq = term, seq
	for _, c := range r.GetCheckpoints() {
		if t.now.TTL(c.GetID()) == 0 {
			continue
		}
		if delete(t.noted, c.GetID()); c.GetRemaining_TTL() > 0 {
			t.noted[c.GetID()] = c.GetRemaining_TTL()
			t.w.sometimes(leaseNoted)
		}
	}
	return fmt.Sprintf("@%d noted", t.now.Rev)
}

// over: a lease ends by itself when its time is over, and not before.
func (t *keyTruth) over(id int64) {
	if t.now.TTL(id) == 0 {
		return
	}
	t.w.sometimes(leaseEnded)
	t.ended[id] = t.w.now
	t.inTime(id)
}

// promised: the client was told that the lease lasts for all of its time from when it asked.
func (t *keyTruth) promised(id int64, asked instant, ttl int64) {
	t.until[id] = max(t.until[id], asked+instant(float64(ttl)*float64(second)*(1-drift)))
	t.inTime(id)
}

func (t *keyTruth) inTime(id int64) {
	if at, gone := t.ended[id]; gone && at < t.until[id] {
		t.w.fail("lease %x ended at %d ms, but its client was told that it lasts until %d ms", id, at/millisecond, t.until[id]/millisecond)
	}
}

// wasRead: what a member says of a revision is what was so then. A read that is
// linearizable is of a revision no older than when it was asked for.
func (t *keyTruth) wasRead(a *attempt, r *pb.RangeRequest, resp *pb.RangeResponse, err error) {
	rev, at := resp.GetHeader().GetRevision(), r.GetRevision()
	switch {
	case errors.Is(err, kv.ErrCompacted) && at > 0 && at < t.now.Compacted, errors.Is(err, kv.ErrFutureRev) && at > a.since:
		return
	case err != nil:
		t.w.fail("%s: read %v: %v", a.p, r, err)
	case rev < a.since:
		t.w.fail("%s: %s is of revision %d, but %d was committed before it was asked for", a.p, a.answer, rev, a.since)
	case a.answer != t.now.Read(r, rev):
		t.w.fail("%s: read %v: %s, want %s", a.p, r, a.answer, t.now.Read(r, rev))
	case at > 0 && at < rev:
		t.w.sometimes(pastRead)
	}
}
