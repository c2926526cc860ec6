package etcdapi

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/musterhq/muster/kv"
)

// need is what a method asks of its caller while authentication is enabled.
type need byte

const (
	// unknownNeed is that of a method that is not in the table, and is refused.
	unknownNeed need = iota
	needNobody
	needUser // any that there is
	needRoot
	// needKeys: it depends on the keys, or on the user that is asked about.
	// What becomes a command is asked about by the machine, as propose says
	// who sent it; reads go through readAs; or the method asks by itself.
	needKeys
)

// needOf is the table of the methods. req is nil for streams.
func needOf(method string, req any) need {
	switch method {
	case pb.KV_Range_FullMethodName, pb.KV_RangeStream_FullMethodName, pb.KV_Put_FullMethodName,
		pb.KV_DeleteRange_FullMethodName, pb.KV_Txn_FullMethodName,
		pb.Watch_Watch_FullMethodName, pb.Lease_LeaseKeepAlive_FullMethodName, pb.Lease_LeaseLeases_FullMethodName,
		"/v3lockpb.Lock/Lock", "/v3lockpb.Lock/Unlock", // by requests to the other services
		"/v3electionpb.Election/Campaign", "/v3electionpb.Election/Proclaim", "/v3electionpb.Election/Leader",
		"/v3electionpb.Election/Observe", "/v3electionpb.Election/Resign",
		pb.Auth_AuthEnable_FullMethodName, pb.Auth_AuthDisable_FullMethodName,
		pb.Auth_UserAdd_FullMethodName, pb.Auth_UserGet_FullMethodName, pb.Auth_UserList_FullMethodName,
		pb.Auth_UserDelete_FullMethodName, pb.Auth_UserChangePassword_FullMethodName,
		pb.Auth_UserGrantRole_FullMethodName, pb.Auth_UserRevokeRole_FullMethodName,
		pb.Auth_RoleAdd_FullMethodName, pb.Auth_RoleGet_FullMethodName, pb.Auth_RoleList_FullMethodName,
		pb.Auth_RoleDelete_FullMethodName, pb.Auth_RoleGrantPermission_FullMethodName,
		pb.Auth_RoleRevokePermission_FullMethodName:
		return needKeys
	case pb.Auth_Authenticate_FullMethodName, pb.Auth_AuthStatus_FullMethodName,
		"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/List", "/grpc.health.v1.Health/Watch",
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
		"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo":
		return needNobody
	case pb.Lease_LeaseGrant_FullMethodName, pb.Lease_LeaseRevoke_FullMethodName, pb.Lease_LeaseTimeToLive_FullMethodName,
		pb.Cluster_MemberList_FullMethodName, pb.Maintenance_Status_FullMethodName:
		return needUser
	case pb.Maintenance_Alarm_FullMethodName:
		if r, ok := req.(*pb.AlarmRequest); ok && r.GetAction() == pb.AlarmRequest_GET {
			return needUser
		}
		return needRoot
	case pb.Cluster_MemberAdd_FullMethodName:
		if r, ok := req.(*pb.MemberAddRequest); ok {
			if _, err := peerURLs(r.GetPeerURLs()); err != nil {
				return needNobody // it is refused for its URLs, whoever asks, as in etcd
			}
		}
		return needRoot
	case pb.KV_Compact_FullMethodName,
		pb.Cluster_MemberRemove_FullMethodName,
		pb.Cluster_MemberUpdate_FullMethodName, pb.Cluster_MemberPromote_FullMethodName,
		pb.Maintenance_Defragment_FullMethodName, pb.Maintenance_Hash_FullMethodName,
		pb.Maintenance_HashKV_FullMethodName, pb.Maintenance_Snapshot_FullMethodName,
		pb.Maintenance_MoveLeader_FullMethodName, pb.Maintenance_Downgrade_FullMethodName:
		return needRoot
	}
	return unknownNeed
}

func (s *Server) admitUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := s.admit(ctx, info.FullMethod, req); err != nil {
		return nil, err
	}
	return next(ctx, req)
}

func (s *Server) admitStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if err := s.admit(stream.Context(), info.FullMethod, nil); err != nil {
		return err
	}
	return next(srv, stream)
}

// admit refuses a caller who may not use the method at all, and what can't be
// looked into yet.
func (s *Server) admit(ctx context.Context, method string, req any) error {
	if err := s.catchUp(ctx, ageOf(method, req)); err != nil {
		return s.toGRPC(err)
	}
	if !s.cfg.Store.Auth().Enabled() {
		return nil
	}
	need := needOf(method, req)
	switch need {
	case needNobody, needKeys:
		return nil
	case needUser, needRoot:
	default:
		return kv.ErrPermissionDenied
	}
	ctx, cancel := s.bound(ctx)
	defer cancel()
	c, err := s.caller(ctx)
	switch auth := s.cfg.Store.Auth(); {
	case err != nil:
		return s.toGRPC(err)
	case need == needRoot:
		return auth.MayAdminister(c)
	case auth.Enabled() && c == kv.Caller{}:
		return kv.ErrUserEmpty
	}
	return nil
}
