package kv

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster/statemachine"
)

// book keeps tokens as it is told to.
type book map[string]string

func (b book) Grant(token, user string) { b[token] = user }
func (b book) ForgetAll()               { clear(b) }
func (b book) Forget(user string) {
	for t, u := range b {
		if u == user {
			delete(b, t)
		}
	}
}

// as runs a request for a caller; the zero one sends a plain command.
func (d *driver) as(c Caller, req proto.Message) Reply {
	d.Helper()
	cmd, err := EncodeAuth(req)
	if err != nil {
		cmd = encode(d, req)
	}
	if c != (Caller{}) {
		cmd = EncodeAs(c, cmd)
	}
	d.index++
	res, err := d.Apply(d.index, []statemachine.Entry{{Index: d.index, Command: cmd, Wanted: true}})
	must(d, err)
	return res[0].(Reply)
}

// now is the caller that somebody of that name is now.
func (d *driver) now(name string) Caller { return Caller{Name: name, Revision: d.Auth().Revision()} }

func grant(role, key, end string, kind authpb.Permission_Type) *pb.AuthRoleGrantPermissionRequest {
	p := &authpb.Permission{Key: []byte(key), PermType: kind}
	if end != "" {
		p.RangeEnd = []byte(end)
	}
	return &pb.AuthRoleGrantPermissionRequest{Name: role, Perm: p}
}

// guarded is a store with authentication enabled, the user ann who may read
// and write [a,c) and read d, and the user bob who may nothing.
func guarded(t testing.TB) (*driver, book) {
	t.Helper()
	d, tokens := newDriver(t), book{}
	d.known.tokens = tokens
	for _, r := range []proto.Message{
		&pb.AuthUserAddRequest{Name: "root", HashedPassword: "eA=="},
		&pb.AuthUserGrantRoleRequest{User: "root", Role: "root"},
		&pb.AuthUserAddRequest{Name: "ann", HashedPassword: "eA=="},
		&pb.AuthUserAddRequest{Name: "bob", HashedPassword: "eA=="},
		&pb.AuthRoleAddRequest{Name: "ab"},
		grant("ab", "a", "b", authpb.READWRITE),
		grant("ab", "b", "c", authpb.READWRITE),
		grant("ab", "d", "", authpb.READ),
		&pb.AuthUserGrantRoleRequest{User: "ann", Role: "ab"},
		&pb.AuthEnableRequest{},
	} {
		if got := d.as(Caller{}, r); got.Err != nil {
			t.Fatalf("%v: %v", r, got.Err)
		}
	}
	return d, tokens
}

