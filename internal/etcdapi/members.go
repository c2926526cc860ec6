package etcdapi

import (
	"cmp"
	"context"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/musterhq/muster/cluster"
)

// clusterService is etcd's Cluster, mapped onto a membership in which nodes join
// by themselves and a roster decides who votes.
//
// For etcd's clients a member has one ID all its life, from MemberAdd on. Here
// it has one of its own that lives with its disk; so that of MemberAdd goes on
// as its alias, and is the one that clients see, in every answer. Requests may
// name either.
type clusterService struct {
	pb.UnsafeClusterServer
	*Server
}

// MemberList implements etcd's Cluster.MemberList.
func (s *clusterService) MemberList(ctx context.Context, r *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	if err := s.agree(ctx, !r.Linearizable); err != nil {
		return nil, err
	}
	st := s.cfg.Proposer.Status()
	if st.ClusterID.IsZero() {
		return nil, s.notMember(nil)
	}
	return &pb.MemberListResponse{Header: s.clusterHeader(), Members: s.members(st)}, nil
}

// MemberAdd implements etcd's Cluster.MemberAdd: it announces a member, which is
// listed as one that has not started. It becomes that member by joining from the
// address that was given. Repeated after an unknown outcome it finds its own
// announcement, as in etcd: the peer URL exists.
func (s *clusterService) MemberAdd(ctx context.Context, r *pb.MemberAddRequest) (*pb.MemberAddResponse, error) {
	urls, err := peerURLs(r.PeerURLs)
	if err != nil {
		return nil, err
	}
	ctx, cancel := s.patient(ctx)
	defer cancel()
	a, err := s.cfg.Membership.Announce(ctx, urls, r.IsLearner)
	if err != nil {
		return nil, s.toGRPC(err)
	}
	added, all := announced(a), s.members(s.cfg.Proposer.Status())
	if !slices.ContainsFunc(all, func(m *pb.Member) bool { return m.ID == added.ID }) {
		all = inOrder(append(all, added)) // this member has not applied it yet
	}
	return &pb.MemberAddResponse{Header: s.clusterHeader(), Member: added, Members: all}, nil
}

// MemberRemove implements etcd's Cluster.MemberRemove. A member is removed
// for good, an announcement is taken back; what is gone already is not found.
func (s *clusterService) MemberRemove(ctx context.Context, r *pb.MemberRemoveRequest) (*pb.MemberRemoveResponse, error) {
	ctx, cancel := s.patient(ctx)
	defer cancel()
	gone := s.knownAs(r.ID)
	if err := s.cfg.Membership.RemoveBelowFloor(ctx, cluster.NodeID(r.ID)); err != nil {
		return nil, s.toGRPC(err)
	}
	left := slices.DeleteFunc(s.members(s.cfg.Proposer.Status()), func(m *pb.Member) bool { return m.ID == gone }) // if this member has not applied it yet
	return &pb.MemberRemoveResponse{Header: s.clusterHeader(), Members: left}, nil
}

// MemberUpdate implements etcd's Cluster.MemberUpdate: of an announcement it
// changes the addresses. Of a member it notes to which address it is about to
// move; the member tells the others itself where it is, once it runs there.
func (s *clusterService) MemberUpdate(ctx context.Context, r *pb.MemberUpdateRequest) (*pb.MemberUpdateResponse, error) {
	urls, err := peerURLs(r.PeerURLs)
	if err != nil {
		if _, known := s.cfg.Proposer.Status().Known(cluster.NodeID(r.ID)); !known {
			return nil, rpctypes.ErrGRPCMemberNotFound // etcd looks for the member first
		}
		return nil, err
	}
	ctx, cancel := s.patient(ctx)
	defer cancel()
	if err := s.cfg.Membership.Readdress(ctx, cluster.NodeID(r.ID), urls); err != nil {
		return nil, s.toGRPC(err)
	}
	return &pb.MemberUpdateResponse{Header: s.clusterHeader(), Members: s.members(s.cfg.Proposer.Status())}, nil
}

