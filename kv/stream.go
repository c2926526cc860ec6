package kv

import (
	"bytes"
	"context"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

// RangeStream answers as [Store.Range] does, at one revision, in parts of
// about chunk bytes, and more where one key has a larger value. As in etcd 3.7,
// only the last part has a header, the count and whether there is more; an
// empty answer is one part.
//
// A part is read once send has returned from the one before, so that memory is
// bounded by a part, and a slow receiver holds up nothing, a purge included. A
// range in another order than that of keys is the exception: it is gathered
// first.
//
// The parts are the receiver's to keep. An error of send ends it, and is returned.
func (s *Store) RangeStream(ctx context.Context, r *pb.RangeRequest, chunk int, send func(*pb.RangeResponse) error) error {
	chunk = max(chunk, 1)
	sp := spanOf(r.GetKey(), r.GetRangeEnd())
	ordered := inKeyOrder(r.GetSortTarget(), r.GetSortOrder()) && r.GetSortTarget() == pb.RangeRequest_KEY
	empty := !sp.open && bytes.Compare(sp.from, sp.to) >= 0
	if sp.single || empty || !ordered || r.GetCountOnly() {
		resp, err := s.Range(ctx, r)
		if err != nil {
			return err
		}
		return sendParts(resp, chunk, send)
	}
	st := stream{s: s, ctx: ctx, req: r, chunk: chunk, send: send}
	s.counts.ranges.Add(1)
	if err := st.open(sp); err != nil {
		return err
	}
	err := st.run()
	if cerr := st.close(); err == nil {
		err = cerr
	}
	return err
}

// sendParts cuts an answer into parts.
func sendParts(resp *pb.RangeResponse, chunk int, send func(*pb.RangeResponse) error) error {
	rest := resp.Kvs
	for {
		n, size := 0, 0
		for n < len(rest) && size < chunk {
			size += proto.Size(rest[n])
			n++
		}
		part := &pb.RangeResponse{Kvs: rest[:n:n]}
		if rest = rest[n:]; len(rest) == 0 {
			part.Header, part.More, part.Count = resp.Header, resp.More, resp.Count
		}
		if err := send(part); err != nil || len(rest) == 0 {
			return err
		}
	}
}

// stream is one range under way.
type stream struct {
	s     *Store
	ctx   context.Context
	req   *pb.RangeRequest
	chunk int // bytes
	send  func(*pb.RangeResponse) error

	span   span // what is left of it
	cursor *cursor
	rev    int64 // that is read
	now    int64 // for the header: the current one when it began
	sent   int64 // keys
	count  int64 // keys in the span so far
	more   bool  // there are keys above the limit
}

// open starts on the span at the revision that the request means.
func (st *stream) open(sp span) error {
	h, err := st.s.acquire()
	if err != nil {
		return err
	}
	cur := h.state.Load()
	st.rev, st.now = st.req.GetRevision(), cur.current
	if st.rev <= 0 {
		st.rev = cur.current
	}
	switch {
	case st.rev > cur.current:
		err = ErrFutureRev
	case st.rev < cur.compacted:
		err = ErrCompacted
	default:
		err = st.start(h, sp)
	}
	if err != nil {
		h.release()
	}
	return err
}

// start puts the cursor on the span's first key. It keeps h if it succeeds.
func (st *stream) start(h hold, sp span) error {
	c := &cursor{v: &view{db: h.db, hold: h, rev: st.rev}, rev: st.rev}
	if err := c.open(sp); err != nil {
		return err
	}
	c.v.hold.settle()
	st.span, st.cursor = sp, c
	return nil
}

func (st *stream) close() error {
	err := st.cursor.it.Close()
	st.cursor.v.hold.release()
	return err
}

// renew goes on with a new iterator, so that a slow receiver does not keep
// what flushes and merges of tables have replaced meanwhile in memory and on
// disk. Once the revision is compacted it must stay with the one it has.
func (st *stream) renew() error {
	h, err := st.s.acquire()
	if err != nil {
		return err
	}
	if h.generation != st.cursor.v.hold.generation || st.rev < h.state.Load().compacted {
		h.release()
		return nil
	}
	sp := st.span
	sp.from = bytes.Clone(st.cursor.cur.key)
	old := st.cursor
	if err := st.start(h, sp); err != nil {
		h.release()
		return err
	}
	err = old.it.Close()
	old.v.hold.release()
	return err
}

func (st *stream) run() error {
	part, size := st.part(), 0
	for ; st.cursor.ok; st.cursor.next() {
		if size >= st.chunk {
			if err := st.pass(&pb.RangeResponse{Kvs: part.kvs}); err != nil {
				return err
			}
			if err := st.renew(); err != nil {
				return err
			}
			part, size = st.part(), 0
		}
		if st.count%1024 == 1023 && st.ctx.Err() != nil {
			return st.stopped()
		}
		st.count++
		it := st.cursor.cur
		if !passes(st.req, it) {
			continue
		}
		if limit := st.req.GetLimit(); limit > 0 && st.sent >= limit {
			st.more = true // what is left is only counted
			continue
		}
		st.sent++
		part.keep(it)
		size += keyOverhead + len(it.key)
		if !st.req.GetKeysOnly() {
			size += len(it.value)
		}
	}
	if st.cursor.err != nil {
		return fmt.Errorf("range from %q: %w", st.span.from, st.cursor.err)
	}
	return st.pass(&pb.RangeResponse{
		Header: &pb.ResponseHeader{Revision: st.now}, Kvs: part.kvs, More: st.more, Count: st.count,
	})
}

// keyOverhead is about what a key takes beside its bytes and the value's.
const keyOverhead = 32

// part gathers the next one.
func (st *stream) part() *collector { return &collector{req: st.req} }

func (st *stream) pass(p *pb.RangeResponse) error {
	if st.ctx.Err() != nil {
		return st.stopped()
	}
	return st.send(p)
}

func (st *stream) stopped() error {
	return fmt.Errorf("range stopped after %d keys: %w", st.count, st.ctx.Err())
}
