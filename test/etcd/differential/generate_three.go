package differential

import (
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// threeProgram sends each request to one of three members, which has caught up
// with what the one before was told.
func threeProgram(g *gen) program {
	g.slow = true
	var prog program
	switch g.IntN(4) {
	case 0:
		prog = watchProgram(g)
	case 1:
		prog = authProgram(g)
	default:
		for range 20 + g.IntN(40) {
			prog.steps = append(prog.steps, g.anyStep())
		}
	}
	member := g.IntN(3)
	at := map[int]int{} // where each watch stream is
	for i := range prog.steps {
		step := &prog.steps[i]
		if g.one(2) {
			member = g.IntN(3)
		}
		step.Member = member
		switch {
		case step.Method == watchMethod || step.Method == closeMethod:
			if _, open := at[step.Stream]; !open {
				at[step.Stream] = member
			}
			step.Member = at[step.Stream]
			if step.Method == closeMethod {
				delete(at, step.Stream)
			}
		case isOfOne(step.Method):
			step.Method, step.Req = "Cluster/MemberList", &pb.MemberListRequest{Linearizable: true}
		}
	}
	return prog
}

// isOfOne tells methods of which the members of a cluster give different
// answers, or that change which members there are.
func isOfOne(method string) bool {
	return strings.HasPrefix(method, "Cluster/") || method == "Maintenance/MoveLeader"
}
