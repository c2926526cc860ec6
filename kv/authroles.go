package kv

import (
	"bytes"
	"maps"
	"slices"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// What follows edits roles, by etcd's rules.

func (e *authEdit) roleAdd(name string) error {
	if name == "" {
		return ErrRoleEmpty
	}
	if e.roles[name] != nil {
		return ErrRoleAlreadyExist
	}
	e.revision++
	e.setRole(&authpb.Role{Name: []byte(name)})
	return nil
}

// roleDelete takes the role from all users, too.
func (e *authEdit) roleDelete(name string) error {
	if e.enabled && name == rootName {
		return ErrInvalidAuthMgmt
	}
	if e.roles[name] == nil {
		return ErrRoleNotFound
	}
	e.revision++
	e.drop(authRole, name)
	delete(e.roles, name)
	for _, user := range slices.Sorted(maps.Keys(e.users)) {
		u := e.users[user]
		if at, granted := slices.BinarySearch(u.GetRoles(), name); granted {
			e.setRolesOf(u, slices.Delete(slices.Clone(u.GetRoles()), at, at+1))
		}
	}
	return nil
}

// roleGrant adds a permission, or changes the type of the one for the same
// key and range_end. etcd overlooks the latter behind another one of the same
// key, and then keeps both.
func (e *authEdit) roleGrant(r *pb.AuthRoleGrantPermissionRequest) error {
	p := r.GetPerm()
	if p == nil {
		return ErrPermissionNotGiven
	}
	if !isPermissionRange(p.GetKey(), p.GetRangeEnd()) {
		return ErrInvalidAuthMgmt
	}
	was := e.roles[r.GetName()]
	if was == nil {
		return ErrRoleNotFound
	}
	is := &authpb.Permission{Key: p.GetKey(), RangeEnd: p.GetRangeEnd(), PermType: p.GetPermType()}
	perms := slices.Clone(was.GetKeyPermission())
	same := func(p *authpb.Permission) bool { return samePermission(p, is.GetKey(), is.GetRangeEnd()) }
	if at := slices.IndexFunc(perms, same); at >= 0 {
		perms[at] = is
	} else {
		perms = append(perms, is)
		slices.SortStableFunc(perms, func(a, b *authpb.Permission) int { return bytes.Compare(a.GetKey(), b.GetKey()) })
	}
	e.revision++
	e.setRole(&authpb.Role{Name: was.GetName(), KeyPermission: perms})
	return nil
}

func (e *authEdit) roleRevoke(r *pb.AuthRoleRevokePermissionRequest) error {
	was := e.roles[r.GetRole()]
	if was == nil {
		return ErrRoleNotFound
	}
	perms := slices.DeleteFunc(slices.Clone(was.GetKeyPermission()), func(p *authpb.Permission) bool {
		return samePermission(p, r.GetKey(), r.GetRangeEnd())
	})
	if len(perms) == len(was.GetKeyPermission()) {
		return ErrPermissionNotGranted
	}
	e.revision++
	e.setRole(&authpb.Role{Name: was.GetName(), KeyPermission: perms})
	return nil
}

func samePermission(p *authpb.Permission, key, end []byte) bool {
	return bytes.Equal(p.GetKey(), key) && bytes.Equal(p.GetRangeEnd(), end)
}

// isPermissionRange says whether a permission may be for this.
func isPermissionRange(key, end []byte) bool {
	s := spanOf(key, end)
	return len(key) > 0 && (s.single || s.open || bytes.Compare(key, end) < 0)
}
