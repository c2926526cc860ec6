package sim

import (
	"fmt"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster/internal/history"
	"github.com/musterhq/muster/kv"
)

// request lets a client of a keyspace do something through p.
func (c *clients) request(client int, p *process) {
	r := c.w.someRequest(len(c.ops) + 1)
	read, isRead := r.(*pb.RangeRequest)
	if isRead && c.w.rng.IntN(2) == 0 { // serializable: of whatever revision the member has come to
		p.regs.get(&attempt{w: c.w, p: p, req: read})
		c.think(client)
		return
	}
	c.ask(client, p, r, nil)
}

// ask begins a request. done hears of its end; nil: its client goes on.
func (c *clients) ask(client int, p *process, r proto.Message, done func(*attempt)) *attempt {
	a := c.attempt(client, p)
	a.req, a.done, a.op.Kind = r, done, history.Put
	if _, isRead := r.(*pb.RangeRequest); isRead {
		a.op.Kind = history.Get
	}
	a.begin()
	c.w.after(500*millisecond+c.w.jitter(3*second), "client's patience", a.giveUp)
	return a
}

// encode makes a command of a request that writes.
func encode(r proto.Message) []byte {
	var cmd []byte
	var err error
	switch r := r.(type) {
	case *pb.PutRequest:
		cmd, err = kv.EncodePut(r)
	case *pb.DeleteRangeRequest:
		cmd, err = kv.EncodeDeleteRange(r)
	case *pb.TxnRequest:
		cmd, err = kv.EncodeTxn(r)
	case *pb.CompactionRequest:
		cmd, err = kv.EncodeCompaction(r)
	case *pb.LeaseGrantRequest:
		cmd, err = kv.EncodeLeaseGrant(r)
	case *pb.LeaseRevokeRequest:
		cmd, err = kv.EncodeLeaseRevoke(r)
	default:
		err = fmt.Errorf("no command of a %T", r)
	}
	if err != nil {
		panic(err) // plain data: cannot fail
	}
	return cmd
}

// requests is what clients of a keyspace saw, with what the log says of the rest.
func (c *clients) requests(t *truth) []history.Request {
	rs := slices.Clone(t.keys.own)
	for i, o := range c.history(t) {
		a := c.ops[o.ID-1]
		r := history.Request{ID: o.ID, Client: o.Client, What: a.req, Call: o.Call, Return: o.Return, Fate: o.Fate, Answer: a.answer}
		if applied, ok := t.applied[o.ID]; ok && o.Fate == history.Happened {
			if a.answer != "" && a.answer != applied.answer {
				c.w.fail("%d: the member said %s, the log says %s", i, r, applied.answer)
			}
			r.Answer = applied.answer
			if a.op.Fate == history.Unknown { // nobody heard, but the log knows when it was
				r.Return = applied.at
			}
		}
		rs = append(rs, r)
	}
	return rs
}

const keyNames = "abcdef"

func keyName(i int) string { return "k/" + keyNames[i:i+1] }

// someRequest draws one. Nothing in it writes a key twice.
func (w *World) someRequest(op int) proto.Message {
	value := []byte(fmt.Sprint(op))
	keys := w.rng.Perm(len(keyNames))
	switch x := w.rng.IntN(20); {
	case x < 4:
		return w.someRange(keyName(keys[0]))
	case x < 8:
		return &pb.PutRequest{Key: []byte(keyName(keys[0])), Value: value, PrevKv: x%2 == 0}
	case x < 10:
		r := &pb.DeleteRangeRequest{Key: []byte(keyName(keys[0])), PrevKv: x%2 == 0}
		if w.rng.IntN(3) == 0 {
			r.RangeEnd = []byte(keyName(max(keys[0], keys[1])) + "+")
		}
		return r
	}
	return w.someTxn(&keys, value, 2)
}

// someRange draws a read of one key or all, often of a revision of the past, now and then of one that is not yet.
func (w *World) someRange(key string) *pb.RangeRequest {
	r := &pb.RangeRequest{Key: []byte(key)}
	if w.rng.IntN(2) == 0 {
		r.Key, r.RangeEnd, r.Limit = []byte("k/"), []byte("k0"), int64(w.rng.IntN(4))
	}
	if now := w.truth.keys.now.Rev; w.rng.IntN(3) > 0 {
		r.Revision = max(now+1-w.rng.Int64N(40), 1)
	}
	return r
}

// someTxn draws a transaction over the keys that are left, with more in it.
func (w *World) someTxn(keys *[]int, value []byte, depth int) *pb.TxnRequest {
	t := &pb.TxnRequest{}
	for range 1 + w.rng.IntN(2) {
		t.Compare = append(t.Compare, w.someCompare(keyName(w.rng.IntN(len(keyNames)))))
	}
	next := func() []byte {
		k := (*keys)[0]
		*keys = (*keys)[1:]
		return []byte(keyName(k))
	}
	for _, ops := range []*[]*pb.RequestOp{&t.Success, &t.Failure} {
		for range 1 + w.rng.IntN(2) {
			switch x := w.rng.IntN(6); {
			case x < 3 && len(*keys) > 0:
				*ops = append(*ops, putOp(&pb.PutRequest{Key: next(), Value: value, PrevKv: x == 0}))
			case x < 4 && len(*keys) > 0:
				*ops = append(*ops, &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: next(), PrevKv: true}}})
			case x < 5 && depth > 0:
				*ops = append(*ops, &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: w.someTxn(keys, value, depth-1)}})
			default:
				*ops = append(*ops, rangeOp(w.someRange(keyName(w.rng.IntN(len(keyNames))))))
			}
		}
	}
	return t
}

func putOp(r *pb.PutRequest) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: r}}
}

func rangeOp(r *pb.RangeRequest) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: r}}
}

// someCompare is likely to hold.
func (w *World) someCompare(key string) *pb.Compare {
	have, _ := w.truth.keys.now.Get(key)
	if w.rng.IntN(4) == 0 {
		have.Version, have.Mod, have.Create, have.Value = have.Version+1, have.Mod-1, have.Create+1, "another"
	}
	c := &pb.Compare{Key: []byte(key), Result: pb.Compare_EQUAL}
	switch w.rng.IntN(4) {
	case 0:
		c.Target, c.TargetUnion = pb.Compare_VERSION, &pb.Compare_Version{Version: have.Version}
	case 1:
		c.Target, c.TargetUnion = pb.Compare_MOD, &pb.Compare_ModRevision{ModRevision: have.Mod}
	case 2:
		c.Target, c.TargetUnion = pb.Compare_CREATE, &pb.Compare_CreateRevision{CreateRevision: have.Create}
		c.Result = pb.Compare_CompareResult(w.rng.IntN(4))
	default:
		c.Target, c.TargetUnion = pb.Compare_VALUE, &pb.Compare_Value{Value: []byte(have.Value)}
	}
	return c
}

// compact takes the past away, but for the last revisions.
func (w *World) compact(f Fault) {
	p := w.node(f.A).member()
	rev := w.truth.keys.now.Rev - int64(f.N%25)
	if p == nil || rev < 1 {
		return
	}
	w.clients.ask(operatorClient, p, &pb.CompactionRequest{Revision: rev}, func(a *attempt) {
		if a.op.Fate == history.Happened && a.reply.Err == nil {
			w.sometimes(historyCompacted)
		}
	})
}
