package etcdapi

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/status"

	"github.com/musterhq/muster/cluster"
)

// maintenanceService is etcd's Maintenance.
type maintenanceService struct {
	pb.UnsafeMaintenanceServer
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
		StorageVersion:   storageVersion,
		DowngradeInfo:    &pb.DowngradeInfo{},
	}
	if s.cfg.Quota != nil {
		resp.DbSizeQuota = s.cfg.Quota.Limit()
	}
	if st.Leader == 0 {
		resp.Errors = append(resp.Errors, status.Convert(rpctypes.ErrGRPCNoLeader).Message())
		for _, r := range s.cfg.Proposer.Why() {
			resp.Errors = append(resp.Errors, r.Text)
		}
	}
	for _, a := range s.cfg.Store.Alarms() {
		resp.Errors = append(resp.Errors, a.String())
	}
	return resp, nil
}

// Alarm implements etcd's Maintenance.Alarm. Other than there, a list of those
// that are raised is a linearizable read and enters no log: probes ask it often.
func (s *maintenanceService) Alarm(ctx context.Context, r *pb.AlarmRequest) (*pb.AlarmResponse, error) {
	if r.GetAction() == pb.AlarmRequest_GET {
		return s.listAlarms(ctx, r.GetAlarm())
	}
	resp, err := s.proposeAlarm(ctx, r)
	if err != nil {
		return nil, err
	}
	s.fill(resp.Header)
	return resp, nil
}

func (s *maintenanceService) listAlarms(ctx context.Context, kind pb.AlarmType) (*pb.AlarmResponse, error) {
	if err := s.confirm(ctx); err != nil {
		return nil, s.toGRPC(err)
	}
	resp := &pb.AlarmResponse{Header: s.header()}
	for _, a := range s.cfg.Store.Alarms() {
		if kind == pb.AlarmType_NONE || kind == a.GetAlarm() {
			resp.Alarms = append(resp.Alarms, a)
		}
	}
	return resp, nil
}

// Defragment implements etcd's Maintenance.Defragment. There is nothing to do, as
// what was deleted and compacted is given back in the background; but whoever
// makes room under a quota goes on when it returns, and is to find room then.
func (s *maintenanceService) Defragment(ctx context.Context, _ *pb.DefragmentRequest) (*pb.DefragmentResponse, error) {
	if s.cfg.Quota != nil {
		if err := s.cfg.Quota.Reclaim(ctx); err != nil {
			return nil, s.toGRPC(err)
		}
	}
	return &pb.DefragmentResponse{}, nil // without a header, as etcd's
}

// Hash implements etcd's Maintenance.Hash: all that is replicated.
func (s *maintenanceService) Hash(ctx context.Context, _ *pb.HashRequest) (*pb.HashResponse, error) {
	sum, rev, err := s.cfg.Store.Hash(ctx)
	if err != nil {
		return nil, s.toGRPC(err)
	}
	resp := &pb.HashResponse{Header: &pb.ResponseHeader{Revision: rev}, Hash: sum}
	s.fill(resp.Header)
	return resp, nil
}

// HashKV implements etcd's Maintenance.HashKV: the keys as of a revision. It
// takes as long as the store is large, and its client's deadline, if any, ends it.
func (s *maintenanceService) HashKV(ctx context.Context, r *pb.HashKVRequest) (*pb.HashKVResponse, error) {
	h, err := s.cfg.Store.HashKV(ctx, r.GetRevision())
	if err != nil {
		return nil, s.toGRPC(err)
	}
	resp := &pb.HashKVResponse{
		Header: &pb.ResponseHeader{Revision: h.Current},
		Hash:   h.Sum, CompactRevision: h.Compacted, HashRevision: h.Revision,
	}
	s.fill(resp.Header)
	return resp, nil
}

// MoveLeader implements etcd's Maintenance.MoveLeader. As there, it must be
// asked of the leader, and the answer has no header.
func (s *maintenanceService) MoveLeader(ctx context.Context, r *pb.MoveLeaderRequest) (*pb.MoveLeaderResponse, error) {
	st := s.cfg.Proposer.Status()
	if st.Leader == 0 || st.Leader != st.Self.ID {
		return nil, rpctypes.ErrGRPCNotLeader
	}
	m, ok := st.Known(cluster.NodeID(r.TargetID))
	if !ok || m.Role != cluster.Voter {
		return nil, rpctypes.ErrGRPCBadLeaderTransferee
	}
	ctx, cancel := s.patient(ctx)
	defer cancel()
	if err := s.cfg.Membership.Transfer(ctx, m.ID); err != nil {
		return nil, s.toGRPC(err)
	}
	return &pb.MoveLeaderResponse{}, nil
}