// Each step is answered as etcd answers it, and takes a revision or not.
func TestAuthRules(t *testing.T) {
	d := newDriver(t)
	root := &pb.AuthUserAddRequest{Name: "root", HashedPassword: "eA=="}
	steps := []struct {
		req  proto.Message
		want error
		rev  uint64
	}{
		{&pb.AuthEnableRequest{}, ErrRootUserNotExist, 1},
		{&pb.AuthDisableRequest{}, nil, 1},
		{&pb.InternalAuthenticateRequest{Name: "root"}, ErrAuthNotEnabled, 1},
		{&pb.AuthUserAddRequest{}, ErrUserEmpty, 1},
		{&pb.AuthUserAddRequest{Name: "x", HashedPassword: "%"}, ErrNoPasswordUser, 1},
		{root, nil, 2},
		{root, ErrUserAlreadyExist, 2},
		{&pb.AuthEnableRequest{}, ErrRootRoleNotExist, 2},
		{&pb.AuthUserGrantRoleRequest{User: "x", Role: "root"}, ErrUserNotFound, 2},
		{&pb.AuthUserGrantRoleRequest{User: "root", Role: "x"}, ErrRoleNotFound, 2},
		{&pb.AuthUserGrantRoleRequest{User: "root", Role: "root"}, nil, 3},
		{&pb.AuthUserGrantRoleRequest{User: "root", Role: "root"}, nil, 3},
		{&pb.AuthRoleDeleteRequest{Role: "root"}, ErrRoleNotFound, 3},
		{&pb.AuthRoleAddRequest{}, ErrRoleEmpty, 3},
		{&pb.AuthRoleAddRequest{Name: "r"}, nil, 4},
		{&pb.AuthRoleAddRequest{Name: "r"}, ErrRoleAlreadyExist, 4},
		{&pb.AuthRoleGrantPermissionRequest{Name: "r"}, ErrPermissionNotGiven, 4},
		{grant("r", "", "", authpb.READ), ErrInvalidAuthMgmt, 4},
		{grant("r", "b", "a", authpb.READ), ErrInvalidAuthMgmt, 4},
		{grant("x", "a", "b", authpb.READ), ErrRoleNotFound, 4},
		{grant("r", "a", "", authpb.READ), nil, 5},
		{grant("r", "a", "b", authpb.READ), nil, 6},
		{grant("r", "a", "b", authpb.WRITE), nil, 7}, // in place of the one before
		{grant("r", "a", "\x00", authpb.READWRITE), nil, 8},
		{&pb.AuthRoleRevokePermissionRequest{Role: "x", Key: []byte("a")}, ErrRoleNotFound, 8},
		{&pb.AuthRoleRevokePermissionRequest{Role: "r", Key: []byte("b")}, ErrPermissionNotGranted, 8},
		{&pb.AuthRoleRevokePermissionRequest{Role: "r", Key: []byte("a")}, nil, 9},
		{&pb.AuthUserAddRequest{Name: "n", Options: &authpb.UserAddOptions{NoPassword: true}}, nil, 10},
		{&pb.AuthUserGrantRoleRequest{User: "n", Role: "r"}, nil, 11},
		{&pb.AuthUserRevokeRoleRequest{Name: "n", Role: "root"}, ErrRoleNotGranted, 11},
		{&pb.AuthUserRevokeRoleRequest{Name: "x", Role: "r"}, ErrUserNotFound, 11},
		{&pb.AuthUserChangePasswordRequest{Name: "x"}, ErrUserNotFound, 11},
		{&pb.AuthUserChangePasswordRequest{Name: "n", HashedPassword: "%"}, nil, 12},
		{&pb.AuthUserChangePasswordRequest{Name: "root", HashedPassword: "%"}, ErrNoPasswordUser, 12},
		{&pb.AuthEnableRequest{}, nil, 12},
		{&pb.AuthEnableRequest{}, nil, 12},
		{&pb.AuthUserDeleteRequest{Name: "root"}, ErrInvalidAuthMgmt, 12},
		{&pb.AuthUserRevokeRoleRequest{Name: "root", Role: "root"}, ErrInvalidAuthMgmt, 12},
		{&pb.AuthRoleDeleteRequest{Role: "root"}, ErrInvalidAuthMgmt, 12},
		{&pb.InternalAuthenticateRequest{Name: "n"}, ErrAuthFailed, 12},
		{&pb.InternalAuthenticateRequest{Name: "x"}, ErrAuthFailed, 12},
		{&pb.AuthRoleDeleteRequest{Role: "r"}, nil, 13},
		{&pb.AuthUserDeleteRequest{Name: "n"}, nil, 14},
		{&pb.AuthUserDeleteRequest{Name: "n"}, ErrUserNotFound, 14},
		{&pb.AuthDisableRequest{}, nil, 15},
		{&pb.AuthUserRevokeRoleRequest{Name: "root", Role: "root"}, nil, 16},
		{&pb.AuthUserDeleteRequest{Name: "root"}, nil, 17},
	}
	for _, s := range steps {
		got := d.as(d.now("root"), s.req)
		if !errors.Is(got.Err, s.want) || d.Auth().Revision() != s.rev {
			t.Fatalf("%T{%v}: %v at revision %d, want %v at %d", s.req, s.req, got.Err, d.Auth().Revision(), s.want, s.rev)
		}
		if r, ok := d.Auth().Role("r"); ok && s.rev == 9 && s.want == nil {
			if want := `a-b WRITE, a-"\x00" READWRITE`; showRole(r) != want {
				t.Errorf("the role is %s, want %s", showRole(r), want)
			}
		}
		if u, ok := d.Auth().User("n"); ok && s.rev == 13 && len(u.GetRoles()) > 0 {
			t.Errorf("a deleted role is granted still: %v", u.GetRoles())
		}
	}
}

