package etcdapi

import (
	"context"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster/kv"
)

// Quota bounds the store of a member.
type Quota interface {
	// Admit says whether a request of that cost, in bytes, may be taken. It does
	// not block. Where it is not, who answers the request raises the alarm NOSPACE.
	Admit(cost int64) bool
	// Limit in bytes.
	Limit() int64
	// Reclaim gives back what was deleted and compacted, where space is short, and
	// returns when that is done.
	Reclaim(ctx context.Context) error
}

// checkQuota refuses what would take space that there isn't, before it is
// proposed, and raises the alarm, upon which every member refuses it. It goes
// around all services, whichever handles the request.
func (s *Server) checkQuota(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	m, ok := req.(proto.Message)
	if s.cfg.Quota == nil || !ok {
		return next(ctx, req)
	}
	if cost := kv.Cost(m); cost == 0 || s.cfg.Quota.Admit(cost) {
		return next(ctx, req)
	}
	own := uint64(s.cfg.Proposer.Glance().KnownAs())
	raised := slices.ContainsFunc(s.cfg.Store.Alarms(), func(a *pb.AlarmMember) bool {
		return a.GetAlarm() == pb.AlarmType_NOSPACE && a.GetMemberID() == own
	})
	if !raised { // else clients that try again and again would fill the log
		ctx, cancel := s.bound(ctx)
		defer cancel()
		// Whether or not that can be done, this member refuses the request.
		_, _ = s.proposeAlarm(ctx, &pb.AlarmRequest{Action: pb.AlarmRequest_ACTIVATE, Alarm: pb.AlarmType_NOSPACE, MemberID: own})
	}
	return nil, rpctypes.ErrGRPCNoSpace
}

func (s *Server) proposeAlarm(ctx context.Context, r *pb.AlarmRequest) (*pb.AlarmResponse, error) {
	cmd, err := kv.EncodeAlarm(r)
	if err != nil {
		return nil, s.toGRPC(err)
	}
	return propose[*pb.AlarmResponse](ctx, s, cmd)
}
