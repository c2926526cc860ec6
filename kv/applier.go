package kv

import (
	"errors"
	"fmt"
	"math"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster/kv/internal/mvcc"
	"github.com/musterhq/muster/statemachine"
)

// applier carries out commands, one Apply call at a time. It belongs to the
// goroutine that drives the machine.
type applier struct {
	view        // the whole store
	disk   view // its tables on disk alone
	pend   pending
	facts  facts
	recent recent
	known  *known
	hub    *hub // nil: there are no watches
	counts *counts
	limits pieceLimits
	enc    encoder

	committed func(time.Duration) // Options.OnCommit

	gen      *generation // of the current Apply call
	begin    int64       // revision before the current command
	first    int         // len(pend.changes) before the current command
	subs     int         // changes of the current command, with those of pieces
	pieces   int         // that the current Apply call has written
	detached int         // keys that the current Apply call has removed from leases
}

// attach makes g's database the applier's, and reads what is kept of it in
// memory. Nothing may have been applied to it since it was opened.
func (a *applier) attach(g *generation) error {
	a.view = view{db: g.db, own: &a.pend}
	a.disk = view{db: g.db, onDisk: true}
	a.recent = newRecent(g.state.Load().applied)
	return errors.Join(a.loadAlarms(g), a.loadLeases(g), a.loadAuth(g))
}

// start makes ready for the commands of one Apply call.
func (a *applier) start(g *generation) error {
	st := g.state.Load()
	a.rev, a.begin, a.compacted = st.current, st.current, st.compacted
	a.gen, a.first, a.pieces, a.detached, a.recent.taken = g, 0, 0, 0, 0
	if !g.flushed.Swap(false) {
		return nil
	}
	d, err := g.durable()
	if err != nil {
		return err
	}
	a.recent.flushed(d.applied, st.applied)
	return nil
}

// finish forgets the commands, whose bytes are the caller's again.
func (a *applier) finish() error {
	a.pend.reset()
	a.facts.reset()
	a.known.leases.touched = nil
	return errors.Join(a.close(), a.disk.close())
}

// run carries out one command. The reply is set only if it is wanted. An
// error means that this member can't go on.
func (a *applier) run(e statemachine.Entry) (Reply, error) {
	a.first, a.subs = len(a.pend.changes), 0
	reply, err := a.obey(e)
	if err != nil {
		return Reply{}, err
	}
	if reply.Err != nil {
		if a.subs > len(a.pend.changes)-a.first {
			return Reply{}, fmt.Errorf("log entry %d is refused (%w) when a piece of it is written", e.Index, reply.Err)
		}
		a.subs = 0
		a.pend.rollback(a.first)
		a.facts.rollback()
	}
	a.facts.keep()
	if a.subs > 0 {
		a.begin++
	}
	a.rev = a.begin
	return reply, a.relieve()
}

// dispatch carries out a command that nothing speaks against.
func (a *applier) dispatch(e statemachine.Entry) (Reply, error) {
	if len(e.Command) == 0 {
		return Reply{Err: ErrBadCommand}, nil
	}
	op, body := e.Command[0], e.Command[1:]
	switch op {
	case opPut:
		p, ok := decodePut(body)
		if !ok {
			return Reply{Err: ErrBadCommand}, nil
		}
		return a.runPut(p, e.Wanted)
	case opDeleteRange:
		var r pb.DeleteRangeRequest
		if proto.Unmarshal(body, &r) != nil {
			return Reply{Err: ErrBadCommand}, nil
		}
		return a.runDelete(&r, e.Wanted)
	case opTxn:
		var r pb.TxnRequest
		if proto.Unmarshal(body, &r) != nil {
			return Reply{Err: ErrBadCommand}, nil
		}
		return a.runTxn(&r, e.Wanted)
	case opCompaction:
		var r pb.CompactionRequest
		if proto.Unmarshal(body, &r) != nil {
			return Reply{Err: ErrBadCommand}, nil
		}
		return a.compact(&r, e.Wanted)
	case opLeaseGrant, opLeaseRevoke, opLeaseCheckpoint:
		return a.runLease(op, body, e.Wanted)
	case opAlarm:
		var r pb.AlarmRequest
		if proto.Unmarshal(body, &r) != nil {
			return Reply{Err: ErrBadCommand}, nil
		}
		return a.runAlarm(&r, e.Wanted)
	case opAuth:
		return a.runAuth(e)
	}
	return Reply{}, unknownCommand(e)
}

