package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/musterhq/muster/internal/testcert"
)

// A lock is held until it is unlocked or its lease ends, and goes to those who
// wait in the order of their coming.
func TestLock(t *testing.T) {
	s, _ := single(t, nil)
	c := dial(t, s.ClientAddr(), nil)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	locks := v3lockpb.NewLockClient(c.ActiveConnection())
	leases := make([]int64, 3)
	for i := range leases {
		l, err := c.Grant(ctx, 60)
		if err != nil {
			t.Fatal(err)
		}
		leases[i] = int64(l.ID)
	}
	first, err := locks.Lock(ctx, &v3lockpb.LockRequest{Name: []byte("l"), Lease: leases[0]})
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("l/%x", leases[0]); string(first.Key) != want || first.Header.GetRevision() != 2 {
		t.Errorf("locked by %q at revision %d, want %q at 2", first.Key, first.Header.GetRevision(), want)
	}
	got := make(chan int, 2)
	for i := 1; i <= 2; i++ {
		go func() {
			if _, err := locks.Lock(ctx, &v3lockpb.LockRequest{Name: []byte("l"), Lease: leases[i]}); err != nil {
				t.Error(err)
			}
			got <- i
		}()
		until(t, func() bool { // it waits, behind those before it
			r, err := c.Get(ctx, "l/", clientv3.WithPrefix(), clientv3.WithCountOnly())
			return err == nil && r.Count == int64(i)+1
		})
	}
	select {
	case i := <-got:
		t.Fatalf("%d has the lock, too", i)
	default:
	}
	if _, err := locks.Unlock(ctx, &v3lockpb.UnlockRequest{Key: first.Key}); err != nil {
		t.Fatal(err)
	}
	if i := <-got; i != 1 {
		t.Errorf("then %d has it, want 1", i)
	}
	if _, err := c.Revoke(ctx, clientv3.LeaseID(leases[1])); err != nil {
		t.Fatal(err)
	}
	if i := <-got; i != 2 {
		t.Errorf("then %d has it, want 2", i)
	}
	if _, err := locks.Lock(ctx, &v3lockpb.LockRequest{Name: []byte("m"), Lease: 404}); status.Code(err) != codes.Unknown || !strings.Contains(err.Error(), "requested lease not found") { // as etcd
		t.Errorf("a lock by a lease that is none: %v", err)
	}
	if code, got, _ := inJSON(t, s.ClientAddr(), "/v3/lock/lock", `{"name":"anNvbg=="}`); code != 200 || !strings.Contains(got, `"key":"`) {
		t.Errorf("in JSON: %d %s", code, got)
	}
}

// Who waits for a lock when the server is stopped is told, and doesn't hold it up.
func TestLockEndsWithTheServer(t *testing.T) {
	s, _ := single(t, nil)
	c := dial(t, s.ClientAddr(), nil)
	locks := v3lockpb.NewLockClient(c.ActiveConnection())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := locks.Lock(ctx, &v3lockpb.LockRequest{Name: []byte("l")}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := locks.Lock(ctx, &v3lockpb.LockRequest{Name: []byte("l")})
		ended <- err
	}()
	until(t, func() bool {
		r, err := c.Get(ctx, "l/", clientv3.WithPrefix(), clientv3.WithCountOnly())
		return err == nil && r.Count == 2
	})
	begun := time.Now()
	if err := s.Stop(ctx); err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took > patience/2 {
		t.Errorf("stopping took %v", took)
	}
	if err := <-ended; err == nil {
		t.Error("the lock was given twice")
	}
}

