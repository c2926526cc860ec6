package differential

import (
	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// watchers are who has which of a program's streams.
var watchers = [maxStreams]string{"u1", "u2", "root"}

// guardedProgram has users watch whose permissions change meanwhile.
func guardedProgram(g *gen) program {
	steps := []Step{
		{Method: "Auth/RoleAdd", Req: &pb.AuthRoleAddRequest{Name: "mark"}},
		{Method: "Auth/RoleGrantPermission", Req: &pb.AuthRoleGrantPermissionRequest{Name: "mark", Perm: &authpb.Permission{Key: markKey}}},
	}
	for _, name := range []string{"r1", "r2"} {
		steps = append(steps, Step{Method: "Auth/RoleAdd", Req: &pb.AuthRoleAddRequest{Name: name}})
	}
	for _, name := range watchers[:2] {
		steps = append(steps, Step{Method: "Auth/UserAdd", Req: &pb.AuthUserAddRequest{Name: name, Password: passwords[0]}},
			Step{Method: "Auth/UserGrantRole", Req: &pb.AuthUserGrantRoleRequest{User: name, Role: "mark"}})
	}
	steps = append(steps, enableAuth()...)
	for _, name := range watchers[:2] {
		steps = append(steps, Step{Method: "Auth/Authenticate", Req: &pb.AuthenticateRequest{Name: name, Password: passwords[0]}})
	}
	steps = kept(steps...)
	for range 20 + g.IntN(40) {
		step := g.guardedStep()
		if hurries(step) {
			steps = append(steps, Step{Method: syncMethod})
		}
		steps = append(steps, step)
	}
	return program{steps: steps}
}

func (g *gen) guardedStep() Step {
	user, role := pick(g, "u1", "u2"), pick(g, "r1", "r2")
	var step Step
	switch n := g.IntN(20); {
	case n < 6:
		step = g.watchStep(false)
		step.As = watchers[step.Stream]
		return step
	case n < 8:
		step = Step{Method: "Auth/RoleGrantPermission", Req: &pb.AuthRoleGrantPermissionRequest{Name: role, Perm: g.permission()}}
	case n < 9:
		p := g.permission()
		step = Step{Method: "Auth/RoleRevokePermission", Req: &pb.AuthRoleRevokePermissionRequest{Role: role, Key: p.GetKey(), RangeEnd: p.GetRangeEnd()}}
	case n < 11:
		step = Step{Method: "Auth/UserGrantRole", Req: &pb.AuthUserGrantRoleRequest{User: user, Role: role}}
	case n < 12:
		step = Step{Method: "Auth/UserRevokeRole", Req: &pb.AuthUserRevokeRoleRequest{Name: user, Role: role}}
	default:
		step = g.kvStep()
	}
	step.As = "root"
	if g.one(4) {
		step.As = user
	}
	return step
}