func showRole(r *authpb.Role) string {
	var out []string
	for _, p := range r.GetKeyPermission() {
		end := string(p.GetRangeEnd())
		if end == "\x00" {
			end = fmt.Sprintf("%q", end)
		}
		out = append(out, fmt.Sprintf("%s-%s %v", p.GetKey(), end, p.GetPermType()))
	}
	return strings.Join(out, ", ")
}

// What a command needs is asked when it is applied, of every part of it.
func TestCommandIsAllowedWhenItIsApplied(t *testing.T) {
	d, _ := guarded(t)
	for _, k := range []string{"a1", "d", "x"} {
		if r := d.as(d.now("root"), &pb.PutRequest{Key: []byte(k)}); r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	// Leases: on 7 hangs a key that ann may write, on 8 another one.
	for id, key := range map[int64]string{7: "a1", 8: "x"} {
		must(t, d.as(Caller{}, &pb.LeaseGrantRequest{ID: id, TTL: 60}).Err)
		must(t, d.as(d.now("root"), &pb.PutRequest{Key: []byte(key), Lease: id}).Err)
	}

	put := func(k string) *pb.PutRequest { return &pb.PutRequest{Key: []byte(k)} }
	del := func(k, end string) *pb.DeleteRangeRequest {
		return &pb.DeleteRangeRequest{Key: []byte(k), RangeEnd: []byte(end)}
	}
	opGet := func(k string) *pb.RequestOp {
		return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte(k)}}}
	}
	opPut := func(r *pb.PutRequest) *pb.RequestOp {
		return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: r}}
	}
	opDel := func(r *pb.DeleteRangeRequest) *pb.RequestOp {
		return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: r}}
	}
	opTxn := func(r *pb.TxnRequest) *pb.RequestOp {
		return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: r}}
	}
	then := func(ops ...*pb.RequestOp) *pb.TxnRequest { return &pb.TxnRequest{Success: ops} }
	must(t, d.as(d.now("root"), grant("ab", "w", "", authpb.WRITE)).Err)

	for _, c := range []struct {
		what string
		who  Caller
		req  proto.Message
		want error
	}{
		{"nobody", Caller{}, put("a1"), ErrUserEmpty},
		{"no name, but a revision", d.now(""), put("a1"), ErrPermissionDenied},
		{"a name without a revision", Caller{Name: "ann"}, put("a1"), ErrUserEmpty},
		{"nobody that there is", d.now("eve"), put("a1"), ErrPermissionDenied},
		{"an old revision", Caller{"ann", d.Auth().Revision() - 1}, put("a1"), ErrAuthOldRevision},
		{"root at an old revision", Caller{"root", d.Auth().Revision() - 1}, put("a1"), ErrAuthOldRevision},
		{"root", d.now("root"), put("z"), nil},
		{"write", d.now("ann"), put("a1"), nil},
		{"write of what may be read", d.now("ann"), put("d"), ErrPermissionDenied},
		{"write and read", d.now("ann"), &pb.PutRequest{Key: []byte("a1"), PrevKv: true}, nil},
		{"write and read of what may be written", d.now("ann"), &pb.PutRequest{Key: []byte("w"), PrevKv: true}, ErrPermissionDenied},
		{"on a lease of own keys", d.now("ann"), &pb.PutRequest{Key: []byte("a2"), Lease: 7}, nil},
		{"on a lease of others' keys", d.now("ann"), &pb.PutRequest{Key: []byte("a2"), Lease: 8}, ErrPermissionDenied},
		{"root on it", d.now("root"), &pb.PutRequest{Key: []byte("x2"), Lease: 8}, nil},
		{"revoke a lease of others' keys", d.now("ann"), &pb.LeaseRevokeRequest{ID: 8}, ErrPermissionDenied},
		{"revoke a lease as nobody", Caller{}, &pb.LeaseRevokeRequest{ID: 7}, ErrUserEmpty},
		{"revoke a lease of own keys", d.now("ann"), &pb.LeaseRevokeRequest{ID: 7}, nil},
		{"delete over two permissions", d.now("ann"), del("a", "c"), nil},
		{"delete beyond them", d.now("ann"), del("a", "cc"), ErrPermissionDenied},
		{"delete and read of what may be written", d.now("ann"), &pb.DeleteRangeRequest{Key: []byte("w"), PrevKv: true}, ErrPermissionDenied},
		{"compare", d.now("ann"), &pb.TxnRequest{Compare: []*pb.Compare{{Key: []byte("x")}}}, ErrPermissionDenied},
		{"range in a txn", d.now("ann"), then(opPut(put("a")), opGet("x")), ErrPermissionDenied},
		{"put in a txn", d.now("ann"), then(opPut(put("x"))), ErrPermissionDenied},
		{"delete in a txn", d.now("ann"), then(opDel(del("a", "e"))), ErrPermissionDenied},
		{"in the other branch", d.now("ann"), &pb.TxnRequest{Failure: []*pb.RequestOp{opPut(put("x"))}}, ErrPermissionDenied},
		{"nested", d.now("ann"), then(opTxn(then(opPut(put("x"))))), ErrPermissionDenied},
		{"all of it", d.now("ann"), then(opPut(put("a")), opGet("d"), opDel(del("b", "c"))), nil},
		{"a change of users", d.now("ann"), &pb.AuthUserAddRequest{Name: "eve"}, ErrPermissionDenied},
		{"by nobody", Caller{}, &pb.AuthDisableRequest{}, ErrUserEmpty},
		{"by nobody that there is", d.now("eve"), &pb.AuthDisableRequest{}, ErrUserNotFound},
		{"a change at an old revision", Caller{"root", 1}, &pb.AuthRoleAddRequest{Name: "new"}, nil},
	} {
		if got := d.as(c.who, c.req); !errors.Is(got.Err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, got.Err, c.want)
		}
	}

	// What was proposed before a permission was revoked, and is applied after.
	ann := d.now("ann")
	must(t, d.as(d.now("root"), &pb.AuthUserRevokeRoleRequest{Name: "ann", Role: "ab"}).Err)
	if got := d.as(ann, put("a1")); !errors.Is(got.Err, ErrAuthOldRevision) {
		t.Errorf("a put from before a permission was revoked: %v", got.Err)
	}
	if got := d.as(d.now("ann"), put("a1")); !errors.Is(got.Err, ErrPermissionDenied) {
		t.Errorf("a put after that: %v", got.Err)
	}
}

