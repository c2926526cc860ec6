package differential

import (
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// clusterProgram asks for what a cluster of one can be asked for without
// needing another voter: lists, changes that are refused, and a learner that is
// added and never starts.
func clusterProgram(g *gen) program {
	var steps []Step
	for range 5 + g.IntN(30) {
		switch n := g.IntN(10); {
		case n < 2:
			steps = append(steps, g.memberStep())
		case n < 4:
			steps = append(steps, g.memberChange())
		case n < 7:
			steps = append(steps, g.maintenanceStep())
		default:
			steps = append(steps, g.kvStep())
		}
	}
	return program{steps: steps}
}

func (g *gen) memberID() uint64 { return pick[uint64](g, 0, 12345, 1<<63) }

// memberChange adds a learner, where there is none, and changes it. There is
// never more than one, for that is all that etcd takes.
func (g *gen) memberChange() Step {
	if !g.learner {
		g.learner, g.added = true, g.added+1
		return Step{Method: "Cluster/MemberAdd", Req: &pb.MemberAddRequest{PeerURLs: []string{newURL}, IsLearner: true}, kept: true}
	}
	urls := []string{fmt.Sprintf("http://127.0.0.1:%d", 1+g.IntN(3))}
	id := addedID + g.added - 1
	switch g.IntN(6) {
	case 0:
		g.learner = false
		return Step{Method: "Cluster/MemberRemove", Req: &pb.MemberRemoveRequest{ID: id}, kept: true}
	case 1, 2:
		return Step{Method: "Cluster/MemberUpdate", Req: &pb.MemberUpdateRequest{ID: id, PeerURLs: urls}}
	case 3:
		return Step{Method: "Cluster/MemberAdd", Req: &pb.MemberAddRequest{PeerURLs: []string{"http://127.0.0.1"}, IsLearner: g.one(2)}}
	case 4:
		return Step{Method: "Cluster/MemberPromote", Req: &pb.MemberPromoteRequest{ID: id}}
	default:
		return Step{Method: "Cluster/MemberList", Req: &pb.MemberListRequest{Linearizable: g.one(2)}}
	}
}

func (g *gen) memberStep() Step {
	urls := pick(g, nil, []string{"127.0.0.1:1"}, []string{"http://127.0.0.1"}, []string{"nonsense"}, []string{"ftp://127.0.0.1:1"}, []string{"http://127.0.0.1:1/path"}, []string{""})
	return pick(g,
		Step{Method: "Cluster/MemberList", Req: &pb.MemberListRequest{Linearizable: g.one(2)}},
		Step{Method: "Cluster/MemberAdd", Req: &pb.MemberAddRequest{PeerURLs: urls, IsLearner: g.one(2)}},
		Step{Method: "Cluster/MemberUpdate", Req: &pb.MemberUpdateRequest{ID: g.memberID(), PeerURLs: urls}},
		Step{Method: "Cluster/MemberRemove", Req: &pb.MemberRemoveRequest{ID: g.memberID()}},
		Step{Method: "Cluster/MemberPromote", Req: &pb.MemberPromoteRequest{ID: g.memberID()}},
	)
}

func (g *gen) maintenanceStep() Step {
	return pick(g,
		Step{Method: "Maintenance/Alarm", Req: g.alarm()},
		Step{Method: "Maintenance/Alarm", Req: g.alarm()},
		Step{Method: "Maintenance/HashKV", Req: &pb.HashKVRequest{Revision: g.sometimes(2)}},
		Step{Method: "Maintenance/Hash", Req: &pb.HashRequest{}},
		Step{Method: "Maintenance/Status", Req: &pb.StatusRequest{}},
		Step{Method: "Maintenance/Defragment", Req: &pb.DefragmentRequest{}},
		Step{Method: "Maintenance/MoveLeader", Req: &pb.MoveLeaderRequest{TargetID: g.memberID()}},
		Step{Method: "Maintenance/Downgrade", Req: &pb.DowngradeRequest{
			Action:  pick(g, pb.DowngradeRequest_VALIDATE, pb.DowngradeRequest_CANCEL, 9),
			Version: pick(g, "", "3.6.0", "3.7.0", "3.5.0", "4.0", "x"),
		}},
		Step{Method: "Maintenance/Downgrade", Req: &pb.DowngradeRequest{ // but to what there is
			Action: pb.DowngradeRequest_ENABLE, Version: pick(g, "", "3.7.0", "3.5.0", "4.0", "x"),
		}},
		Step{Method: "Maintenance/Snapshot", Req: &pb.SnapshotRequest{}},
	)
}

// alarm has no action but the three that there are: etcd 3.7 stops with a
// panic at another.
func (g *gen) alarm() *pb.AlarmRequest {
	return &pb.AlarmRequest{
		Action:   pick(g, pb.AlarmRequest_GET, pb.AlarmRequest_ACTIVATE, pb.AlarmRequest_DEACTIVATE, pb.AlarmRequest_DEACTIVATE),
		MemberID: pick[uint64](g, selfID, selfID, 0, 77),
		Alarm:    pick(g, pb.AlarmType_NONE, pb.AlarmType_NOSPACE, pb.AlarmType_CORRUPT, 9),
	}
}
