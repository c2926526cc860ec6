package differential

import (
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// clusterProgram asks for what a cluster of one can be asked for without
// becoming another: lists, and changes that are refused.
func clusterProgram(g *gen) program {
	var steps []Step
	for range 5 + g.IntN(30) {
		switch n := g.IntN(10); {
		case n < 3:
			steps = append(steps, g.memberStep())
		case n < 7:
			steps = append(steps, g.maintenanceStep())
		default:
			steps = append(steps, g.kvStep())
		}
	}
	return program{steps: steps}
}

func (g *gen) memberID() uint64 { return pick[uint64](g, 0, 12345, 1<<63) }

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
		Step{Method: "Maintenance/HashKV", Req: &pb.HashKVRequest{Revision: max(0, g.sometimes(2))}},
		Step{Method: "Maintenance/Hash", Req: &pb.HashRequest{}},
		Step{Method: "Maintenance/Status", Req: &pb.StatusRequest{}},
		Step{Method: "Maintenance/Defragment", Req: &pb.DefragmentRequest{}},
		Step{Method: "Maintenance/MoveLeader", Req: &pb.MoveLeaderRequest{TargetID: g.memberID()}},
		Step{Method: "Maintenance/Downgrade", Req: &pb.DowngradeRequest{
			Action:  pick(g, pb.DowngradeRequest_VALIDATE, pb.DowngradeRequest_CANCEL, 9),
			Version: pick(g, "", "3.6.0", "3.7.0", "3.5.0", "4.0", "x"),
		}},
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