// Every kind of command that there is has a rule; all are refused to nobody,
// but for those that the member that proposes them asks about.
func TestEveryCommandHasARule(t *testing.T) {
	d, _ := guarded(t)
	revoke, err := EncodeLeaseRevoke(&pb.LeaseRevokeRequest{ID: 9})
	must(t, err)
	a := &d.applier
	a.moveAttachment([]byte("a"), 0, 9)
	auth, err := EncodeAuth(&pb.AuthDisableRequest{})
	must(t, err)
	free := []byte{opCompaction, opLeaseGrant, opLeaseCheckpoint, opAlarm}
	for op, cmd := range map[byte][]byte{
		opPut: nil, opDeleteRange: nil, opTxn: encode(t, &pb.TxnRequest{Compare: []*pb.Compare{{Key: []byte("a")}}}),
		opCompaction: nil, opLeaseGrant: nil, opLeaseRevoke: revoke, opLeaseCheckpoint: nil, opAlarm: nil, opAuth: auth,
	} {
		if cmd == nil {
			cmd = []byte{op}
		}
		refusal, err := a.mayRun(d.Auth(), Caller{}, statemachine.Entry{Command: cmd})
		if err != nil {
			t.Errorf("command %d has no rule: %v", op, err)
		}
		if open := refusal == nil; open != slices.Contains(free, op) {
			t.Errorf("command %d: %v", op, refusal)
		}
	}
	expiry, err := EncodeLeaseExpiry(3, 9)
	must(t, err)
	if refusal, err := a.mayRun(d.Auth(), Caller{}, statemachine.Entry{Command: expiry}); refusal != nil || err != nil {
		t.Errorf("a leader's own revocation: %v, %v", refusal, err)
	}
	if _, err := a.mayRun(d.Auth(), Caller{}, statemachine.Entry{Command: []byte{200}}); err == nil {
		t.Error("a command that nobody knows has a rule")
	}
}

