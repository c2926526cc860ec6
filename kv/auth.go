package kv

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster/kv/internal/mvcc"
)

// rootName is the name of the user and of the role that may do everything.
const rootName = "root"

// The kinds of facts in the keyspace of users and roles.
const (
	authSettings = 's' // name: empty; an AuthStatusResponse with its two fields
	authUser     = 'u' // an authpb.User
	authRole     = 'r' // an authpb.Role
)

// Auth is who may do what, as of one moment: users, roles, whether they are
// asked for at all, and the revision, which counts the changes of all that
// from 1 on. It is never changed, so that any goroutine may read it; nor may
// what it returns be changed.
type Auth struct {
	enabled  bool
	revision uint64
	users    map[string]*account
	roles    map[string]*authpb.Role
}

// account is a user with what its roles permit.
type account struct {
	*authpb.User
	root        bool
	read, write keySet
}

// authNow is the [Auth] that the current command sees, nil if the store is not
// open. It belongs to the applier: what readers see is in the published state.
type authNow struct{ p *Auth }

func (n *authNow) now() *Auth {
	if n.p != nil {
		return n.p
	}
	return &Auth{revision: 1}
}

// Auth is who may do what now. It is never nil.
//
// It moves together with the keys: who finds the same revision before and after
// a read has read what was there while that [Auth] held.
func (s *Store) Auth() *Auth {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.live == nil {
		return &Auth{revision: 1}
	}
	return s.live.state.Load().auth
}

// Enabled says whether permissions are asked for.
func (a *Auth) Enabled() bool { return a.enabled }

// Revision counts the changes of users and roles, from 1 on.
func (a *Auth) Revision() uint64 { return a.revision }

// User finds one by name.
func (a *Auth) User(name string) (*authpb.User, bool) {
	if u := a.users[name]; u != nil {
		return u.User, true
	}
	return nil, false
}

// Role finds one by name. That root may do everything is not among the
// permissions of the role root.
func (a *Auth) Role(name string) (*authpb.Role, bool) {
	r, ok := a.roles[name]
	return r, ok
}

// HasRole says whether the role is granted to the user.
func (a *Auth) HasRole(user, role string) bool {
	u := a.users[user]
	return u != nil && slices.Contains(u.GetRoles(), role)
}

// Users lists their names, sorted.
func (a *Auth) Users() []string { return slices.Sorted(maps.Keys(a.users)) }

// Roles lists their names, sorted.
func (a *Auth) Roles() []string { return slices.Sorted(maps.Keys(a.roles)) }

// account works out what the roles of u permit. One that isn't there permits
// nothing.
func (a *Auth) account(u *authpb.User) *account {
	acc := &account{User: u, root: slices.Contains(u.GetRoles(), rootName)}
	for _, name := range u.GetRoles() {
		for _, p := range a.roles[name].GetKeyPermission() {
			t := p.GetPermType()
			if t == authpb.Permission_READ || t == authpb.Permission_READWRITE {
				acc.read.add(p.GetKey(), p.GetRangeEnd())
			}
			if t == authpb.Permission_WRITE || t == authpb.Permission_READWRITE {
				acc.write.add(p.GetKey(), p.GetRangeEnd())
			}
		}
	}
	acc.read.merge()
	acc.write.merge()
	return acc
}

// loadAuth reads what the database of g holds, which is not live yet.
func (a *applier) loadAuth(g *generation) error {
	auth := &Auth{revision: 1, users: map[string]*account{}, roles: map[string]*authpb.Role{}}
	stored, ok, err := readFact(g.db, mvcc.AuthKey(authSettings, ""))
	if err != nil {
		return err
	}
	if ok {
		var set pb.AuthStatusResponse
		if err := proto.Unmarshal(stored, &set); err != nil {
			return fmt.Errorf("damaged store: the settings of authentication can't be read: %w", err)
		}
		auth.enabled, auth.revision = set.GetEnabled(), set.GetAuthRevision()
	}
	err = loadAuthFacts(g, authRole, func(r *authpb.Role) { auth.roles[string(r.GetName())] = r })
	if err == nil {
		err = loadAuthFacts(g, authUser, func(u *authpb.User) { auth.users[string(u.GetName())] = auth.account(u) })
	}
	if err != nil {
		return err
	}
	a.known.auth.p = auth
	st := *g.state.Load()
	st.auth = auth
	g.state.Store(&st)
	if a.known.tokens != nil {
		a.known.tokens.ForgetAll() // it may hold, or lack, changes of users that were not seen here
	}
	return nil
}

// loadAuthFacts decodes every fact of a kind.
func loadAuthFacts[T any, P interface {
	*T
	proto.Message
}](g *generation, kind byte, add func(P)) error {
	lower, upper := mvcc.AuthBounds(kind)
	return scanFacts(g.db, lower, upper, func(key, value []byte) error {
		p := P(new(T))
		if err := proto.Unmarshal(value, p); err != nil {
			return fmt.Errorf("damaged store: %T %q can't be read: %w", p, key[2:], err)
		}
		add(p)
		return nil
	})
}

// authEdit is an [Auth] in the making, by one command.
type authEdit struct {
	*Auth // with maps of its own once it is changed: not every command changes it
	a     *applier
	index uint64 // of the command's log entry

	changed bool
	err     error // why it can't be stored
}

func (a *applier) editAuth(index uint64) *authEdit {
	is := *a.known.auth.now()
	return &authEdit{a: a, index: index, Auth: &is}
}

// change comes before the first one of users or roles.
func (e *authEdit) change() {
	if !e.changed {
		e.users, e.roles = maps.Clone(e.users), maps.Clone(e.roles)
	}
	e.changed = true
}

// publish makes the edit what holds for the commands that follow.
func (e *authEdit) publish() error {
	if !e.changed || e.err != nil {
		return e.err
	}
	e.set(authSettings, "", &pb.AuthStatusResponse{Enabled: e.enabled, AuthRevision: e.revision})
	was := e.a.known.auth.p
	e.a.facts.onRefusal(func() { e.a.known.auth.p = was })
	e.a.known.auth.p = e.Auth
	return e.err
}

// set stores a fact. m is kept and must not be changed any more.
func (e *authEdit) set(kind byte, name string, m proto.Message) {
	e.change()
	stored, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		e.err = cmp.Or(e.err, fmt.Errorf("encode %T %q: %w", m, name, err))
		return
	}
	e.a.setFact(mvcc.AuthKey(kind, name), stored)
}

func (e *authEdit) setUser(u *authpb.User) {
	e.set(authUser, string(u.GetName()), u)
	e.users[string(u.GetName())] = e.account(u)
}

// setRole stores a role, and has its users be permitted what it says.
func (e *authEdit) setRole(r *authpb.Role) {
	name := string(r.GetName())
	e.set(authRole, name, r)
	e.roles[name] = r
	for user, u := range e.users {
		if slices.Contains(u.GetRoles(), name) {
			e.users[user] = e.account(u.User)
		}
	}
}

func (e *authEdit) drop(kind byte, name string) {
	e.change()
	e.a.deleteFact(mvcc.AuthKey(kind, name))
}