func TestElection(t *testing.T) {
	s, _ := single(t, nil)
	c := dial(t, s.ClientAddr(), nil)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	e := v3electionpb.NewElectionClient(c.ActiveConnection())
	name := []byte("e")
	if _, err := e.Leader(ctx, &v3electionpb.LeaderRequest{Name: name}); err == nil || !strings.Contains(err.Error(), "election: no leader") {
		t.Errorf("before an election: %v", err)
	}
	watched, err := e.Observe(ctx, &v3electionpb.LeaderRequest{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	ann, err := e.Campaign(ctx, &v3electionpb.CampaignRequest{Name: name, Value: []byte("ann")})
	if err != nil {
		t.Fatal(err)
	}
	bob := make(chan *v3electionpb.CampaignResponse, 1)
	go func() {
		r, err := e.Campaign(ctx, &v3electionpb.CampaignRequest{Name: name, Value: []byte("bob")})
		if err != nil {
			t.Error(err)
		}
		bob <- r
	}()
	leads := func(want string) {
		t.Helper()
		r, err := watched.Recv()
		if err != nil || string(r.GetKv().GetValue()) != want {
			t.Fatalf("%s leads (%v), want %s", r.GetKv().GetValue(), err, want)
		}
	}
	leads("ann")
	if _, err := e.Proclaim(ctx, &v3electionpb.ProclaimRequest{Leader: ann.Leader, Value: []byte("ann2")}); err != nil {
		t.Fatal(err)
	}
	leads("ann2")
	if _, err := e.Resign(ctx, &v3electionpb.ResignRequest{Leader: ann.Leader}); err != nil {
		t.Fatal(err)
	}
	leads("bob")
	if r, err := e.Leader(ctx, &v3electionpb.LeaderRequest{Name: name}); err != nil || string(r.GetKv().GetValue()) != "bob" {
		t.Errorf("%v, %v", r, err)
	}
	if r := <-bob; string(r.GetLeader().GetKey()) == string(ann.GetLeader().GetKey()) {
		t.Error("bob has ann's key")
	}
	if _, err := e.Proclaim(ctx, &v3electionpb.ProclaimRequest{Leader: ann.Leader, Value: []byte("late")}); err == nil || !strings.Contains(err.Error(), "election: not leader") {
		t.Errorf("ann proclaims when bob leads: %v", err)
	}
	if _, err := e.Resign(ctx, &v3electionpb.ResignRequest{}); err == nil || !strings.Contains(err.Error(), `"leader" field must be provided`) {
		t.Errorf("nobody resigns: %v", err)
	}
}

// A lock is a write under its name: who may not write there has none, whether
// the caller is known by a token or by a certificate.
func TestLockAsSomebody(t *testing.T) {
	ca := testcert.New(t, "ca")
	pair := ca.Issue("own", -time.Hour, time.Hour)
	s, _ := single(t, func(c *Config) {
		c.TLS = TLS{CertFile: pair.Cert, KeyFile: pair.Key, CAFile: ca.File, ClientAuth: true}
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	byCert := func(name string) *clientv3.Client {
		pair := ca.Issue(name, -time.Hour, time.Hour)
		return dial(t, s.ClientAddr(), func(c *clientv3.Config) { c.TLS = clientConfig(t, ca.File, &pair) })
	}
	root := byCert("root")
	var errs []error
	do := func(_ any, err error) { errs = append(errs, err) }
	do(root.UserAdd(ctx, "root", "r"))
	do(root.UserGrantRole(ctx, "root", "root"))
	do(root.UserAdd(ctx, "ann", "a"))
	do(root.RoleAdd(ctx, "app"))
	do(root.RoleGrantPermission(ctx, "app", "mine", clientv3.GetPrefixRangeEnd("mine"), clientv3.PermissionType(clientv3.PermReadWrite)))
	do(root.UserGrantRole(ctx, "ann", "app"))
	do(root.AuthEnable(ctx))
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	byToken := dial(t, s.ClientAddr(), func(c *clientv3.Config) {
		pair := ca.Issue("nobody", -time.Hour, time.Hour)
		c.TLS, c.Username, c.Password = clientConfig(t, ca.File, &pair), "ann", "a"
	})
	for how, c := range map[string]*clientv3.Client{"a certificate": byCert("ann"), "a token": byToken} {
		locks := v3lockpb.NewLockClient(c.ActiveConnection())
		name := []byte("mine/" + how)
		if _, err := locks.Lock(ctx, &v3lockpb.LockRequest{Name: name}); err != nil {
			t.Errorf("by %s: %v", how, err)
		}
		if _, err := locks.Lock(ctx, &v3lockpb.LockRequest{Name: []byte("theirs")}); status.Convert(err).Message() != status.Convert(rpctypes.ErrGRPCPermissionDenied).Message() {
			t.Errorf("by %s a lock without permission: %v", how, err)
		}
	}
	if _, err := v3lockpb.NewLockClient(byCert("eve").ActiveConnection()).Lock(ctx, &v3lockpb.LockRequest{Name: []byte("mine/eve")}); err == nil {
		t.Error("who is no user has a lock")
	}
}

// dial is a client of etcd's for that address.
func dial(t *testing.T, addr string, change func(*clientv3.Config)) *clientv3.Client {
	t.Helper()
	cfg := clientv3.Config{Endpoints: []string{addr}, Logger: zap.NewNop(), DialTimeout: patience}
	if change != nil {
		change(&cfg)
	}
	c, err := clientv3.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// until waits for something to be so.
func until(t *testing.T, so func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it never came to be")
		}
	}
}
