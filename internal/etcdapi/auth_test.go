package etcdapi

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/musterhq/muster/kv"
)

// as is etcd's own client, for a user whose password is the name.
func (r *rig) as(t testing.TB, user string) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{
		Endpoints: []string{"passthrough:///rig"}, Logger: zap.NewNop(), Username: user, Password: user,
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(r.dial)}, DialTimeout: 10 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// guard enables authentication: root, ann who may read and write [a,c), and
// bob who may nothing.
func (r *rig) guard(t testing.TB) {
	t.Helper()
	c := r.client(t)
	ctx := testContext(t)
	var errs []error
	do := func(_ any, err error) { errs = append(errs, err) }
	for _, name := range []string{"root", "ann", "bob"} {
		do(c.UserAdd(ctx, name, name))
	}
	do(c.UserAddWithOptions(ctx, "key", "", &clientv3.UserAddOptions{NoPassword: true}))
	do(c.UserGrantRole(ctx, "root", "root"))
	do(c.RoleAdd(ctx, "ab"))
	do(c.RoleGrantPermission(ctx, "ab", "a", "c", clientv3.PermissionType(authpb.READWRITE)))
	do(c.UserGrantRole(ctx, "ann", "ab"))
	do(c.AuthEnable(ctx))
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// What is served is in the table, or refused by it.
func TestEveryMethodHasANeed(t *testing.T) {
	r := newRig(t)
	srv := grpc.NewServer()
	r.api.Register(srv)
	for service, info := range srv.GetServiceInfo() {
		for _, m := range info.Methods {
			if method := "/" + service + "/" + m.Name; needOf(method, nil) == unknownNeed {
				t.Errorf("%s is not in the table: nobody may use it while authentication is enabled", method)
			}
		}
	}
	r.guard(t)
	if err := r.api.admit(t.Context(), "/new.Service/Method", nil); !errors.Is(err, kv.ErrPermissionDenied) {
		t.Errorf("a method that is not in the table: %v", err)
	}
}

// One call of each kind, by root, by a user who may, by one who may not, and
// by nobody.
func TestWhoMayDoWhat(t *testing.T) {
	r := newRig(t)
	r.guard(t)
	ctx := testContext(t)
	callers := []*clientv3.Client{r.as(t, "root"), r.as(t, "ann"), r.as(t, "bob"), r.client(t)}
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(callers[0].Put(ctx, "a", "1"))
	must(callers[0].Put(ctx, "x", "1"))
	empty, denied := rpctypes.ErrUserEmpty, rpctypes.ErrPermissionDenied
	onlyRoot := [4]error{nil, denied, denied, empty}
	annToo := [4]error{nil, nil, denied, empty}
	users := [4]error{nil, nil, nil, empty}
	for _, call := range []struct {
		what string
		do   func(c *clientv3.Client) error
		want [4]error
	}{
		{"put", func(c *clientv3.Client) error { _, err := c.Put(ctx, "a", "2"); return err }, annToo},
		{"put elsewhere", func(c *clientv3.Client) error { _, err := c.Put(ctx, "x", "2"); return err }, onlyRoot},
		{"get", func(c *clientv3.Client) error { _, err := c.Get(ctx, "a"); return err }, annToo},
		{"get serializable", func(c *clientv3.Client) error { _, err := c.Get(ctx, "x", clientv3.WithSerializable()); return err }, onlyRoot},
		{"get a range", func(c *clientv3.Client) error { _, err := c.Get(ctx, "a", clientv3.WithRange("c")); return err }, annToo},
		{"get more", func(c *clientv3.Client) error { _, err := c.Get(ctx, "a", clientv3.WithFromKey()); return err }, onlyRoot},
		{"delete", func(c *clientv3.Client) error { _, err := c.Delete(ctx, "b"); return err }, annToo},
		{"delete more", func(c *clientv3.Client) error {
			_, err := c.Delete(ctx, "b", clientv3.WithRange("d"))
			return err
		}, onlyRoot},
		{"txn that reads", func(c *clientv3.Client) error {
			_, err := c.Txn(ctx).If(clientv3.Compare(clientv3.Version("x"), "=", 0)).Then(clientv3.OpGet("a")).Commit()
			return err
		}, onlyRoot},
		{"txn that writes", func(c *clientv3.Client) error {
			_, err := c.Txn(ctx).If(clientv3.Compare(clientv3.Version("a"), "=", 0)).Then(clientv3.OpPut("b", "")).Else(clientv3.OpGet("a")).Commit()
			return err
		}, annToo},
		{"compact", func(c *clientv3.Client) error {
			_, err := c.Compact(ctx, 2)
			if errors.Is(err, rpctypes.ErrCompacted) {
				err = nil
			}
			return err
		}, onlyRoot},
		{"member list", func(c *clientv3.Client) error { _, err := c.MemberList(ctx); return err }, users},
		{"member remove", func(c *clientv3.Client) error { _, err := c.MemberRemove(ctx, 2); return err }, onlyRoot},
		{"status", func(c *clientv3.Client) error { _, err := c.Status(ctx, "passthrough:///rig"); return err }, users},
		{"alarm list", func(c *clientv3.Client) error { _, err := c.AlarmList(ctx); return err }, users},
		{"move leader", func(c *clientv3.Client) error { _, err := c.MoveLeader(ctx, 3); return err }, onlyRoot},
		{"user list", func(c *clientv3.Client) error { _, err := c.UserList(ctx); return err }, onlyRoot},
		{"user get", func(c *clientv3.Client) error { _, err := c.UserGet(ctx, "ann"); return err }, annToo},
		{"role list", func(c *clientv3.Client) error { _, err := c.RoleList(ctx); return err }, onlyRoot},
		{"role get", func(c *clientv3.Client) error { _, err := c.RoleGet(ctx, "ab"); return err }, annToo},
		{"user add", func(c *clientv3.Client) error {
			_, err := c.UserAdd(ctx, "new", "new")
			return err
		}, onlyRoot},
		{"auth status", func(c *clientv3.Client) error { _, err := c.AuthStatus(ctx); return err }, [4]error{}},
		{"range stream", func(c *clientv3.Client) error {
			s, err := pb.NewKVClient(c.ActiveConnection()).RangeStream(ctx, &pb.RangeRequest{Key: []byte("x")})
			if err == nil {
				_, err = s.Recv()
			}
			return rpctypes.Error(err)
		}, onlyRoot},
	} {
		for i, c := range callers {
			if err := call.do(c); !errors.Is(err, call.want[i]) {
				t.Errorf("%s by %s: %v, want %v", call.what, []string{"root", "ann", "bob", "nobody"}[i], err, call.want[i])
			}
		}
	}
}

// Wrong names and passwords are answered as etcd does.
func TestAuthenticate(t *testing.T) {
	r := newRig(t)
	auth := pb.NewAuthClient(r.conn(t))
	ctx := testContext(t)
	ask := func(name, password string, want error) string {
		t.Helper()
		resp, err := auth.Authenticate(ctx, &pb.AuthenticateRequest{Name: name, Password: password})
		if st, w := status.Convert(err), status.Convert(want); st.Code() != w.Code() || st.Message() != w.Message() {
			t.Errorf("authenticate %s: %v, want %v", name, err, want)
		}
		return resp.GetToken()
	}
	ask("root", "root", rpctypes.ErrGRPCAuthNotEnabled)
	r.guard(t)
	ask("root", "wrong", rpctypes.ErrGRPCAuthFailed)
	ask("eve", "eve", rpctypes.ErrGRPCAuthFailed)
	ask("key", "", kv.ErrNoPasswordUser)
	if token := ask("root", "root", nil); token == "" {
		t.Error("no token")
	}
	_, err := auth.UserAdd(metadata.AppendToOutgoingContext(ctx, "token", ask("root", "root", nil)),
		&pb.AuthUserAddRequest{Name: "long", Password: string(make([]byte, 73))})
	if st := status.Convert(err); st.Code() != codes.Unknown || st.Message() != "bcrypt: password length exceeds 72 bytes" {
		t.Errorf("a password that is too long: %v", err)
	}
	for _, key := range []string{"token", "authorization"} {
		_, err := pb.NewKVClient(r.conn(t)).Put(metadata.AppendToOutgoingContext(ctx, key, "abc.1"), &pb.PutRequest{Key: []byte("a")})
		if !errors.Is(rpctypes.Error(err), rpctypes.ErrInvalidAuthToken) {
			t.Errorf("a token that is none, as %s: %v", key, err)
		}
		_, err = pb.NewKVClient(r.conn(t)).Put(metadata.AppendToOutgoingContext(ctx, key, "Bearer "+ask("ann", "ann", nil)), &pb.PutRequest{Key: []byte("a")})
		if err != nil {
			t.Errorf("a token as %s: %v", key, err)
		}
	}
}

// A client goes on when its token is no longer known, as after its member
// started anew, and when users or roles change.
func TestClientAuthenticatesAgain(t *testing.T) {
	r := newRig(t)
	r.guard(t)
	ctx := testContext(t)
	root, ann := r.as(t, "root"), r.as(t, "ann")
	for i := range 5 {
		if _, err := ann.Put(ctx, "a", "1"); err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
		r.tokens.ForgetAll()
		if _, err := ann.Get(ctx, "a"); err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
		if _, err := root.RoleAdd(ctx, string(rune('p'+i))); err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
	}
	if _, err := root.UserChangePassword(ctx, "ann", "other"); err != nil {
		t.Fatal(err)
	}
	if _, err := ann.Put(ctx, "a", "1"); !errors.Is(err, rpctypes.ErrAuthFailed) {
		t.Errorf("with the old password: %v", err)
	}
}

// A token that another member gave is waited for; one from the past that is
// not known is none.
func TestTokenOfAnotherMember(t *testing.T) {
	r := newRig(t)
	r.guard(t)
	r.node.onRead = func(context.Context, int) error {
		r.tokens.Grant("abc.1000", "ann") // what this member applies while it catches up
		return nil
	}
	reads := r.node.reads
	with := func(token string) context.Context {
		return metadata.NewIncomingContext(testContext(t), metadata.Pairs("token", token))
	}
	if c, err := r.api.caller(with("abc.1000")); err != nil || c.Name != "ann" {
		t.Errorf("%v, %v", c, err)
	}
	for _, token := range []string{"abc.1", "abc", "abc.x", ""} {
		if _, err := r.api.caller(with(token)); !errors.Is(err, rpctypes.ErrGRPCInvalidAuthToken) {
			t.Errorf("token %q: %v", token, err)
		}
	}
	if n := r.node.reads - reads; n != 1 {
		t.Errorf("%d reads of the log, want 1", n)
	}
	r.node.onRead = func(context.Context, int) error { return errNotLeader }
	if _, err := r.api.caller(with("new.1001")); !errors.Is(err, errNotLeader) {
		t.Errorf("a token that nobody can tell of: %v", err)
	}
}

func TestTokensEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens := NewTokens(time.Minute)
		known := func(text, want string) {
			t.Helper()
			if got, _ := tokens.user(text); got != want {
				t.Errorf("%s stands for %q, want %q", text, got, want)
			}
		}
		tokens.Grant("a", "ann")
		tokens.Grant("b", "bob")
		for range 5 {
			time.Sleep(50 * time.Second)
			known("a", "ann") // is used
		}
		known("b", "")
		tokens.Grant("c", "cyd")
		if n := len(tokens.byText); n != 2 {
			t.Errorf("%d tokens are kept, want 2", n)
		}
		tokens.Forget("ann")
		known("a", "")
		known("c", "cyd")
		time.Sleep(61 * time.Second)
		known("c", "")
	})
}

