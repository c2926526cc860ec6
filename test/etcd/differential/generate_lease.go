package differential

import (
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// leaseID is of few, of those that the server chose, none, or one that there can't be.
func (g *gen) leaseID() int64 {
	switch g.IntN(12) {
	case 0:
		return 0
	case 1:
		return -3
	case 2:
		return chosenLease - int64(g.IntN(2))
	case 3:
		return 99
	default:
		return 1 + g.Int64N(4)
	}
}

// leaseProgram attaches keys to leases and takes leases away. No time limit is
// short enough to pass meanwhile.
func leaseProgram(g *gen) program {
	g.lease = true
	var steps []Step
	alarm := g.IntN(20)
	for i := range 10 + g.IntN(50) {
		if i == alarm {
			steps = append(steps, g.alarmed()...)
		}
		steps = append(steps, g.leaseStep())
	}
	return program{steps: steps}
}

func (g *gen) leaseStep() Step {
	switch n := g.IntN(100); {
	case n < 20:
		return Step{Method: "Lease/LeaseGrant", Req: &pb.LeaseGrantRequest{ID: g.leaseID(), TTL: g.ttl()}}
	case n < 30:
		return Step{Method: "Lease/LeaseRevoke", Req: &pb.LeaseRevokeRequest{ID: g.leaseID()}}
	case n < 45:
		return Step{Method: "Lease/LeaseTimeToLive", Req: &pb.LeaseTimeToLiveRequest{ID: g.leaseID(), Keys: g.one(2)}}
	case n < 52:
		return Step{Method: "Lease/LeaseLeases", Req: &pb.LeaseLeasesRequest{}}
	case n < 60:
		step := Step{Method: "Lease/LeaseKeepAlive", Req: &pb.LeaseKeepAliveRequest{ID: g.leaseID()}}
		for g.one(3) {
			step.More = append(step.More, &pb.LeaseKeepAliveRequest{ID: g.leaseID()})
		}
		return step
	default:
		return g.kvStep()
	}
}

// ttl is in seconds.
func (g *gen) ttl() int64 {
	switch {
	case !g.one(10):
	case g.slow:
		return pick[int64](g, 9_000_000_000, 9_000_000_001, 1<<62)
	default:
		return pick[int64](g, 0, -1, 9_000_000_000, 9_000_000_001, 1<<62)
	}
	return pick[int64](g, 1000, 2000, 3000, 100_000)
}
