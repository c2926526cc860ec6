package differential

import (
	"crypto/rand"
	"fmt"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
)

// The quota of TestQuota, and the values that fill it, which can't be compressed.
// How many of them a store takes is its own business: about 15. Another that is
// larger than what is left then has no room, also if a store makes some by itself.
const (
	quotaBytes = 4 << 20
	fillBytes  = 256 << 10
	largeBytes = 1 << 20
)

// TestQuota fills both, and makes room again.
func TestQuota(t *testing.T) {
	t.Parallel()
	p := newPairOf(t, kindsWith(t, fmt.Sprintf("--quota-backend-bytes=%d", quotaBytes)), 1)
	sessions := p.mustBegin()
	var first [2]Answer
	for i, s := range sessions {
		n, a := s.fill()
		if first[i] = a; n < quotaBytes/fillBytes/4 {
			t.Errorf("%s takes %d values of %d bytes under a quota of %d", p.kinds[i].Name, n, fillBytes, quotaBytes)
		}
	}
	p.report("the first put that is refused", first[0], first[1])
	for i, s := range sessions { // they have come to other revisions
		h, err := s.header()
		if err != nil {
			t.Fatal(err)
		}
		sessions[i].base = h.Revision
	}
	p.compare(sessions, full()...)
	disarm := Step{Method: "Maintenance/Alarm", Req: &pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE, MemberID: selfID, Alarm: pb.AlarmType_NOSPACE}}
	list := Step{Method: "Maintenance/Alarm", Req: &pb.AlarmRequest{}}
	large := Step{Method: "KV/Put", Req: &pb.PutRequest{Key: []byte("large"), Value: noise(largeBytes)}}
	p.compare(sessions, disarm, list, large, list, // there is still no room
		Step{Method: "KV/Compact", Req: &pb.CompactionRequest{Revision: 1, Physical: true}},
		disarm, disarm, list)
	for i, s := range sessions { // makes room: the keys are many or few, and are not compared
		deleted := s.play(Step{Method: "KV/DeleteRange", Req: &pb.DeleteRangeRequest{Key: []byte("fill"), RangeEnd: []byte("film")}})
		if deleted.Err != nil || deleted.Messages[0].(*pb.DeleteRangeResponse).Deleted == 0 {
			t.Fatalf("%s: %s", p.kinds[i].Name, deleted)
		}
		s.play(Step{Method: "KV/Compact", Req: &pb.CompactionRequest{Revision: deleted.Messages[0].(*pb.DeleteRangeResponse).Header.Revision, Physical: true}})
	}
	p.compare(sessions, Step{Method: "Maintenance/Defragment", Req: &pb.DefragmentRequest{}}, disarm, large, list)
}

// fill puts values until one is refused, and says how many were taken. How much a
// server takes in until it measures again is no matter.
func (s *session) fill() (n int, refused Answer) {
	for ; n <= 1000; n++ {
		put := &pb.PutRequest{Key: fmt.Appendf(nil, "fill %d", n), Value: noise(fillBytes)}
		if refused = s.play(Step{Method: "KV/Put", Req: put}); refused.Err != nil {
			break
		}
	}
	return n, refused
}

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