// The common name of a verified certificate is the user of who has no token,
// if that is what was asked for, and the request doesn't come by the gateway.
func TestCallerByCertificate(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Auth.ClientCertAuth = true })
	r.guard(t)
	cert := &x509.Certificate{Subject: pkix.Name{CommonName: "key"}}
	tlsCtx := peer.NewContext(t.Context(), &peer.Peer{AuthInfo: credentials.TLSInfo{State: tls.ConnectionState{
		VerifiedChains: [][]*x509.Certificate{{cert}},
	}}})
	auth := r.node.store.Auth()
	r.tokens.Grant("abc.1", "ann")
	for _, c := range []struct {
		what string
		ctx  context.Context
		want string
	}{
		{"a certificate", metadata.NewIncomingContext(tlsCtx, nil), "key"},
		{"a token as well", metadata.NewIncomingContext(tlsCtx, metadata.Pairs("token", "abc.1")), "ann"},
		{"by the gateway", metadata.NewIncomingContext(tlsCtx, metadata.Pairs("grpcgateway-accept", "*")), ""},
		{"none", t.Context(), ""},
	} {
		want := kv.Caller{Name: c.want, Revision: auth.Revision()}
		if c.want == "" {
			want = kv.Caller{}
		}
		if got, err := r.api.caller(c.ctx); err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", c.what, got, err, want)
		}
	}
	r.api.cfg.Auth.ClientCertAuth = false
	if got, _ := r.api.caller(metadata.NewIncomingContext(tlsCtx, nil)); got != (kv.Caller{}) {
		t.Errorf("a certificate that nobody asked for names %v", got)
	}
}

