package differential

import (
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
)

// contestProgram has three clients want the same locks and offices, so that they
// wait for each other, give up, and lose their leases meanwhile.
func contestProgram(g *gen) program {
	g.slow = true
	var steps []Step
	for lease := range int64(3) {
		steps = append(steps, Step{Method: "Lease/LeaseGrant", Req: &pb.LeaseGrantRequest{ID: lease + 1, TTL: 1000}})
	}
	for range 15 + g.IntN(40) {
		steps = append(steps, g.contestStep())
		for i := range 2 {
			steps = append(steps, Step{Method: heardMethod, Pending: i})
		}
	}
	return program{steps: steps}
}

func (g *gen) contestStep() Step {
	lease := 1 + g.Int64N(3)
	lock, office := fmt.Appendf(nil, "lock%d", g.IntN(2)), fmt.Appendf(nil, "office%d", g.IntN(2))
	leader := &v3electionpb.LeaderKey{Name: office, Key: fmt.Appendf(nil, "%s/%x", office, lease), Lease: lease, Rev: knownRev}
	switch n := g.IntN(30); {
	case n < 5:
		return Step{Method: "Lock/Lock", Pending: 1 + g.IntN(6), Req: &v3lockpb.LockRequest{Name: lock, Lease: lease}}
	case n < 8:
		return Step{Method: "Lock/Unlock", Req: &v3lockpb.UnlockRequest{Key: fmt.Appendf(nil, "%s/%x", lock, lease)}}
	case n < 13:
		return Step{Method: "Election/Campaign", Pending: 1 + g.IntN(6), Req: &v3electionpb.CampaignRequest{Name: office, Lease: lease, Value: g.value()}}
	case n < 16:
		return Step{Method: "Election/Proclaim", Req: &v3electionpb.ProclaimRequest{Leader: leader, Value: g.value()}}
	case n < 19:
		return Step{Method: "Election/Resign", Req: &v3electionpb.ResignRequest{Leader: leader}}
	case n < 24:
		return Step{Method: awaitMethod, Pending: 1 + g.IntN(6)}
	case n < 26:
		return Step{Method: abandonMethod, Pending: 1 + g.IntN(6)}
	case n < 27:
		return Step{Method: "Lease/LeaseRevoke", Req: &pb.LeaseRevokeRequest{ID: lease}}
	case n < 28:
		return Step{Method: "Lease/LeaseGrant", Req: &pb.LeaseGrantRequest{ID: lease, TTL: 1000}}
	case n < 29:
		return Step{Method: "KV/Range", Req: &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}}}
	default:
		return Step{Method: "Election/Observe", Pending: g.IntN(2), Req: &v3electionpb.LeaderRequest{Name: office}}
	}
}
