package differential

import (
	"fmt"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// TestExpiry lets leases end by themselves. When is not compared, but what a
// watch tells of it is, and in which order: a lease's keys go at one revision.
func TestExpiry(t *testing.T) {
	p := newPair(t, kindOf(t), 1)
	for seed := *first; seed < *first+3; seed++ {
		prog := expiryProgram(newGen(seed))
		d, err := p.play(prog)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if d != nil {
			t.Errorf("seed %d: etcd and %s differ in the answer to the last of these steps:\n%s\n    etcd: %s\n  %s: %s",
				seed, *against, list(prog.steps[:d.at+1]), d.want, *against, d.got)
			p.renew()
		}
	}
}

// expiryProgram has two leases of which one ends long after the other.
func expiryProgram(g *gen) program {
	watch := &pb.WatchCreateRequest{Key: []byte{0}, RangeEnd: []byte{0}, PrevKv: true}
	prog := program{steps: []Step{
		{Method: watchMethod, Req: &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: watch}}},
		{Method: "Lease/LeaseGrant", Req: &pb.LeaseGrantRequest{ID: 1, TTL: 3}},
		{Method: "Lease/LeaseGrant", Req: &pb.LeaseGrantRequest{ID: 2, TTL: 1000}},
	}}
	for i := range 12 {
		key := fmt.Appendf(nil, "k%02d", g.IntN(8))
		prog.steps = append(prog.steps, Step{Method: "KV/Put", Req: &pb.PutRequest{Key: key, Value: fmt.Append(nil, i), Lease: g.Int64N(3)}})
	}
	return program{steps: append(prog.steps,
		Step{Method: syncMethod},
		Step{Method: goneMethod, Req: &pb.LeaseTimeToLiveRequest{ID: 1}},
		Step{Method: syncMethod},
		Step{Method: "Lease/LeaseTimeToLive", Req: &pb.LeaseTimeToLiveRequest{ID: 1, Keys: true}},
		Step{Method: "Lease/LeaseTimeToLive", Req: &pb.LeaseTimeToLiveRequest{ID: 2, Keys: true}},
		Step{Method: "Lease/LeaseKeepAlive", Req: &pb.LeaseKeepAliveRequest{ID: 1}},
		Step{Method: "KV/Range", Req: &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}}},
	)}
}
