package etcdapi

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster/kv"
)

// authService is etcd's Auth. Changes are commands, and the machine asks
// whether the caller may; etcd sends reads through the log, too, and here they
// are linearizable reads.
type authService struct {
	pb.UnsafeAuthServer
	*Server
}

// changeAuth carries out a change of users or roles.
func changeAuth[R interface{ GetHeader() *pb.ResponseHeader }](ctx context.Context, s *Server, r proto.Message) (R, error) {
	cmd, err := kv.EncodeAuth(r)
	if err != nil {
		var none R
		return none, s.toGRPC(err)
	}
	resp, err := propose[R](ctx, s, cmd)
	if err == nil {
		s.fill(resp.GetHeader())
	}
	return resp, err
}

// readAuth is who may do what, not older than the request, and who asks.
func (s *authService) readAuth(ctx context.Context) (*kv.Auth, kv.Caller, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	if _, err := s.cfg.Proposer.ReadIndex(ctx); err != nil {
		return nil, kv.Caller{}, s.toGRPC(err)
	}
	c, err := s.caller(ctx)
	return s.cfg.Store.Auth(), c, s.toGRPC(err)
}

// AuthEnable implements etcd's Auth.AuthEnable.
func (s *authService) AuthEnable(ctx context.Context, r *pb.AuthEnableRequest) (*pb.AuthEnableResponse, error) {
	return changeAuth[*pb.AuthEnableResponse](ctx, s.Server, r)
}

// AuthDisable implements etcd's Auth.AuthDisable.
func (s *authService) AuthDisable(ctx context.Context, r *pb.AuthDisableRequest) (*pb.AuthDisableResponse, error) {
	return changeAuth[*pb.AuthDisableResponse](ctx, s.Server, r)
}

// AuthStatus implements etcd's Auth.AuthStatus. As there, anybody may ask.
func (s *authService) AuthStatus(ctx context.Context, _ *pb.AuthStatusRequest) (*pb.AuthStatusResponse, error) {
	auth, _, err := s.readAuth(ctx)
	if err != nil {
		return nil, err
	}
	return &pb.AuthStatusResponse{Header: s.header(), Enabled: auth.Enabled(), AuthRevision: auth.Revision()}, nil
}

// Authenticate implements etcd's Auth.Authenticate: the password is checked
// here, as that takes long, and a token given only if no user changed since.
func (s *authService) Authenticate(ctx context.Context, r *pb.AuthenticateRequest) (*pb.AuthenticateResponse, error) {
	if err := s.agree(ctx, false); err != nil {
		return nil, err
	}
	for {
		auth := s.cfg.Store.Auth()
		if err := s.checkPassword(ctx, auth, r.GetName(), r.GetPassword()); err != nil {
			return nil, err
		}
		resp, err := s.giveToken(ctx, kv.Caller{Name: r.GetName(), Revision: auth.Revision()})
		if !errors.Is(err, kv.ErrAuthOldRevision) || ctx.Err() != nil {
			return resp, err
		}
	}
}

// giveToken gives one to a user whose password was right at the revision.
func (s *authService) giveToken(ctx context.Context, c kv.Caller) (*pb.AuthenticateResponse, error) {
	if jwt := s.cfg.Auth.JWT; jwt != nil {
		token, err := jwt.sign(c)
		if err != nil {
			return nil, status.Error(codes.Unknown, err.Error())
		}
		return &pb.AuthenticateResponse{Header: s.header(), Token: token}, nil
	}
	text, err := randomText()
	if err != nil {
		return nil, s.toGRPC(err)
	}
	cmd, err := kv.EncodeAuth(&pb.InternalAuthenticateRequest{Name: c.Name, SimpleToken: text})
	if err != nil {
		return nil, s.toGRPC(err)
	}
	ctx, cancel := s.bound(ctx)
	defer cancel()
	resp, err := proposeAs[*pb.AuthenticateResponse](ctx, s.Server, c, cmd)
	if err != nil {
		return nil, err
	}
	s.fill(resp.GetHeader())
	return resp, nil
}

// UserAdd implements etcd's Auth.UserAdd.
func (s *authService) UserAdd(ctx context.Context, r *pb.AuthUserAddRequest) (*pb.AuthUserAddResponse, error) {
	is := &pb.AuthUserAddRequest{Name: r.GetName(), Options: r.GetOptions()}
	if !r.GetOptions().GetNoPassword() {
		var err error
		if is.HashedPassword, err = s.hash(ctx, r.GetPassword()); err != nil {
			return nil, err
		}
	}
	return changeAuth[*pb.AuthUserAddResponse](ctx, s.Server, is)
}

// UserGet implements etcd's Auth.UserGet. Users may ask about themselves.
func (s *authService) UserGet(ctx context.Context, r *pb.AuthUserGetRequest) (*pb.AuthUserGetResponse, error) {
	auth, c, err := s.readAuth(ctx)
	if err != nil {
		return nil, err
	}
	if err := auth.MayAdminister(c); err != nil && r.GetName() != c.Name {
		return nil, err
	}
	u, ok := auth.User(r.GetName())
	if !ok {
		return nil, kv.ErrUserNotFound
	}
	return &pb.AuthUserGetResponse{Header: s.header(), Roles: u.GetRoles()}, nil
}

