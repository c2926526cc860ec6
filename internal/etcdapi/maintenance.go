package etcdapi

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/status"

	"github.com/musterhq/muster/cluster"
)

// maintenanceService is the part of etcd's Maintenance that means something
// here; the rest is codes.Unimplemented.
type maintenanceService struct {
	pb.UnimplementedMaintenanceServer
	*Server
}

// Status implements etcd's Maintenance.Status. It works on a node that is in
// no cluster yet; Errors then say what it waits for.
func (s *maintenanceService) Status(context.Context, *pb.StatusRequest) (*pb.StatusResponse, error) {
	st := s.cfg.Proposer.Status()
	total, used := s.cfg.Size()
	resp := &pb.StatusResponse{
		Header:           s.header(),
		Version:          s.cfg.Version,
		DbSize:           total,
		DbSizeInUse:      used,
		Leader:           s.knownAs(uint64(st.Leader)),
		RaftIndex:        st.Committed,
		RaftTerm:         st.Term,
		RaftAppliedIndex: st.Applied,
		IsLearner:        st.Self.Awaits(),
		DowngradeInfo:    &pb.DowngradeInfo{},
	}
	if st.Leader == 0 {
		resp.Errors = append(resp.Errors, status.Convert(rpctypes.ErrGRPCNoLeader).Message())
		for _, r := range s.cfg.Proposer.Why() {
			resp.Errors = append(resp.Errors, r.Text)
		}
	}
	return resp, nil
}

// Alarm implements the query of etcd's Maintenance.Alarm, which etcdctl
// endpoint health asks: there are no alarms here.
func (s *maintenanceService) Alarm(_ context.Context, r *pb.AlarmRequest) (*pb.AlarmResponse, error) {
	if r.Action != pb.AlarmRequest_GET {
		return nil, unimplemented("alarms can't be set or cleared: a member whose disk is full stops and says so")
	}
	return &pb.AlarmResponse{Header: s.header()}, nil
}

// MoveLeader implements etcd's Maintenance.MoveLeader. As there, it must be
// asked of the leader.
func (s *maintenanceService) MoveLeader(ctx context.Context, r *pb.MoveLeaderRequest) (*pb.MoveLeaderResponse, error) {
	st := s.cfg.Proposer.Status()
	if st.Leader == 0 || st.Leader != st.Self.ID {
		return nil, rpctypes.ErrGRPCNotLeader
	}
	m, ok := st.Known(cluster.NodeID(r.TargetID))
	if !ok || m.Role != cluster.Voter {
		return nil, rpctypes.ErrGRPCBadLeaderTransferee
	}
	ctx, cancel := s.bound(ctx)
	defer cancel()
	if err := s.cfg.Membership.Transfer(ctx, m.ID); err != nil {
		return nil, s.toGRPC(err)
	}
	return &pb.MoveLeaderResponse{Header: s.header()}, nil
}
