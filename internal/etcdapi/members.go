package etcdapi

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/musterhq/muster/cluster"
)

// clusterService is etcd's Cluster.
type clusterService struct {
	pb.UnsafeClusterServer
	*Server
}

// MemberList implements etcd's Cluster.MemberList.
func (s *clusterService) MemberList(ctx context.Context, r *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	if r.Linearizable {
		if _, err := s.cfg.Proposer.ReadIndex(ctx); err != nil {
			return nil, s.toGRPC(err)
		}
	}
	st := s.cfg.Proposer.Status()
	if st.ClusterID.IsZero() {
		return nil, s.notMember(nil)
	}
	return &pb.MemberListResponse{Header: s.header(), Members: members(st)}, nil
}

// MemberRemove implements etcd's Cluster.MemberRemove. A member is removed
// for good; one that is gone already is not found.
func (s *clusterService) MemberRemove(ctx context.Context, r *pb.MemberRemoveRequest) (*pb.MemberRemoveResponse, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	st := s.cfg.Proposer.Status()
	if st.ClusterID.IsZero() {
		return nil, s.notMember(nil)
	}
	id := cluster.NodeID(r.ID)
	if _, ok := st.Member(id); !ok {
		return nil, rpctypes.ErrGRPCMemberNotFound
	}
	if err := s.cfg.Membership.RemoveBelowFloor(ctx, id); err != nil {
		return nil, s.toGRPC(err)
	}
	left := members(s.cfg.Proposer.Status())
	for i, m := range left { // this member may not have applied the removal yet
		if m.ID == r.ID {
			left = append(left[:i], left[i+1:]...)
			break
		}
	}
	return &pb.MemberRemoveResponse{Header: s.header(), Members: left}, nil
}

// MemberAdd is not offered: members join by themselves.
func (s *clusterService) MemberAdd(context.Context, *pb.MemberAddRequest) (*pb.MemberAddResponse, error) {
	return nil, unimplemented("members join by themselves: start the new one with `muster serve --join-only --seeds` and the peer address of any member")
}

// MemberUpdate is not offered: a member tells its addresses itself.
func (s *clusterService) MemberUpdate(context.Context, *pb.MemberUpdateRequest) (*pb.MemberUpdateResponse, error) {
	return nil, unimplemented("a member tells its addresses itself: restart it with another --peer-advertise or --advertise")
}

// MemberPromote is not offered: learners are promoted by the cluster.
func (s *clusterService) MemberPromote(context.Context, *pb.MemberPromoteRequest) (*pb.MemberPromoteResponse, error) {
	return nil, unimplemented("learners are promoted by the cluster as soon as that is safe; `muster why` says what it waits for")
}

// members are in the order of their IDs.
func members(st *cluster.Status) []*pb.Member {
	out := make([]*pb.Member, 0, len(st.Members))
	for _, m := range st.Members {
		out = append(out, &pb.Member{
			ID:         uint64(m.ID),
			Name:       m.Name,
			PeerURLs:   urls(m.PeerAddr),
			ClientURLs: urls(m.ClientAddr),
			IsLearner:  m.Role == cluster.Learner,
		})
	}
	return out
}

func urls(addr string) []string {
	if addr == "" {
		return nil
	}
	return []string{cluster.URL(addr)}
}