func TestCallerFormat(t *testing.T) {
	cmd := encode(t, &pb.PutRequest{Key: []byte("k")})
	for _, c := range []Caller{{}, {"ann", 1}, {strings.Repeat("n", 300), 1 << 60}} {
		got, inner, ok := splitCaller(EncodeAs(c, cmd))
		if !ok || got != c || string(inner) != string(cmd) {
			t.Errorf("%v came back as %v, %q, %v", c, got, inner, ok)
		}
	}
	for _, bad := range []string{"", "\x05abc", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "\x01a", "\x01a\x01", string(EncodeAs(Caller{}, EncodeAs(Caller{}, cmd))[1:])} {
		if _, _, ok := splitCaller(append([]byte{opAs}, bad...)); ok {
			t.Errorf("%q is no command with a caller", bad)
		}
	}
}

// A token is given to who knew the password as it is now, and holds until that
// changes.
func TestTokens(t *testing.T) {
	d, tokens := guarded(t)
	ask := func(c Caller) Reply {
		return d.as(c, &pb.InternalAuthenticateRequest{Name: "ann", SimpleToken: "random"})
	}
	give := func() string {
		t.Helper()
		got := ask(d.now("ann"))
		must(t, got.Err)
		token := got.Response.(*pb.AuthenticateResponse).GetToken()
		if want := fmt.Sprintf("random.%d", d.index); token != want || tokens[token] != "ann" {
			t.Fatalf("token %q of %v, want %q of ann", token, tokens, want)
		}
		return token
	}
	give()
	if got := ask(Caller{"ann", d.Auth().Revision() - 1}); !errors.Is(got.Err, ErrAuthOldRevision) {
		t.Errorf("a password from before the last change: %v", got.Err)
	}
	for _, change := range []proto.Message{
		&pb.AuthUserChangePasswordRequest{Name: "ann", HashedPassword: "eQ=="},
		&pb.AuthUserDeleteRequest{Name: "ann"},
	} {
		give()
		tokens["bobs"] = "bob"
		must(t, d.as(d.now("root"), change).Err)
		if len(tokens) != 1 || tokens["bobs"] == "" {
			t.Errorf("after %T there are the tokens %v, want bob's", change, tokens)
		}
	}
	must(t, d.as(d.now("root"), &pb.AuthDisableRequest{}).Err)
	if len(tokens) > 0 {
		t.Errorf("tokens while authentication is disabled: %v", tokens)
	}
}

// Users and roles are in what a member starts from, and in images.
func TestAuthIsKept(t *testing.T) {
	disk := vfs.NewMem()
	for _, dir := range []string{"one", "two", "image"} {
		must(t, disk.MkdirAll(dir, 0o755))
	}
	one := &driver{TB: t, Store: New(smallOptions(disk))}
	_, err := one.Open("one")
	must(t, err)
	for _, r := range []proto.Message{
		&pb.AuthUserAddRequest{Name: "root", HashedPassword: "eA=="},
		&pb.AuthUserGrantRoleRequest{User: "root", Role: "root"},
		&pb.AuthRoleAddRequest{Name: "r"},
		grant("r", "k", "", authpb.READ),
		&pb.AuthUserAddRequest{Name: "ann"},
		&pb.AuthUserGrantRoleRequest{User: "ann", Role: "r"},
		&pb.AuthEnableRequest{},
	} {
		must(t, one.as(Caller{}, r).Err)
	}
	check := func(what string, a *Auth) {
		t.Helper()
		if !a.Enabled() || a.Revision() != 7 || !slices.Equal(a.Users(), []string{"ann", "root"}) || !slices.Equal(a.Roles(), []string{"r"}) {
			t.Errorf("%s: enabled %v at %d, users %v, roles %v", what, a.Enabled(), a.Revision(), a.Users(), a.Roles())
		}
		if err := a.MayRead(Caller{"ann", 7}, []byte("k"), nil); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if err := a.MayWrite(Caller{"ann", 7}, []byte("k"), nil); !errors.Is(err, ErrPermissionDenied) {
			t.Errorf("%s: %v", what, err)
		}
	}
	check("as applied", one.Auth())
	must(t, one.Checkpoint("image"))
	must(t, one.Close())
	if one.Auth().Enabled() {
		t.Error("a closed store knows users")
	}

	again := New(smallOptions(disk))
	_, err = again.Open("one")
	must(t, err)
	check("after a restart", again.Auth())
	must(t, again.Close())

	other := New(smallOptions(disk))
	tokens := book{"old": "ann"}
	other.known.tokens = tokens
	_, err = other.Open("two")
	must(t, err)
	tokens["old"] = "ann"
	must(t, other.Restore("image", one.index))
	check("from an image", other.Auth())
	if len(tokens) > 0 {
		t.Error("tokens outlive an image, in which their users may be gone")
	}
	must(t, other.Close())
}

