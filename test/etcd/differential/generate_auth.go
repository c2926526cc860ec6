package differential

import (
	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// authProgram manages users and roles, and sends requests as each of them.
// Most programs switch authentication on somewhere.
func authProgram(g *gen) program {
	var steps []Step
	for range 5 + g.IntN(20) {
		steps = append(steps, g.authSetup())
	}
	if !g.one(5) {
		steps = append(steps, enableAuth()...)
		for range g.IntN(5) {
			steps = append(steps, g.authenticate())
		}
	}
	for range 10 + g.IntN(50) {
		step := g.authStep()
		step.As = g.as()
		steps = append(steps, step)
	}
	return program{steps: steps}
}

// certificateProgram is authProgram with more requests that have no token.
func certificateProgram(g *gen) program {
	prog := authProgram(g)
	for i := range prog.steps {
		if step := &prog.steps[i]; !step.kept && step.As != "" && g.one(2) {
			step.As = ""
		}
	}
	return prog
}

// enableAuth leaves root with a token.
func enableAuth() []Step {
	root := &pb.AuthUserAddRequest{Name: "root", Password: passwords[0], Options: &authpb.UserAddOptions{}}
	return kept(
		Step{Method: "Auth/UserAdd", Req: root},
		Step{Method: "Auth/UserChangePassword", Req: &pb.AuthUserChangePasswordRequest{Name: "root", Password: passwords[0]}},
		Step{Method: "Auth/RoleAdd", Req: &pb.AuthRoleAddRequest{Name: "root"}},
		Step{Method: "Auth/UserGrantRole", Req: &pb.AuthUserGrantRoleRequest{User: "root", Role: "root"}},
		Step{Method: "Auth/AuthEnable", Req: &pb.AuthEnableRequest{}},
		Step{Method: "Auth/Authenticate", Req: &pb.AuthenticateRequest{Name: "root", Password: passwords[0]}},
	)
}

// kept marks steps that a program can't do without.
func kept(steps ...Step) []Step {
	for i := range steps {
		steps[i].kept = true
	}
	return steps
}

// as is who sends a request: mostly a user, sometimes nobody, or one whose
// token the server doesn't know.
func (g *gen) as() string { return pick(g, "root", "root", "u1", "u1", "u2", "u2", "", "ghost") }

func (g *gen) user() string {
	if g.one(20) {
		return pick(g, "", "nobody", "root")
	}
	return pick(g, "u1", "u2", "u3")
}

func (g *gen) role() string {
	if g.one(20) {
		return pick(g, "", "nothing", "root")
	}
	return pick(g, "r1", "r2", "r3")
}

// password is one of which two are root's.
func (g *gen) password() string { return pick(g, "root", "root", "root", "other") }

func (g *gen) authenticate() Step {
	name := pick(g, "u1", "u2", g.user())
	return Step{Method: "Auth/Authenticate", Req: &pb.AuthenticateRequest{Name: name, Password: pick(g, "root", "root", "other", "", "wrong")}}
}

// authSetup makes users and roles, more often than it takes them away.
func (g *gen) authSetup() Step {
	switch n := g.IntN(20); {
	case n < 4:
		return g.userAdd()
	case n < 7:
		return Step{Method: "Auth/RoleAdd", Req: &pb.AuthRoleAddRequest{Name: g.role()}}
	case n < 11:
		return Step{Method: "Auth/UserGrantRole", Req: &pb.AuthUserGrantRoleRequest{User: g.user(), Role: g.role()}}
	case n < 15:
		return Step{Method: "Auth/RoleGrantPermission", Req: &pb.AuthRoleGrantPermissionRequest{Name: g.role(), Perm: g.permission()}}
	default:
		return g.authManage()
	}
}

func (g *gen) userAdd() Step {
	r := &pb.AuthUserAddRequest{Name: g.user(), Password: g.password()}
	if r.Name != "root" && g.one(6) {
		r.Password, r.Options = pick(g, "", "root"), &authpb.UserAddOptions{NoPassword: g.one(2)}
	}
	return Step{Method: "Auth/UserAdd", Req: r}
}

func (g *gen) authManage() Step {
	perm := g.permission()
	return pick(g,
		Step{Method: "Auth/UserGet", Req: &pb.AuthUserGetRequest{Name: g.user()}},
		Step{Method: "Auth/UserList", Req: &pb.AuthUserListRequest{}},
		Step{Method: "Auth/UserDelete", Req: &pb.AuthUserDeleteRequest{Name: g.user()}},
		Step{Method: "Auth/UserChangePassword", Req: &pb.AuthUserChangePasswordRequest{Name: g.user(), Password: g.password()}},
		Step{Method: "Auth/UserRevokeRole", Req: &pb.AuthUserRevokeRoleRequest{Name: g.user(), Role: g.role()}},
		Step{Method: "Auth/RoleGet", Req: &pb.AuthRoleGetRequest{Role: g.role()}},
		Step{Method: "Auth/RoleList", Req: &pb.AuthRoleListRequest{}},
		Step{Method: "Auth/RoleDelete", Req: &pb.AuthRoleDeleteRequest{Role: g.role()}},
		Step{Method: "Auth/RoleRevokePermission", Req: &pb.AuthRoleRevokePermissionRequest{Role: g.role(), Key: perm.GetKey(), RangeEnd: perm.GetRangeEnd()}},
		Step{Method: "Auth/AuthStatus", Req: &pb.AuthStatusRequest{}},
	)
}

func (g *gen) permission() *authpb.Permission {
	if g.one(40) {
		return nil
	}
	key := g.key()
	p := &authpb.Permission{Key: key, RangeEnd: g.end(key), PermType: authpb.Permission_Type(g.IntN(3))}
	if g.one(40) {
		p.PermType = 5
	}
	return p
}

func (g *gen) authStep() Step {
	switch n := g.IntN(100); {
	case n < 20:
		return g.authSetup()
	case n < 28:
		return g.authenticate()
	case n < 30:
		return pick(g, Step{Method: "Auth/AuthDisable", Req: &pb.AuthDisableRequest{}}, Step{Method: "Auth/AuthEnable", Req: &pb.AuthEnableRequest{}})
	case n < 40:
		g.lease = true
		return g.leaseStep()
	case n < 48:
		return g.maintenanceStep()
	case n < 52:
		return g.memberStep()
	case n < 60:
		return g.lockStep()
	default:
		return g.kvStep()
	}
}
