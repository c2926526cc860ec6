package differential

import (
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// TestRequestSize holds the limits on the size of a request to etcd's, at some
// distance from the very byte: what a request takes besides its key and value
// is each server's own.
func TestRequestSize(t *testing.T) {
	const limit = 3 << 19
	p := newPair(t, kindOf(t), 1)
	var prog program
	for _, size := range []int{limit - 600, limit + 100, limit + 400<<10, limit + 600<<10} {
		value := make([]byte, size)
		put := &pb.PutRequest{Key: []byte("a"), Value: value}
		prog.steps = append(prog.steps,
			Step{Method: "KV/Put", Req: put},
			Step{Method: "KV/Txn", Req: &pb.TxnRequest{Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestPut{RequestPut: put}}}}},
			Step{Method: "KV/Range", Req: &pb.RangeRequest{Key: value}},
			Step{Method: "KV/DeleteRange", Req: &pb.DeleteRangeRequest{Key: value}})
	}
	d, err := p.play(prog)
	if err != nil {
		t.Fatal(err)
	}
	if d != nil {
		t.Errorf("step %d, a %s: etcd: %.300s\n  muster: %.300s", d.at, prog.steps[d.at].Method, d.want, d.got)
	}
}
