package differential

import (
	"fmt"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/protobuf/proto"
)

// TestExpiry lets leases end by themselves. When is not compared, but what a
// watch tells of it is, and in which order: a lease's keys go at one revision.
func TestExpiry(t *testing.T) {
	t.Parallel()
	p := newPair(t, kindOf(t), 1)
	for seed := *first; seed < *first+4; seed++ {
		prog := expiryProgram(newGen(seed))
		switch seed - *first {
		case 0:
			prog = heirProgram()
		case 1:
			prog = leftProgram()
		}
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

// heirProgram has a client wait for a lock and for an office until the lease of
// the one that has them ends.
func heirProgram() program {
	const locked, elected, observed = 1, 2, 0
	lock := func(lease int64, call int) Step {
		return Step{Method: "Lock/Lock", Pending: call, Req: &v3lockpb.LockRequest{Name: []byte("lock"), Lease: lease}}
	}
	campaign := func(lease int64, call int) Step {
		return Step{Method: "Election/Campaign", Pending: call, Req: &v3electionpb.CampaignRequest{Name: []byte("office"), Lease: lease, Value: []byte{byte(lease)}}}
	}
	return program{steps: []Step{
		{Method: "Lease/LeaseGrant", Req: &pb.LeaseGrantRequest{ID: 1, TTL: 3}},
		{Method: "Lease/LeaseGrant", Req: &pb.LeaseGrantRequest{ID: 2, TTL: 1000}},
		lock(1, 0), campaign(1, 0), lock(2, locked), campaign(2, elected),
		{Method: "Election/Observe", Pending: observed, Req: &v3electionpb.LeaderRequest{Name: []byte("office")}},
		{Method: goneMethod, Req: &pb.LeaseTimeToLiveRequest{ID: 1}},
		{Method: awaitMethod, Pending: locked},
		{Method: awaitMethod, Pending: elected},
		{Method: heardMethod, Pending: observed},
		{Method: "Lease/LeaseKeepAlive", Req: &pb.LeaseKeepAliveRequest{ID: 1}, More: []proto.Message{&pb.LeaseKeepAliveRequest{ID: 2}}},
		{Method: "Lease/LeaseRevoke", Req: &pb.LeaseRevokeRequest{ID: 1}},
		lock(1, 0),
		{Method: "Lease/LeaseGrant", Req: &pb.LeaseGrantRequest{ID: 1, TTL: 1000}},
		{Method: "KV/Range", Req: &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}}},
	}}
}

// leftProgram has a client wait for a lock and for an office until its own lease
// ends, and one that holds both go on without a lease.
func leftProgram() program {
	const locked, elected = 1, 2
	name := []byte("office")
	leader := &v3electionpb.LeaderKey{Name: name, Key: []byte("office/2"), Lease: 2, Rev: knownRev}
	return program{steps: []Step{
		{Method: "Lease/LeaseGrant", Req: &pb.LeaseGrantRequest{ID: 1, TTL: 1000}},
		{Method: "Lease/LeaseGrant", Req: &pb.LeaseGrantRequest{ID: 2, TTL: 3}},
		{Method: "Lease/LeaseGrant", Req: &pb.LeaseGrantRequest{ID: 3, TTL: 3}},
		{Method: "Lock/Lock", Req: &v3lockpb.LockRequest{Name: []byte("lock"), Lease: 1}},
		{Method: "Election/Campaign", Req: &v3electionpb.CampaignRequest{Name: name, Lease: 2, Value: []byte("2")}},
		{Method: "Lock/Lock", Pending: locked, Req: &v3lockpb.LockRequest{Name: []byte("lock"), Lease: 3}},
		{Method: "Election/Campaign", Pending: elected, Req: &v3electionpb.CampaignRequest{Name: name, Lease: 3, Value: []byte("3")}},
		{Method: goneMethod, Req: &pb.LeaseTimeToLiveRequest{ID: 3}},
		{Method: goneMethod, Req: &pb.LeaseTimeToLiveRequest{ID: 2}},
		{Method: awaitMethod, Pending: locked},
		{Method: "Lock/Unlock", Req: &v3lockpb.UnlockRequest{Key: []byte("lock/1")}},
		{Method: awaitMethod, Pending: locked},
		{Method: "Election/Leader", Req: &v3electionpb.LeaderRequest{Name: name}},
		{Method: "Election/Proclaim", Req: &v3electionpb.ProclaimRequest{Leader: leader, Value: []byte("4")}},
		{Method: "Election/Resign", Req: &v3electionpb.ResignRequest{Leader: leader}},
		{Method: "Lock/Unlock", Req: &v3lockpb.UnlockRequest{Key: []byte("lock/3")}},
		{Method: "Lock/Lock", Req: &v3lockpb.LockRequest{Name: []byte("lock2"), Lease: 3}},
		{Method: "Election/Campaign", Req: &v3electionpb.CampaignRequest{Name: name, Lease: 2, Value: []byte("5")}},
		{Method: "KV/Range", Req: &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}}},
	}}
}