// MemberPromote implements etcd's Cluster.MemberPromote. It succeeds when the
// learner is ready to vote; whether it does at once, or is on standby until one
// more vote is wanted, is the policy's to say. Either way nothing is left to ask
// for, and it is no learner to etcd's clients any more.
func (s *clusterService) MemberPromote(ctx context.Context, r *pb.MemberPromoteRequest) (*pb.MemberPromoteResponse, error) {
	ctx, cancel := s.patient(ctx)
	defer cancel()
	if err := s.cfg.Membership.Promote(ctx, cluster.NodeID(r.ID)); err != nil {
		return nil, s.toGRPC(err)
	}
	all, promoted := s.members(s.cfg.Proposer.Status()), s.knownAs(r.ID)
	for _, m := range all {
		if m.ID == promoted {
			m.IsLearner = false // if this member has not applied it yet
		}
	}
	return &pb.MemberPromoteResponse{Header: s.clusterHeader(), Members: all}, nil
}

// clusterHeader has no revision, as those of etcd's Cluster.
func (s *Server) clusterHeader() *pb.ResponseHeader {
	h := s.header()
	h.Revision = 0
	return h
}

// knownAs is the ID by which clients know a member that may be named by its own.
func (s *Server) knownAs(id uint64) uint64 {
	if m, ok := s.cfg.Proposer.Status().Known(cluster.NodeID(id)); ok {
		return uint64(m.KnownAs())
	}
	return id
}

// members are those that are there and those that are to come, in the order of
// their IDs.
func (s *Server) members(st *cluster.Status) []*pb.Member {
	out := make([]*pb.Member, 0, len(st.Members)+len(st.Announced))
	for _, m := range st.Members {
		out = append(out, &pb.Member{
			ID:         uint64(m.KnownAs()),
			Name:       m.Name,
			PeerURLs:   urls(s.cfg.PeerScheme, cmp.Or(m.MovesTo, m.PeerAddr)),
			ClientURLs: urls("http", m.ClientAddrs()...),
			IsLearner:  m.Awaits(),
		})
	}
	for _, a := range st.Announced {
		out = append(out, announced(a))
	}
	return inOrder(out)
}

// announced is a member that has not started, as etcd shows one.
func announced(a cluster.Announced) *pb.Member {
	return &pb.Member{ID: uint64(a.ID), PeerURLs: a.PeerURLs, IsLearner: a.Learner}
}

func inOrder(ms []*pb.Member) []*pb.Member {
	slices.SortFunc(ms, func(a, b *pb.Member) int { return cmp.Compare(a.ID, b.ID) })
	return ms
}

// refusals are etcd's words for the codes by which a membership change is
// refused; what has none is told in ours.
var refusals = map[string]error{
	"peer_addr_taken":    rpctypes.ErrGRPCPeerURLExist,
	"id_taken":           rpctypes.ErrGRPCMemberExist,
	"unknown_member":     rpctypes.ErrGRPCMemberNotFound,
	"already_removed":    rpctypes.ErrGRPCMemberNotFound,
	"not_learner":        rpctypes.ErrGRPCMemberNotLearner,
	"not_there":          rpctypes.ErrGRPCLearnerNotReady,
	"not_active":         rpctypes.ErrGRPCLearnerNotReady,
	"not_stable":         rpctypes.ErrGRPCLearnerNotReady,
	"stopping":           rpctypes.ErrGRPCLearnerNotReady,
	"catching_up":        rpctypes.ErrGRPCLearnerNotReady,
	"receiving_snapshot": rpctypes.ErrGRPCLearnerNotReady,
	"would_lose_quorum":  rpctypes.ErrGRPCUnhealthy,
	"no_quorum":          rpctypes.ErrGRPCUnhealthy,
	"last_voter":         rpctypes.ErrGRPCMemberNotEnoughStarted,
}