// full are requests to members of which there is no room, and the alarm raised.
func full() []Step {
	put := &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("a")}}}
	get := &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte("a")}}}
	del := &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte("a")}}}
	large := &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("a"), Value: noise(largeBytes)}}}
	nested := &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: &pb.TxnRequest{Failure: []*pb.RequestOp{large}}}}
	txn := func(then, otherwise []*pb.RequestOp) Step {
		return Step{Method: "KV/Txn", Req: &pb.TxnRequest{Success: then, Failure: otherwise}}
	}
	ops := func(ops ...*pb.RequestOp) []*pb.RequestOp { return ops }
	steps := []Step{
		{Method: "Maintenance/Alarm", Req: &pb.AlarmRequest{}},
		{Method: "KV/Put", Req: &pb.PutRequest{Key: []byte("a")}},
		{Method: "KV/Put", Req: &pb.PutRequest{Key: []byte("a"), IgnoreValue: true}},
		{Method: "KV/Put", Req: &pb.PutRequest{Key: []byte("a"), Lease: 99}},
		{Method: "KV/Put", Req: &pb.PutRequest{Key: []byte("a")}, JSON: &jsonForm{verb: "POST"}},
		{Method: "KV/Range", Req: &pb.RangeRequest{Key: []byte("a")}},
		{Method: "KV/RangeStream", Req: &pb.RangeRequest{Key: []byte("a")}},
		{Method: "KV/DeleteRange", Req: &pb.DeleteRangeRequest{Key: []byte("a")}},
		txn(nil, nil), txn(ops(put), nil), txn(nil, ops(put)), txn(ops(get), nil), txn(ops(del), ops(get)), txn(ops(get), ops(nested)), txn(ops(del), ops(put)),
		{Method: "KV/Compact", Req: &pb.CompactionRequest{Revision: 1 << 50}},
		{Method: "Lease/LeaseGrant", Req: &pb.LeaseGrantRequest{ID: 1, TTL: 1000}},
		{Method: "Lease/LeaseGrant", Req: &pb.LeaseGrantRequest{ID: 1, TTL: 1 << 62}},
		{Method: "Lease/LeaseRevoke", Req: &pb.LeaseRevokeRequest{ID: 1}},
		{Method: "Lease/LeaseKeepAlive", Req: &pb.LeaseKeepAliveRequest{ID: 1}},
		{Method: "Lease/LeaseTimeToLive", Req: &pb.LeaseTimeToLiveRequest{ID: 1}},
		{Method: "Lock/Lock", Req: &v3lockpb.LockRequest{Name: []byte("lock"), Lease: 1}},
		{Method: "Lock/Lock", Req: &v3lockpb.LockRequest{Name: []byte("lock")}},
		{Method: "Lock/Unlock", Req: &v3lockpb.UnlockRequest{Key: []byte("lock/1")}},
		{Method: "Election/Campaign", Req: &v3electionpb.CampaignRequest{Name: []byte("office"), Lease: 1}},
		{Method: "Election/Proclaim", Req: &v3electionpb.ProclaimRequest{Leader: &v3electionpb.LeaderKey{Name: []byte("office"), Key: []byte("office/1"), Lease: 1}}},
		{Method: "Auth/UserAdd", Req: &pb.AuthUserAddRequest{Name: "u1", Password: "root"}},
		{Method: "Auth/UserDelete", Req: &pb.AuthUserDeleteRequest{Name: "u1"}},
		{Method: "Auth/RoleAdd", Req: &pb.AuthRoleAddRequest{Name: "r1"}},
		{Method: "Auth/RoleDelete", Req: &pb.AuthRoleDeleteRequest{Role: "r1"}},
		{Method: "Cluster/MemberList", Req: &pb.MemberListRequest{Linearizable: true}},
		{Method: "Maintenance/Status", Req: &pb.StatusRequest{}},
		{Method: "Maintenance/Snapshot", Req: &pb.SnapshotRequest{}},
		{Method: "Maintenance/Alarm", Req: &pb.AlarmRequest{Action: pb.AlarmRequest_ACTIVATE, MemberID: 77, Alarm: pb.AlarmType_NOSPACE}},
		{Method: "Maintenance/Alarm", Req: &pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE, MemberID: selfID, Alarm: pb.AlarmType_NOSPACE}},
		{Method: "Maintenance/Alarm", Req: &pb.AlarmRequest{}},
		{Method: "KV/DeleteRange", Req: &pb.DeleteRangeRequest{Key: []byte("b")}},
		{Method: "Maintenance/Alarm", Req: &pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE, MemberID: 77, Alarm: pb.AlarmType_NOSPACE}},
		{Method: "KV/Txn", Req: &pb.TxnRequest{Success: ops(get), Failure: ops(nested)}}, // which raises it again
		{Method: "Maintenance/Alarm", Req: &pb.AlarmRequest{}},
	}
	return steps
}
