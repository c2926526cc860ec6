package kv

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster/statemachine"
)

// authModel keeps grants as they were said, and asks all of them each time.
type authModel struct {
	roles map[string]map[[2]string]authpb.Permission_Type
	users map[string]map[string]bool
}

// may says whether each of the keys may be read, or written, by some grant.
func (m authModel) may(user string, write bool, keys []string) bool {
	if m.users[user]["root"] {
		return true
	}
	for _, k := range keys {
		allowed := false
		for role := range m.users[user] {
			for r, kind := range m.roles[role] {
				wrong := authpb.WRITE
				if write {
					wrong = authpb.READ
				}
				allowed = allowed || kind != wrong && modelIn(k, []byte(r[0]), []byte(r[1]))
			}
		}
		if !allowed {
			return false
		}
	}
	return true
}

// change does to the model what a random request asks for, and returns it.
func (m authModel) change(rnd *rand.Rand) proto.Message {
	user, role := pick(rnd, "ann", "bob", "root2"), pick(rnd, "r1", "r2", "r3", "root")
	key, end := pick(rnd, "a", "b", "c", "d"), pick(rnd, "", "", "b", "c", "d", "e", "\x00")
	if end != "" && end != "\x00" && end <= key {
		end = ""
	}
	there := m.roles[role] != nil
	switch rnd.IntN(12) {
	case 0:
		if m.users[user] == nil {
			m.users[user] = map[string]bool{}
		}
		return &pb.AuthUserAddRequest{Name: user}
	case 1:
		if rnd.IntN(3) == 0 {
			delete(m.users, user)
			return &pb.AuthUserDeleteRequest{Name: user}
		}
		return &pb.AuthUserChangePasswordRequest{Name: user, HashedPassword: "eA=="}
	case 2, 3:
		if m.users[user] != nil && (there || role == "root") {
			m.users[user][role] = true
		}
		return &pb.AuthUserGrantRoleRequest{User: user, Role: role}
	case 4:
		delete(m.users[user], role)
		return &pb.AuthUserRevokeRoleRequest{Name: user, Role: role}
	case 5, 6:
		if !there {
			m.roles[role] = map[[2]string]authpb.Permission_Type{}
		}
		return &pb.AuthRoleAddRequest{Name: role}
	case 7:
		if role == "root" || rnd.IntN(2) == 0 {
			return &pb.AuthEnableRequest{} // is enabled already
		}
		if there {
			delete(m.roles, role)
			for _, roles := range m.users {
				delete(roles, role)
			}
		}
		return &pb.AuthRoleDeleteRequest{Role: role}
	case 8:
		delete(m.roles[role], [2]string{key, end})
		r := &pb.AuthRoleRevokePermissionRequest{Role: role, Key: []byte(key)}
		if end != "" {
			r.RangeEnd = []byte(end)
		}
		return r
	}
	kind := pick(rnd, authpb.READ, authpb.WRITE, authpb.READWRITE)
	if there {
		m.roles[role][[2]string{key, end}] = kind
	}
	return grant(role, key, end, kind)
}

// The store permits what the model does, at every moment and after a restart;
// and what it stores doesn't depend on how the commands were grouped.
func TestAuthModel(t *testing.T) {
	var keys []string
	for _, k := range []string{"a", "b", "c", "d", "e"} {
		keys = append(keys, k, k+"\x00", k+"m")
	}
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(seed, 9))
			d, _ := guarded(t)
			for _, name := range []string{"ann", "bob"} {
				must(t, d.as(d.now("root"), &pb.AuthUserDeleteRequest{Name: name}).Err)
			}
			m := authModel{map[string]map[[2]string]authpb.Permission_Type{"ab": {}}, map[string]map[string]bool{}}
			compare := func(a *Auth) {
				t.Helper()
				for range 10 {
					key, end := pick(rnd, "a", "b", "c", "d"), pick(rnd, "", "", "b", "c", "d", "e")
					if end != "" && end <= key {
						end = ""
					}
					var within []string
					for _, k := range keys {
						if modelIn(k, []byte(key), []byte(end)) {
							within = append(within, k)
						}
					}
					user := pick(rnd, "ann", "bob", "root2")
					who := Caller{user, a.Revision()}
					for _, write := range []bool{false, true} {
						ask := a.MayRead
						if write {
							ask = a.MayWrite
						}
						err := ask(who, []byte(key), []byte(end))
						if err != nil && !errors.Is(err, ErrPermissionDenied) || (err == nil) != m.may(user, write, within) {
							t.Fatalf("%s, write %v, [%s,%q): %v; the model says %v of %v", user, write, key, end, err, m.may(user, write, within), m)
						}
					}
				}
			}
			var log []statemachine.Entry
			for range 300 {
				r := m.change(rnd)
				before := d.Auth().Revision()
				got := d.as(d.now("root"), r)
				if same := d.Auth().Revision() == before; got.Err != nil && !same {
					t.Fatalf("%v was refused with %v and took a revision", r, got.Err)
				}
				cmd, err := EncodeAuth(r)
				must(t, err)
				log = append(log, statemachine.Entry{Index: d.index, Command: EncodeAs(Caller{Name: "root"}, cmd)})
				compare(d.Auth())
			}
			if got, want := d.Auth().Users(), len(m.users)+1; len(got) != want {
				t.Errorf("users %v, want %d", got, want)
			}

			other := newDriver(t)
			first, _ := guarded(t)
			for _, name := range []string{"ann", "bob"} {
				must(t, first.as(first.now("root"), &pb.AuthUserDeleteRequest{Name: name}).Err)
			}
			must(t, other.opt.FS.MkdirAll("image", 0o755))
			must(t, first.opt.FS.MkdirAll("image", 0o755))
			must(t, first.Checkpoint("image"))
			_, err := vfs.Clone(first.opt.FS, other.opt.FS, "image", "image")
			must(t, err)
			must(t, other.Restore("image", first.index))
			_, err = other.Apply(d.index, log)
			must(t, err)
			if a, b := authFacts(t, d.Store), authFacts(t, other.Store); !slices.Equal(a, b) {
				t.Errorf("two stores that applied the same commands hold\n%q\n%q", a, b)
			}
			compare(other.Auth())
			must(t, other.applier.loadAuth(other.live))
			compare(other.Auth())
		})
	}
}

// authFacts are those that are stored, in order.
func authFacts(t *testing.T, s *Store) (out []string) {
	t.Helper()
	must(t, scanFacts(s.live.db, []byte("u"), []byte("v"), func(k, v []byte) error {
		out = append(out, fmt.Sprintf("%s=%s", k, v))
		return nil
	}))
	return out
}