// TestAlarmBeforeUsers: what alarms refuse is refused as that, whoever asks; what
// they allow is a matter of permissions.
func TestAlarmBeforeUsers(t *testing.T) {
	d, _ := guarded(t)
	d.as(d.now("root"), &pb.AlarmRequest{Action: pb.AlarmRequest_ACTIVATE, MemberID: 1, Alarm: pb.AlarmType_NOSPACE})
	for _, c := range []struct {
		req  proto.Message
		want error
	}{
		{&pb.PutRequest{Key: []byte("x")}, ErrNoSpace},
		{&pb.TxnRequest{Failure: []*pb.RequestOp{putOp("x", "1")}}, ErrNoSpace},
		{&pb.DeleteRangeRequest{Key: []byte("x")}, ErrPermissionDenied},
		{&pb.AuthUserAddRequest{Name: "eve"}, ErrPermissionDenied},
	} {
		if got := d.as(d.now("bob"), c.req); !errors.Is(got.Err, c.want) {
			t.Errorf("%v: %v, want %v", c.req, got.Err, c.want)
		}
	}
}

// watchfulBook looks at who may do what while commands are carried out.
type watchfulBook struct {
	book
	look func()
}

func (w watchfulBook) Grant(token, user string) { w.look(); w.book.Grant(token, user) }

// TestUsersMoveWithKeys: nobody sees a user of an Apply call before the call's keys.
func TestUsersMoveWithKeys(t *testing.T) {
	d, tokens := guarded(t)
	looked := false
	d.known.tokens = watchfulBook{tokens, func() {
		looked = true
		if d.Auth().HasRole("bob", "ab") || d.get(all()).Count != 0 {
			t.Error("an Apply call is seen before it is committed")
		}
	}}
	root := d.now("root")
	var entries []statemachine.Entry
	for i, req := range []proto.Message{
		&pb.PutRequest{Key: []byte("a")},
		&pb.AuthUserGrantRoleRequest{User: "bob", Role: "ab"},
		&pb.InternalAuthenticateRequest{Name: "bob", SimpleToken: "t"},
	} {
		cmd, err := EncodeAuth(req)
		if err != nil {
			cmd = encode(t, req)
		}
		d.index++
		entries = append(entries, statemachine.Entry{Index: d.index, Command: EncodeAs(Caller{root.Name, root.Revision + uint64(i/2)}, cmd)})
	}
	_, err := d.Apply(d.index, entries)
	must(t, err)
	if !looked || !d.Auth().HasRole("bob", "ab") || d.get(all()).Count != 1 {
		t.Errorf("looked: %v; after the call there are the roles of %v, and %d keys", looked, d.Auth().Users(), d.get(all()).Count)
	}
}

// BenchmarkAuthenticate gives out tokens where there are many users.
func BenchmarkAuthenticate(b *testing.B) {
	d, _ := guarded(b)
	for i := range 5000 {
		d.as(d.now("root"), &pb.AuthUserAddRequest{Name: fmt.Sprint(i), HashedPassword: "eA=="})
	}
	who := d.now("ann")
	for b.Loop() {
		d.as(who, &pb.InternalAuthenticateRequest{Name: "ann", SimpleToken: "t"})
	}
}
