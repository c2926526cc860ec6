package etcdapi

import (
	"context"
	"errors"
	"sync/atomic"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/kv"
)

// age is how old what a member holds may be, users and roles too, for it to look
// into a request. etcd opens its port only when it has caught up; a member here
// is asked before that, and one that has just come holds nothing yet, so that
// nobody would need a password.
type age byte

const (
	ofAnyTime age = iota // it doesn't matter, or the method sees to it
	// ofThisLife: the member has caught up once since it came into its cluster. With
	// what it held before a restart it answers, also without a leader.
	ofThisLife
	ofThisRun // it has caught up once since it was started
	ofNow     // it lacks nothing that was committed before the request
)

// ageOf is the table of the methods.
func ageOf(method string, req any) age {
	need := needOf(method, req)
	if need == needNobody {
		return ofAnyTime
	}
	switch method {
	case pb.Maintenance_Status_FullMethodName, pb.Cluster_MemberList_FullMethodName,
		"/v3lockpb.Lock/Lock", "/v3lockpb.Lock/Unlock", // by requests to the other services
		"/v3electionpb.Election/Campaign", "/v3electionpb.Election/Proclaim", "/v3electionpb.Election/Leader",
		"/v3electionpb.Election/Observe", "/v3electionpb.Election/Resign":
		return ofAnyTime
	case pb.Watch_Watch_FullMethodName: // the caller is asked about once, and hears of all that follows
		return ofThisRun
	case pb.KV_Compact_FullMethodName,
		pb.Cluster_MemberAdd_FullMethodName, pb.Cluster_MemberRemove_FullMethodName,
		pb.Cluster_MemberUpdate_FullMethodName, pb.Cluster_MemberPromote_FullMethodName,
		pb.Maintenance_MoveLeader_FullMethodName: // nobody asks about the caller again
		return ofNow
	case pb.Maintenance_Alarm_FullMethodName:
		if need == needRoot {
			return ofNow
		}
	}
	return ofThisLife
}

// caughtUp is what a server knows of how far its member is.
type caughtUp struct {
	came bool        // the member held nothing of a cluster's when the server was made
	once atomic.Bool // since then it has caught up
}

// hasNothing: it is in no cluster, or was admitted to one and has got nothing yet.
func hasNothing(st *cluster.Status) bool { return st.ClusterID.IsZero() || st.Applied == 0 }

// catchUp returns when what the member holds is not older than that. The error
// is the Proposer's.
func (s *Server) catchUp(ctx context.Context, a age) error {
	switch {
	case a == ofAnyTime,
		a == ofThisLife && !s.caughtUp.came,
		a < ofNow && s.caughtUp.once.Load():
		return nil
	}
	err := s.confirm(ctx)
	if err == nil {
		s.caughtUp.once.Store(true)
	}
	return err
}

// authNow is who may do what, not older than the request. A node that is in no
// cluster knows of nobody.
func (s *Server) authNow(ctx context.Context) (*kv.Auth, error) {
	if err := s.catchUp(ctx, ofNow); err != nil && (s.cfg.Faults.NotMember == nil || !errors.Is(err, s.cfg.Faults.NotMember)) {
		return nil, s.toGRPC(err)
	}
	return s.cfg.Store.Auth(), nil
}
