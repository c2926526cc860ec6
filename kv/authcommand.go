package kv

import (
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster/statemachine"
)

// EncodeAuth makes a command of a request that changes users, roles or whether
// they are asked for, or that gives a token (an InternalAuthenticateRequest).
// Passwords must have been hashed before: HashedPassword is the base64 of what
// is stored, and Password empty.
//
//	+----+------+------------------------------------+
//	| op | kind | etcdserverpb.…Request, as protobuf |
//	+----+------+------------------------------------+
func EncodeAuth(r proto.Message) ([]byte, error) {
	kind := authKind(r)
	if kind == 0 {
		return nil, fmt.Errorf("kv: %T changes no users or roles", r)
	}
	return appendCommand([]byte{opAuth}, kind, r)
}

// authKind is the kind byte of a request, 0 for others. It is on disk and on
// the wire: never change one.
func authKind(r proto.Message) byte {
	switch r.(type) {
	case *pb.AuthEnableRequest:
		return 1
	case *pb.AuthDisableRequest:
		return 2
	case *pb.InternalAuthenticateRequest:
		return 3
	case *pb.AuthUserAddRequest:
		return 4
	case *pb.AuthUserDeleteRequest:
		return 5
	case *pb.AuthUserChangePasswordRequest:
		return 6
	case *pb.AuthUserGrantRoleRequest:
		return 7
	case *pb.AuthUserRevokeRoleRequest:
		return 8
	case *pb.AuthRoleAddRequest:
		return 9
	case *pb.AuthRoleDeleteRequest:
		return 10
	case *pb.AuthRoleGrantPermissionRequest:
		return 11
	case *pb.AuthRoleRevokePermissionRequest:
		return 12
	}
	return 0
}

// newAuthRequest is an empty request of the kind, nil if there is none.
func newAuthRequest(kind byte) proto.Message {
	switch kind {
	case 1:
		return &pb.AuthEnableRequest{}
	case 2:
		return &pb.AuthDisableRequest{}
	case 3:
		return &pb.InternalAuthenticateRequest{}
	case 4:
		return &pb.AuthUserAddRequest{}
	case 5:
		return &pb.AuthUserDeleteRequest{}
	case 6:
		return &pb.AuthUserChangePasswordRequest{}
	case 7:
		return &pb.AuthUserGrantRoleRequest{}
	case 8:
		return &pb.AuthUserRevokeRoleRequest{}
	case 9:
		return &pb.AuthRoleAddRequest{}
	case 10:
		return &pb.AuthRoleDeleteRequest{}
	case 11:
		return &pb.AuthRoleGrantPermissionRequest{}
	case 12:
		return &pb.AuthRoleRevokePermissionRequest{}
	}
	return nil
}

// mayChangeAuth says whether the caller may send a command of this kind. A
// token is only for who knew the password as it is: the caller's revision is
// the one at which it was checked.
func (a *Auth) mayChangeAuth(c Caller, body []byte) error {
	if len(body) == 0 || body[0] != authKind(&pb.InternalAuthenticateRequest{}) {
		return a.MayAdminister(c)
	}
	if c.Revision < a.revision {
		return ErrAuthOldRevision
	}
	return nil
}

// runAuth carries out a change of users or roles.
func (a *applier) runAuth(e statemachine.Entry) (Reply, error) {
	body := e.Command[1:]
	if len(body) == 0 {
		return Reply{Err: ErrBadCommand}, nil
	}
	req := newAuthRequest(body[0])
	if req == nil {
		return Reply{}, fmt.Errorf("log entry %d holds a change of kind %d of users or roles, which this version does not know: "+
			"a newer one wrote it; run that version on this member", e.Index, body[0])
	}
	if proto.Unmarshal(body[1:], req) != nil {
		return Reply{Err: ErrBadCommand}, nil
	}
	edit := a.editAuth(e.Index)
	resp, refusal := edit.run(req, &pb.ResponseHeader{Revision: a.begin})
	if refusal != nil {
		return Reply{Err: refusal}, nil
	}
	if err := edit.publish(); err != nil || !e.Wanted {
		return Reply{}, err
	}
	return Reply{Response: resp}, nil
}

// run edits, or says why not; nothing was then edited.
func (e *authEdit) run(req proto.Message, h *pb.ResponseHeader) (resp proto.Message, refusal error) {
	switch r := req.(type) {
	case *pb.AuthEnableRequest:
		return &pb.AuthEnableResponse{Header: h}, e.enable()
	case *pb.AuthDisableRequest:
		return &pb.AuthDisableResponse{Header: h}, e.disable()
	case *pb.InternalAuthenticateRequest:
		token, refusal := e.authenticate(r)
		return &pb.AuthenticateResponse{Header: h, Token: token}, refusal
	case *pb.AuthUserAddRequest:
		return &pb.AuthUserAddResponse{Header: h}, e.userAdd(r)
	case *pb.AuthUserDeleteRequest:
		return &pb.AuthUserDeleteResponse{Header: h}, e.userDelete(r.GetName())
	case *pb.AuthUserChangePasswordRequest:
		return &pb.AuthUserChangePasswordResponse{Header: h}, e.userChangePassword(r)
	case *pb.AuthUserGrantRoleRequest:
		return &pb.AuthUserGrantRoleResponse{Header: h}, e.userGrantRole(r.GetUser(), r.GetRole())
	case *pb.AuthUserRevokeRoleRequest:
		return &pb.AuthUserRevokeRoleResponse{Header: h}, e.userRevokeRole(r.GetName(), r.GetRole())
	case *pb.AuthRoleAddRequest:
		return &pb.AuthRoleAddResponse{Header: h}, e.roleAdd(r.GetName())
	case *pb.AuthRoleDeleteRequest:
		return &pb.AuthRoleDeleteResponse{Header: h}, e.roleDelete(r.GetRole())
	case *pb.AuthRoleGrantPermissionRequest:
		return &pb.AuthRoleGrantPermissionResponse{Header: h}, e.roleGrant(r)
	case *pb.AuthRoleRevokePermissionRequest:
		return &pb.AuthRoleRevokePermissionResponse{Header: h}, e.roleRevoke(r)
	}
	return nil, ErrBadCommand
}
