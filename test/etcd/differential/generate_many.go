package differential

import (
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

const (
	crowd      = 3000 // keys; some of them are put, and deleted, more than once
	crowdBatch = 120  // of them in a transaction, which may have 128
)

func crowdKey(i int) []byte { return fmt.Appendf(nil, "crowd/%02d/%02d", i/100, i%100) }

// manyProgram reads and deletes large parts of many keys.
func manyProgram(g *gen) program {
	var steps []Step
	for keys := g.Perm(crowd); len(keys) > 0; {
		n := min(crowdBatch, len(keys))
		t := &pb.TxnRequest{}
		for _, i := range keys[:n] {
			put := &pb.PutRequest{Key: crowdKey(i), Value: fmt.Append(nil, g.IntN(50))}
			t.Success = append(t.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: put}})
		}
		keys = keys[n:]
		g.writes++
		steps = append(steps, Step{Method: "KV/Txn", Req: t})
	}
	for range 25 {
		steps = append(steps, g.manyStep())
	}
	return program{steps: steps}
}

func (g *gen) manyStep() Step {
	from := crowdKey(g.IntN(crowd))
	end := pick(g, []byte{0}, []byte("crowd0"), crowdKey(g.IntN(crowd)))
	switch n := g.IntN(20); {
	case n < 10:
		r := g.rangeRequest()
		r.Key, r.RangeEnd = from, end
		if r.Limit > 0 {
			r.Limit = 1 + g.Int64N(crowd)
		}
		return Step{Method: pick(g, "KV/Range", "KV/Range", "KV/RangeStream"), Req: r}
	case n < 13:
		g.writes++
		return Step{Method: "KV/DeleteRange", Req: &pb.DeleteRangeRequest{Key: from, RangeEnd: crowdKey(g.IntN(crowd)), PrevKv: g.one(2)}}
	case n < 15:
		return Step{Method: "KV/Compact", Req: &pb.CompactionRequest{Revision: g.compactRevision(), Physical: g.one(2)}}
	case n < 17: // a comparison of all
		c := g.compare()
		c.Key, c.RangeEnd = from, end
		read := &pb.RangeRequest{Key: from, RangeEnd: end, CountOnly: true}
		return Step{Method: "KV/Txn", Req: &pb.TxnRequest{Compare: []*pb.Compare{c}, Success: []*pb.RequestOp{
			{Request: &pb.RequestOp_RequestRange{RequestRange: read}}}}}
	default:
		g.writes++
		return Step{Method: "KV/Put", Req: &pb.PutRequest{Key: from, Value: g.value(), PrevKv: true}}
	}
}
