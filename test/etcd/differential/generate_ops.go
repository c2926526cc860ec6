package differential

import (
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// fewOps and fewBytes are limits so low that programs are at them all the time.
const (
	fewOps   = 5
	fewBytes = 4000
)

// opsProgram has transactions with as many operations as there may be, or one
// more or less, in each of their lists and in transactions inside.
func opsProgram(g *gen) program {
	var prog program
	for range 20 + g.IntN(30) {
		step := Step{Method: "KV/Txn", Req: g.wideTxn(3)}
		if g.one(4) {
			step = g.asJSON(step)
		}
		prog.steps = append(prog.steps, step)
	}
	return prog
}

// wideTxn has others inside, down to that depth.
func (g *gen) wideTxn(depth int) *pb.TxnRequest {
	t := &pb.TxnRequest{}
	for range g.width() {
		key := g.key()
		if len(key) == 0 && !g.one(10) {
			key = []byte("a")
		}
		t.Compare = append(t.Compare, &pb.Compare{Key: key, Target: pb.Compare_VERSION, Result: pb.Compare_GREATER, TargetUnion: &pb.Compare_Version{Version: -g.Int64N(2)}})
	}
	for _, ops := range []*[]*pb.RequestOp{&t.Success, &t.Failure} {
		for range g.width() {
			*ops = append(*ops, g.wideOp(depth))
		}
	}
	return t
}

func (g *gen) width() int { return pick(g, 0, 0, 1, 1, 2, 3, fewOps-1, fewOps, fewOps, fewOps+1) }

func (g *gen) wideOp(depth int) *pb.RequestOp {
	switch n := g.IntN(12); {
	case n == 0:
		return &pb.RequestOp{}
	case n < 4:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte("a"), CountOnly: true}}}
	case n < 6 && depth > 0:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: g.wideTxn(depth - 1)}}
	default: // no key is put twice
		g.writes++
		return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: fmt.Appendf(nil, "w%d", g.writes)}}}
	}
}
