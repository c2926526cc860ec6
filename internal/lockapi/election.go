package lockapi

import (
	"context"
	"errors"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"google.golang.org/grpc"
)

// errNoLeaderKey has etcd's words.
var errNoLeaderKey = errors.New(`"leader" field must be provided`)

type electionService struct {
	v3electionpb.UnsafeElectionServer
	*Server
}

// Campaign implements etcd's Election.Campaign: it returns once the caller
// leads, which it does as long as the key that it is answered with exists.
func (s *electionService) Campaign(ctx context.Context, r *v3electionpb.CampaignRequest) (*v3electionpb.CampaignResponse, error) {
	ctx = s.onBehalf(ctx)
	session, err := s.session(ctx, r.GetLease())
	if err != nil {
		return nil, err
	}
	e := concurrency.NewElection(session, string(r.GetName()))
	if err := e.Campaign(ctx, string(r.GetValue())); err != nil {
		return nil, err
	}
	return &v3electionpb.CampaignResponse{Header: e.Header(), Leader: &v3electionpb.LeaderKey{
		Name: r.GetName(), Key: []byte(e.Key()), Rev: e.Rev(), Lease: int64(session.Lease()),
	}}, nil
}

// Proclaim implements etcd's Election.Proclaim: the leader changes what it says.
func (s *electionService) Proclaim(ctx context.Context, r *v3electionpb.ProclaimRequest) (*v3electionpb.ProclaimResponse, error) {
	ctx = s.onBehalf(ctx)
	e, err := s.resume(ctx, r.GetLeader())
	if err != nil {
		return nil, err
	}
	if err := e.Proclaim(ctx, string(r.GetValue())); err != nil {
		return nil, err
	}
	return &v3electionpb.ProclaimResponse{Header: e.Header()}, nil
}

// Resign implements etcd's Election.Resign.
func (s *electionService) Resign(ctx context.Context, r *v3electionpb.ResignRequest) (*v3electionpb.ResignResponse, error) {
	ctx = s.onBehalf(ctx)
	e, err := s.resume(ctx, r.GetLeader())
	if err != nil {
		return nil, err
	}
	if err := e.Resign(ctx); err != nil {
		return nil, err
	}
	return &v3electionpb.ResignResponse{Header: e.Header()}, nil
}

// resume is the election of a leader that says it is one.
func (s *electionService) resume(ctx context.Context, leader *v3electionpb.LeaderKey) (*concurrency.Election, error) {
	if leader == nil {
		return nil, errNoLeaderKey
	}
	session, err := s.session(ctx, leader.GetLease())
	if err != nil {
		return nil, err
	}
	return concurrency.ResumeElection(session, string(leader.GetName()), string(leader.GetKey()), leader.GetRev()), nil
}

// Leader implements etcd's Election.Leader.
func (s *electionService) Leader(ctx context.Context, r *v3electionpb.LeaderRequest) (*v3electionpb.LeaderResponse, error) {
	ctx = s.onBehalf(ctx)
	session, err := s.reading(ctx)
	if err != nil {
		return nil, err
	}
	resp, err := concurrency.NewElection(session, string(r.GetName())).Leader(ctx)
	if err != nil {
		return nil, err
	}
	return leaderOf(resp), nil
}

// Observe implements etcd's Election.Observe: the leader of now, and each that
// follows, until the caller goes away.
func (s *electionService) Observe(r *v3electionpb.LeaderRequest, out grpc.ServerStreamingServer[v3electionpb.LeaderResponse]) error {
	ctx := s.onBehalf(out.Context())
	session, err := s.reading(ctx)
	if err != nil {
		return err
	}
	for resp := range concurrency.NewElection(session, string(r.GetName())).Observe(ctx) {
		if err := out.Send(leaderOf(resp)); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func leaderOf(resp *clientv3.GetResponse) *v3electionpb.LeaderResponse {
	return &v3electionpb.LeaderResponse{Header: resp.Header, Kv: resp.Kvs[0]}
}