// A read is taken back if users or roles changed while it was under way.
func TestReadIsTakenBack(t *testing.T) {
	r := newRig(t)
	r.guard(t)
	root := r.as(t, "root")
	ctx := testContext(t)
	r.tokens.Grant("abc.1", "ann")
	in := metadata.NewIncomingContext(ctx, metadata.Pairs("token", "abc.1"))
	may := func(a *kv.Auth, c kv.Caller) error { return a.MayRead(c, []byte("a"), nil) }
	if err := r.api.readAs(in, may, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	err := r.api.readAs(in, may, func() error {
		_, err := root.UserRevokeRole(ctx, "ann", "ab")
		return err
	})
	if !errors.Is(err, kv.ErrAuthOldRevision) {
		t.Errorf("%v, want %v", err, kv.ErrAuthOldRevision)
	}
	if _, err := root.AuthDisable(ctx); err != nil {
		t.Fatal(err)
	}
	err = r.api.readAs(ctx, may, func() error { _, err := root.AuthEnable(ctx); return err })
	if !errors.Is(err, kv.ErrAuthOldRevision) {
		t.Errorf("enabled meanwhile: %v, want %v", err, kv.ErrAuthOldRevision)
	}
}

// Plain HTTP changes the cluster for root alone.
func TestNobodyMayReadNothing(t *testing.T) {
	r := newRig(t)
	r.guard(t)
	c := pb.NewKVClient(r.conn(t))
	if _, err := c.Txn(testContext(t), &pb.TxnRequest{}); err != nil {
		t.Errorf("a transaction of nothing: %v", err)
	}
	read := &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte("a")}}}
	if _, err := c.Txn(testContext(t), &pb.TxnRequest{Success: []*pb.RequestOp{read}}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("one that reads: %v", err)
	}
}