// UserList implements etcd's Auth.UserList.
func (s *authService) UserList(ctx context.Context, _ *pb.AuthUserListRequest) (*pb.AuthUserListResponse, error) {
	auth, c, err := s.readAuth(ctx)
	if err != nil {
		return nil, err
	}
	if err := auth.MayAdminister(c); err != nil {
		return nil, err
	}
	return &pb.AuthUserListResponse{Header: s.header(), Users: auth.Users()}, nil
}

// UserDelete implements etcd's Auth.UserDelete.
func (s *authService) UserDelete(ctx context.Context, r *pb.AuthUserDeleteRequest) (*pb.AuthUserDeleteResponse, error) {
	return changeAuth[*pb.AuthUserDeleteResponse](ctx, s.Server, r)
}

// UserChangePassword implements etcd's Auth.UserChangePassword. As there, a
// client may send a hash in place of a password.
func (s *authService) UserChangePassword(ctx context.Context, r *pb.AuthUserChangePasswordRequest) (*pb.AuthUserChangePasswordResponse, error) {
	is := &pb.AuthUserChangePasswordRequest{Name: r.GetName(), HashedPassword: r.GetHashedPassword()}
	if r.GetPassword() != "" {
		var err error
		if is.HashedPassword, err = s.hash(ctx, r.GetPassword()); err != nil {
			return nil, err
		}
	}
	return changeAuth[*pb.AuthUserChangePasswordResponse](ctx, s.Server, is)
}

// UserGrantRole implements etcd's Auth.UserGrantRole.
func (s *authService) UserGrantRole(ctx context.Context, r *pb.AuthUserGrantRoleRequest) (*pb.AuthUserGrantRoleResponse, error) {
	return changeAuth[*pb.AuthUserGrantRoleResponse](ctx, s.Server, r)
}

// UserRevokeRole implements etcd's Auth.UserRevokeRole.
func (s *authService) UserRevokeRole(ctx context.Context, r *pb.AuthUserRevokeRoleRequest) (*pb.AuthUserRevokeRoleResponse, error) {
	return changeAuth[*pb.AuthUserRevokeRoleResponse](ctx, s.Server, r)
}

// RoleAdd implements etcd's Auth.RoleAdd.
func (s *authService) RoleAdd(ctx context.Context, r *pb.AuthRoleAddRequest) (*pb.AuthRoleAddResponse, error) {
	return changeAuth[*pb.AuthRoleAddResponse](ctx, s.Server, r)
}

// RoleGet implements etcd's Auth.RoleGet. Users may ask about roles of theirs.
func (s *authService) RoleGet(ctx context.Context, r *pb.AuthRoleGetRequest) (*pb.AuthRoleGetResponse, error) {
	auth, c, err := s.readAuth(ctx)
	if err != nil {
		return nil, err
	}
	if err := auth.MayAdminister(c); err != nil && !auth.HasRole(c.Name, r.GetRole()) {
		return nil, err
	}
	role, ok := auth.Role(r.GetRole())
	if !ok {
		return nil, kv.ErrRoleNotFound
	}
	resp := &pb.AuthRoleGetResponse{Header: s.header(), Perm: role.GetKeyPermission()}
	if r.GetRole() == "root" {
		resp.Perm = []*authpb.Permission{{PermType: authpb.Permission_READWRITE, Key: []byte{}, RangeEnd: []byte{0}}}
	}
	return resp, nil
}

// RoleList implements etcd's Auth.RoleList.
func (s *authService) RoleList(ctx context.Context, _ *pb.AuthRoleListRequest) (*pb.AuthRoleListResponse, error) {
	auth, c, err := s.readAuth(ctx)
	if err != nil {
		return nil, err
	}
	if err := auth.MayAdminister(c); err != nil {
		return nil, err
	}
	return &pb.AuthRoleListResponse{Header: s.header(), Roles: auth.Roles()}, nil
}

// RoleDelete implements etcd's Auth.RoleDelete.
func (s *authService) RoleDelete(ctx context.Context, r *pb.AuthRoleDeleteRequest) (*pb.AuthRoleDeleteResponse, error) {
	return changeAuth[*pb.AuthRoleDeleteResponse](ctx, s.Server, r)
}

// RoleGrantPermission implements etcd's Auth.RoleGrantPermission.
func (s *authService) RoleGrantPermission(ctx context.Context, r *pb.AuthRoleGrantPermissionRequest) (*pb.AuthRoleGrantPermissionResponse, error) {
	return changeAuth[*pb.AuthRoleGrantPermissionResponse](ctx, s.Server, r)
}

// RoleRevokePermission implements etcd's Auth.RoleRevokePermission.
func (s *authService) RoleRevokePermission(ctx context.Context, r *pb.AuthRoleRevokePermissionRequest) (*pb.AuthRoleRevokePermissionResponse, error) {
	return changeAuth[*pb.AuthRoleRevokePermissionResponse](ctx, s.Server, r)
}
