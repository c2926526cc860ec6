package differential

import (
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// TestMoveLeader has each of three members lead, and removes one that is down.
func TestMoveLeader(t *testing.T) {
	t.Parallel()
	p := newPair(t, kindOf(t), 3)
	sessions := p.mustBegin()
	p.compare(sessions, Step{Method: moveMethod})
	move := func(from int, to uint64) Step {
		return Step{Method: "Maintenance/MoveLeader", Member: from, Req: &pb.MoveLeaderRequest{TargetID: to}}
	}
	led := func(by int) Step {
		return Step{Method: ledMethod, Member: by}
	}
	list := Step{Method: "Cluster/MemberList", Req: &pb.MemberListRequest{Linearizable: true}}
	p.compare(sessions,
		Step{Method: "Lease/LeaseGrant", Req: &pb.LeaseGrantRequest{ID: 1, TTL: 1000}},
		Step{Method: "Cluster/MemberAdd", Req: &pb.MemberAddRequest{PeerURLs: []string{newURL}, IsLearner: true}},
		move(0, 0), move(0, 12345), move(0, 1<<63), move(0, addedID), // nobody, and a learner
		move(1, selfID), move(1, selfID+1), move(1, selfID+2), move(1, 12345), // of a follower
		move(0, selfID), led(0), // who leads already
		move(0, selfID+1), led(1),
		Step{Method: "Lease/LeaseTimeToLive", Req: &pb.LeaseTimeToLiveRequest{ID: 1}},
		Step{Method: "Lease/LeaseKeepAlive", Req: &pb.LeaseKeepAliveRequest{ID: 1}},
		Step{Method: "Lease/LeaseLeases", Req: &pb.LeaseLeasesRequest{}},
		move(0, selfID+1), move(0, selfID+2), // who leads no more
		move(1, selfID+2), led(2),
		move(2, selfID), led(0), list,
		Step{Method: "Maintenance/Status", Req: &pb.StatusRequest{}}, Step{Method: "Maintenance/Status", Member: 1, Req: &pb.StatusRequest{}},
		Step{Method: "Cluster/MemberRemove", Req: &pb.MemberRemoveRequest{ID: addedID}},
	)
	p.killLast(2)
	remove := Step{Method: "Cluster/MemberRemove", Req: &pb.MemberRemoveRequest{ID: selfID + 2}}
	for i, s := range sessions {
		if err := s.eventually(func() (bool, error) { // a server may take a while to see that it is down
			return s.play(remove).Err == nil, nil
		}); err != nil {
			t.Fatalf("%s: remove the member that is down: %v", p.kinds[i].Name, err)
		}
	}
	p.compare(sessions, remove, Step{Method: "KV/Put", Req: &pb.PutRequest{Key: []byte("a")}})
}
