package differential

import (
	"fmt"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

// TestLimits is about servers that take little.
func TestLimits(t *testing.T) {
	p := newPairOf(t, kindsWith(t, fmt.Sprintf("--max-txn-ops=%d", fewOps), fmt.Sprintf("--max-request-bytes=%d", fewBytes)), 1)
	p.run(t, (*seeds+2)/3, opsProgram)
	for _, form := range sized {
		p.compareLargest(form)
	}
	sessions := p.mustBegin()
	for _, over := range []int{-1, 0, 1} {
		p.compare(sessions, longMessages(fewBytes+512<<10+over)...)
	}
}

// sized are requests that hold so many bytes that one chooses.
var sized = []func([]byte) Step{
	func(b []byte) Step { return Step{Method: "KV/Put", Req: &pb.PutRequest{Key: []byte("a"), Value: b}} },
	func(b []byte) Step { return Step{Method: "KV/Put", Req: &pb.PutRequest{Key: append(b, 'a')}} },
	func(b []byte) Step {
		return Step{Method: "KV/DeleteRange", Req: &pb.DeleteRangeRequest{Key: append(b, 'a'), RangeEnd: b}}
	},
	func(b []byte) Step { return Step{Method: "KV/Txn", Req: txnAround(b, 0)} },
	func(b []byte) Step { return Step{Method: "KV/Txn", Req: txnAround(b, 3)} },
	func(b []byte) Step {
		return Step{Method: "Auth/RoleAdd", Req: &pb.AuthRoleAddRequest{Name: fmt.Sprintf("%x", b)}}
	},
	func(b []byte) Step {
		return Step{Method: "KV/Put", Req: &pb.PutRequest{Key: []byte("a"), Value: b}, JSON: &jsonForm{verb: "POST"}}
	},
}

// txnAround puts b in a transaction that is in others.
func txnAround(b []byte, depth int) *pb.TxnRequest {
	op := &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("a"), Value: b}}}
	for range depth {
		op = &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: &pb.TxnRequest{Success: []*pb.RequestOp{op}}}}
	}
	return &pb.TxnRequest{Success: []*pb.RequestOp{op}}
}

// wrapping is how many bytes etcd may add to a request before it looks how long
// it is, and muster doesn't. Of two etcds one may add one more.
const wrapping = 40

// compareLargest finds the longest request of a form that either takes. All that
// are longer have to be refused alike.
func (p *pair) compareLargest(form func([]byte) Step) {
	p.t.Helper()
	var most [2]int
	for i, s := range p.mustBegin() {
		low, high := 0, 2*fewBytes // it takes the one, and not the other
		for low+1 < high {
			n := (low + high) / 2
			if s.taken(form(make([]byte, n))) {
				low = n
			} else {
				high = n
			}
		}
		most[i] = low
	}
	step := form(make([]byte, 1))
	if d := most[1] - most[0]; d < -1 || d > wrapping {
		p.t.Errorf("%s: etcd takes %d bytes, %s %d", step.Method, most[0], p.kinds[1].Name, most[1])
	}
	p.compare(p.mustBegin(), form(make([]byte, min(most[0], most[1]))), form(make([]byte, max(most[0], most[1])+1)))
}

// taken plays a step, and says whether it was carried out.
func (s *session) taken(step Step) bool {
	a := s.play(step)
	return a.Err == nil && (step.JSON == nil || a.status() == "200")
}

// longMessages are requests of n bytes.
func longMessages(n int) []Step {
	fill := func(set func([]byte) proto.Message) proto.Message {
		m := set(make([]byte, n))
		return set(make([]byte, n-(proto.Size(m)-n)))
	}
	get := fill(func(b []byte) proto.Message { return &pb.RangeRequest{Key: b} })
	put := fill(func(b []byte) proto.Message { return &pb.PutRequest{Key: []byte("a"), Value: b} })
	var steps []Step
	for _, form := range []*jsonForm{nil, {verb: "POST"}} {
		steps = append(steps, Step{Method: "KV/Range", Req: get, JSON: form}, Step{Method: "KV/Put", Req: put, JSON: form})
	}
	return steps
}