func TestAdmitHTTP(t *testing.T) {
	r := newRig(t)
	ask := func(set func(*http.Request), want error) {
		t.Helper()
		req, err := http.NewRequestWithContext(testContext(t), "POST", "http://rig/v1/leave", nil)
		if err != nil {
			t.Fatal(err)
		}
		set(req)
		if err := r.api.AdmitHTTP(req); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	basic := func(name, password string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(name, password) }
	}
	token := func(text string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", text) }
	}
	nothing := func(*http.Request) {}
	ask(nothing, nil)
	r.guard(t)
	r.tokens.Grant("r.1", "root")
	r.tokens.Grant("a.1", "ann")
	ask(nothing, kv.ErrUserEmpty)
	ask(basic("root", "root"), nil)
	ask(basic("root", "wrong"), kv.ErrAuthFailed)
	ask(basic("ann", "ann"), kv.ErrPermissionDenied)
	ask(token("r.1"), nil)
	ask(token("Bearer r.1"), nil)
	ask(token("a.1"), kv.ErrPermissionDenied)
	ask(token("x.1"), rpctypes.ErrGRPCInvalidAuthToken)
}

// TestURLsComeBeforeTheCaller: as in etcd, MemberAdd looks at its URLs before it
// asks who calls.
func TestURLsComeBeforeTheCaller(t *testing.T) {
	r := newRig(t)
	r.guard(t)
	c := pb.NewClusterClient(r.client(t).ActiveConnection())
	for url, want := range map[string]error{"nonsense": rpctypes.ErrGRPCMemberBadURLs, "http://h4:2380": rpctypes.ErrGRPCUserEmpty} {
		_, err := c.MemberAdd(testContext(t), &pb.MemberAddRequest{PeerURLs: []string{url}})
		if err == nil || status.Convert(err).Message() != status.Convert(want).Message() {
			t.Errorf("%s: %v, want %v", url, err, want)
		}
	}
}
