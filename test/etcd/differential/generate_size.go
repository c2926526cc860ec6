package differential

import (
	"bytes"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// maxRequest is what a request may have by default, in bytes.
const maxRequest = 1536 << 10

// sizeProgram puts values so large that few of them fill a response, or that a
// server refuses, and watches them from the past.
func sizeProgram(g *gen) program {
	prog := program{}
	for range 6 + g.IntN(8) {
		g.writes++
		prog.steps = append(prog.steps, Step{Method: "KV/Put", Req: &pb.PutRequest{Key: g.key(), Value: g.large()}})
	}
	for range 3 {
		create := &pb.WatchCreateRequest{Key: []byte{0}, RangeEnd: []byte{0}, StartRevision: g.revision(), Fragment: true, PrevKv: g.one(2)}
		prog.steps = append(prog.steps, Step{Method: syncMethod}, Step{Method: watchMethod, Stream: g.IntN(maxStreams), Req: &pb.WatchRequest{
			RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}}})
	}
	for range 5 {
		prog.steps = append(prog.steps, g.sizeStep())
	}
	return prog
}

func (g *gen) sizeStep() Step {
	switch g.IntN(4) {
	case 0:
		return Step{Method: "KV/Put", Req: &pb.PutRequest{Key: g.key(), Value: g.large(), PrevKv: g.one(2)}}
	case 1:
		return Step{Method: "KV/DeleteRange", Req: g.deleteRange()}
	case 2:
		return Step{Method: "KV/Range", Req: g.rangeRequest()}
	default:
		t := &pb.TxnRequest{}
		for range 1 + g.IntN(3) {
			put := &pb.PutRequest{Key: g.key(), Value: g.large()}
			t.Success = append(t.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: put}})
		}
		return Step{Method: "KV/Txn", Req: t}
	}
}

// large keeps off the very limit: what a request is wrapped in counts, and is
// each server's own business.
func (g *gen) large() []byte {
	n := pick(g, 300<<10, 700<<10, maxRequest-1000, maxRequest+1000, maxRequest+(512<<10)-1000, maxRequest+(512<<10)+1000, 4<<20)
	return bytes.Repeat([]byte("large..."), n/8)
}
