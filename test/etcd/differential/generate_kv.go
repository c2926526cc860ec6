package differential

import (
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// kvProgram is made of requests of etcd's KV service.
func kvProgram(g *gen) program {
	var steps []Step
	if g.many = g.one(4); g.many {
		steps = append(steps, g.putMany())
	}
	steps = append(steps, g.alarmed()...)
	for range 10 + g.IntN(60) {
		steps = append(steps, g.kvStep())
	}
	return program{steps: steps}
}

// alarmed raises an alarm in some programs, so that most of what follows is
// refused.
func (g *gen) alarmed() []Step {
	if !g.one(12) {
		return nil
	}
	return []Step{{Method: "Maintenance/Alarm", Req: &pb.AlarmRequest{
		Action: pb.AlarmRequest_ACTIVATE, MemberID: selfID, Alarm: pick(g, pb.AlarmType_NOSPACE, pb.AlarmType_CORRUPT),
	}}}
}

// putMany puts them in one transaction, most with a value that others have.
func (g *gen) putMany() Step {
	g.writes++
	t := &pb.TxnRequest{}
	for _, i := range g.Perm(manyKeys) {
		put := &pb.PutRequest{Key: manyKey(i), Value: g.value()}
		t.Success = append(t.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: put}})
	}
	return Step{Method: "KV/Txn", Req: t}
}

func (g *gen) kvStep() Step {
	switch n := g.IntN(100); {
	case n < 30:
		return Step{Method: "KV/Range", Req: g.rangeRequest()}
	case n < 36:
		return Step{Method: "KV/RangeStream", Req: g.rangeRequest()}
	case n < 62:
		g.writes++
		return Step{Method: "KV/Put", Req: g.put()}
	case n < 72:
		g.writes++
		return Step{Method: "KV/DeleteRange", Req: g.deleteRange()}
	case n < 96:
		g.writes++
		return Step{Method: "KV/Txn", Req: g.safeTxn()}
	default:
		return Step{Method: "KV/Compact", Req: &pb.CompactionRequest{Revision: g.compactRevision(), Physical: g.one(2)}}
	}
}

// compactRevision is mostly an old one: the programs need their history.
func (g *gen) compactRevision() int64 {
	if g.one(4) {
		return g.sometimes(2)
	}
	return 1 + g.Int64N(g.writes/2+1)
}

func (g *gen) rangeRequest() *pb.RangeRequest {
	key := g.key()
	r := &pb.RangeRequest{Key: key, RangeEnd: g.end(key), Revision: g.sometimes(3)}
	if g.one(3) {
		r.Limit = pick[int64](g, 1, 1, 2, 3, 100, -1)
	}
	if g.one(3) {
		r.SortOrder = pick(g, pb.RangeRequest_NONE, pb.RangeRequest_ASCEND, pb.RangeRequest_DESCEND)
		r.SortTarget = pb.RangeRequest_SortTarget(g.IntN(5))
	}
	if g.one(80) {
		r.SortOrder = 7
	}
	if g.one(80) {
		r.SortTarget = -1
	}
	r.Serializable = g.one(3)
	r.KeysOnly = g.one(6)
	r.CountOnly = g.one(8)
	if g.one(4) {
		r.MinModRevision, r.MaxModRevision = g.sometimes(2), g.sometimes(2)
		r.MinCreateRevision, r.MaxCreateRevision = g.sometimes(2), g.sometimes(2)
	}
	return r
}

func (g *gen) put() *pb.PutRequest {
	p := &pb.PutRequest{Key: g.key(), PrevKv: g.one(3)}
	p.IgnoreValue, p.IgnoreLease = g.one(7), g.one(7)
	if !p.IgnoreValue || g.one(10) {
		p.Value = g.value()
	}
	if g.lease && (!p.IgnoreLease && g.one(2) || g.one(30)) {
		p.Lease = g.leaseID()
	}
	return p
}

func (g *gen) deleteRange() *pb.DeleteRangeRequest {
	key := g.key()
	return &pb.DeleteRangeRequest{Key: key, RangeEnd: g.end(key), PrevKv: g.one(2)}
}