// replyOf turns a response that may be nil into a Reply.
func replyOf[R any, P interface {
	*R
	proto.Message
}](resp P, err error) (Reply, error) {
	if resp == nil || err != nil {
		return Reply{}, err
	}
	return Reply{Response: resp}, nil
}

// putReply keeps what a put answers in one piece of memory.
type putReply struct {
	resp   pb.PutResponse
	header pb.ResponseHeader
}

func (a *applier) runPut(p put, wanted bool) (Reply, error) {
	if refusal, err := a.refusesLease(p.lease); refusal != nil || err != nil {
		return Reply{Err: refusal}, err
	}
	resp, found, err := a.put(p, wanted)
	if err != nil {
		return Reply{}, err
	}
	if !found {
		return Reply{Err: ErrKeyNotFound}, nil
	}
	return replyOf(resp, nil)
}

// put writes one version. found is false when it refers to a previous one and
// there is none; nothing is then written.
func (a *applier) put(p put, wanted bool) (resp *pb.PutResponse, found bool, err error) {
	refers := p.ignoreValue || p.ignoreLease
	prev, exists, err := a.latest(p.key, refers || p.prevKV && wanted)
	if err != nil {
		return nil, false, err
	}
	if refers && !exists {
		return nil, false, nil
	}
	value, lease := p.value, p.lease
	if p.ignoreValue {
		value = a.pend.arena.clone(prev.value)
		a.pend.grown += len(value)
	}
	if p.ignoreLease {
		lease = prev.meta.Lease
	}
	if wanted {
		r := &putReply{}
		r.header.Revision = a.begin + 1
		r.resp.Header = &r.header
		if p.prevKV && exists {
			r.resp.PrevKv = prev.kv()
		}
		resp = &r.resp
	}
	m := mvcc.Meta{Create: a.begin + 1, Version: 1, Lease: lease}
	if exists {
		m.Create, m.Version = prev.meta.Create, prev.meta.Version+1
	}
	a.moveAttachment(p.key, prev.meta.Lease, lease)
	a.counts.puts.Add(1)
	return resp, true, a.write(p.key, value, m)
}

// latest is the newest version of key. Without whole only its meta is set.
func (a *applier) latest(key []byte, whole bool) (item, bool, error) {
	if whole {
		return a.get(key, math.MaxInt64)
	}
	if c := a.pend.at(key, math.MaxInt64); c != nil {
		return item{meta: c.meta}, c.meta.Version > 0, nil
	}
	if a.recent.stale { // a piece was more than it takes
		return a.get(key, math.MaxInt64)
	}
	if m, ok := a.recent.get(key); ok {
		return item{meta: m}, m.Version > 0, nil
	}
	return a.disk.get(key, math.MaxInt64)
}

// write adds a version of key to the current command. key and value must stay
// as they are until finish.
func (a *applier) write(key, value []byte, m mvcc.Meta) error {
	if int64(a.subs) >= math.MaxUint32 {
		return fmt.Errorf("revision %d: more than %d changes in one command", a.begin+1, uint32(math.MaxUint32))
	}
	a.pend.add(change{key: key, value: value, rev: mvcc.Revision{Main: a.begin + 1, Sub: uint32(a.subs)}, meta: m})
	a.subs++
	a.rev = a.begin + 1
	return nil
}

// compact moves the mark below which history may not be read. Nothing is
// deleted here.
func (a *applier) compact(r *pb.CompactionRequest, wanted bool) (Reply, error) {
	switch rev := r.GetRevision(); {
	case rev <= a.compacted:
		return Reply{Err: ErrCompacted}, nil
	case rev > a.begin:
		return Reply{Err: ErrFutureRev}, nil
	default:
		a.compacted = rev
	}
	if !wanted {
		return Reply{}, nil
	}
	return Reply{Response: &pb.CompactionResponse{Header: &pb.ResponseHeader{Revision: a.begin}}}, nil
}
