package etcdapi

import (
	"context"
	"math/rand/v2"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/musterhq/muster/kv"
)

// Leases knows how long leases have left, which is no part of the Store: whoever
// leads counts. Errors are those of [Faults], or the context's.
type Leases interface {
	// Renew gives leases all of their time again, and says how many seconds that
	// is for each; 0: there is no such lease.
	Renew(ctx context.Context, ids []int64) (ttls []int64, err error)
	// RenewAtOnce renews one if that can be known without asking anybody.
	RenewAtOnce(id int64) (ttl int64, ok bool)
	// Left is how many seconds a lease has left, and was granted for; ok is false
	// when there is no such lease.
	Left(ctx context.Context, id int64) (left, granted int64, ok bool, err error)
	// Leases lists all, as this member knows them.
	Leases() []int64
}

// leaseService is etcd's Lease. What a caller may do is asked here for what this
// member answers, and by the machine for what becomes a command.
type leaseService struct {
	pb.UnsafeLeaseServer
	*Server
}

// LeaseGrant implements etcd's Lease.LeaseGrant. Chance and the cluster's timing
// come in here, so that the machine needs neither.
func (s *leaseService) LeaseGrant(ctx context.Context, r *pb.LeaseGrantRequest) (*pb.LeaseGrantResponse, error) {
	grant := &pb.LeaseGrantRequest{ID: r.GetID(), TTL: max(r.GetTTL(), s.cfg.MinLeaseTTL)}
	for grant.ID == 0 {
		grant.ID = rand.Int64()
	}
	cmd, err := kv.EncodeLeaseGrant(grant)
	if err != nil {
		return nil, s.toGRPC(err)
	}
	resp, err := propose[*pb.LeaseGrantResponse](ctx, s.Server, cmd)
	if err != nil {
		return nil, err
	}
	s.fill(resp.Header)
	return resp, nil
}

// LeaseRevoke implements etcd's Lease.LeaseRevoke.
func (s *leaseService) LeaseRevoke(ctx context.Context, r *pb.LeaseRevokeRequest) (*pb.LeaseRevokeResponse, error) {
	cmd, err := kv.EncodeLeaseRevoke(&pb.LeaseRevokeRequest{ID: r.GetID()})
	if err != nil {
		return nil, s.toGRPC(err)
	}
	resp, err := propose[*pb.LeaseRevokeResponse](ctx, s.Server, cmd)
	if err != nil {
		return nil, err
	}
	s.fill(resp.Header)
	return resp, nil
}

// LeaseTimeToLive implements etcd's Lease.LeaseTimeToLive. The keys are read
// here, as of a moment after the request; etcd asks the leader for them, too.
func (s *leaseService) LeaseTimeToLive(ctx context.Context, r *pb.LeaseTimeToLiveRequest) (*pb.LeaseTimeToLiveResponse, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	if r.GetKeys() {
		if _, err := s.cfg.Proposer.ReadIndex(ctx); err != nil {
			return nil, s.toGRPC(err)
		}
		if err := s.maySeeKeys(ctx, r.GetID()); err != nil {
			return nil, err
		}
	}
	left, granted, ok, err := s.cfg.Leases.Left(ctx, r.GetID())
	if err != nil {
		return nil, s.toGRPC(err)
	}
	if !ok {
		return &pb.LeaseTimeToLiveResponse{Header: s.header(), ID: r.GetID(), TTL: -1}, nil
	}
	resp := &pb.LeaseTimeToLiveResponse{ID: r.GetID(), TTL: left, GrantedTTL: granted}
	if r.GetKeys() {
		// Again: what was put on the lease in between may not be for the caller.
		if resp.Keys, err = s.cfg.Store.LeaseKeys(r.GetID()); err == nil {
			err = s.maySeeKeys(ctx, r.GetID())
		}
		if err != nil {
			return nil, s.toGRPC(err)
		}
	}
	resp.Header = s.header()
	return resp, nil
}

// LeaseLeases implements etcd's Lease.LeaseLeases: what this member knows, which
// may be behind, as there.
func (s *leaseService) LeaseLeases(ctx context.Context, _ *pb.LeaseLeasesRequest) (*pb.LeaseLeasesResponse, error) {
	ids := s.cfg.Leases.Leases()
	if err := s.maySeeKeys(ctx, ids...); err != nil {
		return nil, err
	}
	resp := &pb.LeaseLeasesResponse{Header: s.header(), Leases: make([]*pb.LeaseStatus, len(ids))}
	for i, id := range ids {
		resp.Leases[i] = &pb.LeaseStatus{ID: id}
	}
	return resp, nil
}
