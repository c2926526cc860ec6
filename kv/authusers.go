package kv

import (
	"encoding/base64"
	"fmt"
	"slices"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// What follows edits users, by etcd's rules. Every change of users or roles
// takes the next revision; asking for what is already so changes nothing.

func (e *authEdit) enable() error {
	if e.enabled {
		return nil
	}
	switch root := e.users[rootName]; {
	case root == nil:
		return ErrRootUserNotExist
	case !root.root:
		return ErrRootRoleNotExist
	}
	e.enabled, e.changed = true, true // no next revision: as in etcd
	return nil
}

func (e *authEdit) disable() error {
	if e.enabled {
		e.enabled, e.changed = false, true
		e.revision++
		e.a.known.tokens.ForgetAll()
	}
	return nil
}

// authenticate gives a user, whose password was checked, a token: the random
// text of the request, and the log index, by which a member knows whether it
// could know the token.
func (e *authEdit) authenticate(r *pb.InternalAuthenticateRequest) (token string, refusal error) {
	if !e.enabled {
		return "", ErrAuthNotEnabled
	}
	u := e.users[r.GetName()]
	if u == nil || u.GetOptions().GetNoPassword() {
		return "", ErrAuthFailed
	}
	token = fmt.Sprintf("%s.%d", r.GetSimpleToken(), e.index)
	e.a.known.tokens.Grant(token, r.GetName())
	return token, nil
}

func (e *authEdit) userAdd(r *pb.AuthUserAddRequest) error {
	if r.GetName() == "" {
		return ErrUserEmpty
	}
	if e.users[r.GetName()] != nil {
		return ErrUserAlreadyExist
	}
	u := &authpb.User{Name: []byte(r.GetName()), Options: r.GetOptions()}
	if u.Options == nil {
		u.Options = &authpb.UserAddOptions{}
	}
	if !u.Options.NoPassword {
		var err error
		if u.Password, err = base64.StdEncoding.DecodeString(r.GetHashedPassword()); err != nil {
			return ErrNoPasswordUser // so etcd calls it
		}
	}
	e.revision++
	e.setUser(u)
	return nil
}

func (e *authEdit) userDelete(name string) error {
	if e.enabled && name == rootName {
		return ErrInvalidAuthMgmt
	}
	if e.users[name] == nil {
		return ErrUserNotFound
	}
	e.revision++
	e.drop(authUser, name)
	delete(e.users, name)
	e.a.known.tokens.Forget(name)
	return nil
}

func (e *authEdit) userChangePassword(r *pb.AuthUserChangePasswordRequest) error {
	was := e.users[r.GetName()]
	if was == nil {
		return ErrUserNotFound
	}
	u := &authpb.User{Name: was.GetName(), Roles: was.GetRoles(), Options: was.GetOptions()}
	if !u.GetOptions().GetNoPassword() {
		var err error
		if u.Password, err = base64.StdEncoding.DecodeString(r.GetHashedPassword()); err != nil {
			return ErrNoPasswordUser
		}
	}
	e.revision++
	e.setUser(u)
	e.a.known.tokens.Forget(r.GetName())
	return nil
}

// userGrantRole grants the role root even if nobody has added it.
func (e *authEdit) userGrantRole(name, role string) error {
	was := e.users[name]
	if was == nil {
		return ErrUserNotFound
	}
	if role != rootName && e.roles[role] == nil {
		return ErrRoleNotFound
	}
	at, granted := slices.BinarySearch(was.GetRoles(), role)
	if granted {
		return nil
	}
	e.revision++
	e.setRolesOf(was, slices.Insert(slices.Clone(was.GetRoles()), at, role))
	return nil
}

func (e *authEdit) userRevokeRole(name, role string) error {
	if e.enabled && name == rootName && role == rootName {
		return ErrInvalidAuthMgmt
	}
	was := e.users[name]
	if was == nil {
		return ErrUserNotFound
	}
	at, granted := slices.BinarySearch(was.GetRoles(), role)
	if !granted {
		return ErrRoleNotGranted
	}
	e.revision++
	e.setRolesOf(was, slices.Delete(slices.Clone(was.GetRoles()), at, at+1))
	return nil
}

// setRolesOf stores a user with other roles, which are sorted.
func (e *authEdit) setRolesOf(u *account, roles []string) {
	e.setUser(&authpb.User{Name: u.GetName(), Password: u.GetPassword(), Options: u.GetOptions(), Roles: roles})
}
