package differential

import (
	"slices"
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
	moves := g.one(2) // the lead goes from one to another
	for i := 0; moves && i < len(prog.steps); i++ {
		if g.one(12) {
			prog.steps = slices.Insert(prog.steps, i, Step{Method: moveMethod, Member: g.IntN(3)})
		}
	}
	member := g.IntN(3)
	at := map[int]int{} // where each watch stream is
	for i := range prog.steps {
		step := &prog.steps[i]
		if step.Method == moveMethod {
			continue
		}
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
		case strings.HasPrefix(step.Method, "Cluster/"), step.Method == "Maintenance/MoveLeader":
			as := step.As
			*step = g.voterChange()
			step.As, step.Member = as, member
		}
	}
	return prog
}

// restartThreeProgram restarts all three, and asks each for a part of what is there.
func restartThreeProgram(g *gen) program {
	prog := restartProgram(g)
	for i := range prog.steps {
		step := &prog.steps[i]
		switch {
		case step.Method == watchMethod || step.Method == closeMethod:
			step.Member = step.Stream
		case strings.HasPrefix(step.Method, "Cluster/"), step.Method == "Maintenance/MoveLeader":
			step.Method, step.Req, step.kept = "Cluster/MemberList", &pb.MemberListRequest{Linearizable: true}, false
			fallthrough
		default:
			step.Member = g.IntN(3)
		}
	}
	return prog
}

// voterChange adds a member that never starts, where there is none, and changes
// it. Three of four can do without it.
func (g *gen) voterChange() Step {
	id := addedID + g.added - 1
	if !g.learner {
		g.learner, g.added = true, g.added+1
		return Step{Method: "Cluster/MemberAdd", Req: &pb.MemberAddRequest{PeerURLs: []string{newURL}, IsLearner: g.one(2)}, kept: true}
	}
	switch g.IntN(5) {
	case 0:
		g.learner = false
		return Step{Method: "Cluster/MemberRemove", Req: &pb.MemberRemoveRequest{ID: id}, kept: true}
	case 1:
		return Step{Method: "Cluster/MemberUpdate", Req: &pb.MemberUpdateRequest{ID: id, PeerURLs: []string{"http://127.0.0.1:1"}}}
	case 2:
		return Step{Method: "Cluster/MemberPromote", Req: &pb.MemberPromoteRequest{ID: id}}
	default:
		return Step{Method: "Cluster/MemberList", Req: &pb.MemberListRequest{Linearizable: true}}
	}
}
