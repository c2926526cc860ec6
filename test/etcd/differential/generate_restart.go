package differential

import (
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// restartProgram has requests of all services, restarts, and afterwards asks for
// all that there is.
func restartProgram(g *gen) program {
	g.lease, g.slow = true, true
	var steps []Step
	locked := g.one(3) // authentication is on
	if locked {
		steps = append(steps, enableAuth()...)
	}
	for range 2 + g.IntN(2) {
		for range 10 + g.IntN(30) {
			step := g.lastingStep()
			step.As = "root"
			steps = append(steps, step)
		}
		steps = append(steps, kept(Step{Method: pick(g, restartMethod, killMethod)})...)
		if locked {
			steps = append(steps, kept(authenticateRoot())...)
		}
		steps = append(steps, g.inspect()...)
	}
	return program{steps: steps}
}

func authenticateRoot() Step {
	return Step{Method: "Auth/Authenticate", Req: &pb.AuthenticateRequest{Name: "root", Password: passwords[0]}}
}

// lastingStep is one of those that leave something behind, mostly.
func (g *gen) lastingStep() Step {
	switch n := g.IntN(20); {
	case n < 10:
		return g.kvStep()
	case n < 14:
		return g.leaseStep()
	case n < 17:
		return g.authSetup()
	case n < 18:
		return g.memberChange()
	default:
		return g.maintenanceStep()
	}
}

// inspect asks for all that there is: every revision, the whole history, leases,
// users, roles, alarms and members.
func (g *gen) inspect() []Step {
	var steps []Step
	ask := func(step Step) {
		step.As = "root"
		steps = append(steps, step)
	}
	ask(Step{Method: "KV/Range", Req: &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}}})
	for rev := int64(1); rev <= g.writes; rev++ {
		ask(Step{Method: "KV/Range", Req: &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, Revision: rev}})
	}
	for _, id := range []int64{1, 2, 3, 4, 99, -3, chosenLease, chosenLease - 1} {
		ask(Step{Method: "Lease/LeaseTimeToLive", Req: &pb.LeaseTimeToLiveRequest{ID: id, Keys: true}})
	}
	ask(Step{Method: "Lease/LeaseLeases", Req: &pb.LeaseLeasesRequest{}})
	ask(Step{Method: "Auth/AuthStatus", Req: &pb.AuthStatusRequest{}})
	ask(Step{Method: "Auth/UserList", Req: &pb.AuthUserListRequest{}})
	ask(Step{Method: "Auth/RoleList", Req: &pb.AuthRoleListRequest{}})
	for _, name := range []string{"root", "u1", "u2", "u3"} {
		ask(Step{Method: "Auth/UserGet", Req: &pb.AuthUserGetRequest{Name: name}})
		ask(Step{Method: "Auth/Authenticate", Req: &pb.AuthenticateRequest{Name: name, Password: passwords[0]}})
	}
	for _, name := range []string{"root", "r1", "r2", "r3"} {
		ask(Step{Method: "Auth/RoleGet", Req: &pb.AuthRoleGetRequest{Role: name}})
	}
	ask(Step{Method: "Maintenance/Alarm", Req: &pb.AlarmRequest{}})
	ask(Step{Method: "Maintenance/Status", Req: &pb.StatusRequest{}})
	ask(Step{Method: "Maintenance/HashKV", Req: &pb.HashKVRequest{}})
	ask(Step{Method: "Cluster/MemberList", Req: &pb.MemberListRequest{Linearizable: true}})
	return append(steps, g.history()...)
}

// history watches everything from the first revision that is there on; of the
// others it sees that they are gone.
func (g *gen) history() []Step {
	var steps []Step
	for stream, from := range []int64{1, 1 + g.writes/2} {
		create := &pb.WatchCreateRequest{Key: []byte{0}, RangeEnd: []byte{0}, StartRevision: from, PrevKv: true}
		steps = append(steps,
			Step{Method: watchMethod, As: "root", Stream: stream, Req: &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}}},
			Step{Method: syncMethod},
			Step{Method: closeMethod, Stream: stream})
	}
	return steps
}
