package differential

import (
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
)

// lockProgram takes locks and leads elections. Nothing in it waits for others.
func lockProgram(g *gen) program {
	var steps []Step
	for range 15 + g.IntN(40) {
		if g.one(3) {
			g.lease = true
			steps = append(steps, g.leaseStep())
			continue
		}
		steps = append(steps, g.lockStep())
	}
	return program{steps: steps}
}

// contest is a name with the one lease that ever takes part, so that nobody
// waits: one of the four that the programs grant.
func (g *gen) contest(kind string) (name []byte, lease int64) {
	lease = 1 + g.Int64N(4)
	if g.one(15) {
		return fmt.Appendf(nil, "%s-none", kind), pick[int64](g, 99, -3)
	}
	return fmt.Appendf(nil, "%s%d", kind, lease), lease
}

func (g *gen) lockStep() Step {
	name, lease := g.contest("lock")
	office, held := g.contest("office")
	leader := &v3electionpb.LeaderKey{Name: office, Key: fmt.Appendf(nil, "%s/%x", office, held), Lease: held, Rev: g.sometimes(2)}
	if g.one(15) {
		leader = nil
	}
	switch g.IntN(9) {
	case 0, 1:
		return Step{Method: "Lease/LeaseGrant", Req: &pb.LeaseGrantRequest{ID: lease, TTL: 1000}}
	case 2:
		return Step{Method: "Lock/Lock", Req: &v3lockpb.LockRequest{Name: name, Lease: lease}}
	case 3:
		key := fmt.Appendf(nil, "%s/%x", name, lease)
		if g.one(5) {
			key = g.key()
		}
		return Step{Method: "Lock/Unlock", Req: &v3lockpb.UnlockRequest{Key: key}}
	case 4, 5:
		g.writes++
		return Step{Method: "Election/Campaign", Req: &v3electionpb.CampaignRequest{Name: office, Lease: held, Value: g.value()}}
	case 6:
		g.writes++
		return Step{Method: "Election/Proclaim", Req: &v3electionpb.ProclaimRequest{Leader: leader, Value: g.value()}}
	case 7:
		return Step{Method: "Election/Resign", Req: &v3electionpb.ResignRequest{Leader: leader}}
	default:
		return Step{Method: "Election/Leader", Req: &v3electionpb.LeaderRequest{Name: office}}
	}
}
