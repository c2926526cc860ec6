package etcdapi

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/metadata"
)

// TestPasswordsTakeTurns: few at once, some that wait, and no more.
func TestPasswordsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &passwords{slots: make(chan struct{}, 2)}
		enough, ctx := make(chan struct{}), t.Context()
		var working, ended atomic.Int32
		failed := make(chan error, 1)
		ask := func(ctx context.Context) {
			go func() {
				if err := p.work(ctx, func() { working.Add(1); <-enough; working.Add(-1) }); err != nil {
					failed <- err
				}
				ended.Add(1)
			}()
			synctest.Wait()
		}
		for range 2 * (1 + maxPasswordWaits) {
			ask(ctx)
		}
		if working.Load() != 2 || ended.Load() != 0 {
			t.Errorf("%d work and %d have ended, want 2 and none", working.Load(), ended.Load())
		}
		ask(ctx)
		if err := <-failed; !errors.Is(err, rpctypes.ErrGRPCRequestTooManyRequests) {
			t.Errorf("one more: %v, want %v", err, rpctypes.ErrGRPCRequestTooManyRequests)
		}
		close(enough)
		synctest.Wait()
		if working.Load() != 0 || p.asked.Load() != 0 {
			t.Errorf("%d work, %d are counted when all is done", working.Load(), p.asked.Load())
		}
		p.slots <- struct{}{}
		p.slots <- struct{}{}
		gone, cancel := context.WithCancel(ctx)
		cancel()
		ask(gone)
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Errorf("who has gone away: %v", err)
		}
	})
}

// TestReadsGoOnBesidePasswords: whatever works on a password waits for its turn, and
// nothing else does.
func TestReadsGoOnBesidePasswords(t *testing.T) {
	r := newRig(t)
	r.guard(t)
	ctx, c := testContext(t), r.as(t, "root")
	r.tokens.Grant("r.1", "root")
	r.tokens.Grant("a.1", "ann")
	as := func(token string) context.Context { return metadata.AppendToOutgoingContext(ctx, "token", token) }
	auth := pb.NewAuthClient(r.conn(t))
	r.api.passwords.asked.Store(1 << 20)
	basic := func() error {
		req, err := http.NewRequestWithContext(ctx, "POST", "http://rig/v1/leave", nil)
		if err != nil {
			return err
		}
		req.SetBasicAuth("root", "root")
		return r.api.AdmitHTTP(req)
	}
	busy := rpctypes.ErrGRPCRequestTooManyRequests
	for what, tt := range map[string]struct {
		do   func() error
		want error
	}{
		"authenticate": {func() error {
			_, err := auth.Authenticate(ctx, &pb.AuthenticateRequest{Name: "ann", Password: "ann"})
			return err
		}, busy},
		"a user that there isn't": {func() error {
			_, err := auth.Authenticate(ctx, &pb.AuthenticateRequest{Name: "eve", Password: "eve"})
			return err
		}, rpctypes.ErrGRPCAuthFailed},
		"add": {func() error {
			_, err := auth.UserAdd(as("r.1"), &pb.AuthUserAddRequest{Name: "x", Password: "x"})
			return err
		}, busy},
		"add, by who may not": {func() error {
			_, err := auth.UserAdd(as("a.1"), &pb.AuthUserAddRequest{Name: "x", Password: "x"})
			return err
		}, rpctypes.ErrGRPCPermissionDenied},
		"change": {func() error {
			_, err := auth.UserChangePassword(as("r.1"), &pb.AuthUserChangePasswordRequest{Name: "ann", Password: "x"})
			return err
		}, busy},
		"by HTTP": {basic, busy},
		"get":     {func() error { _, err := c.Get(ctx, "a", clientv3.WithSerializable()); return err }, nil},
		"put":     {func() error { _, err := c.Put(ctx, "a", "1"); return err }, nil},
	} {
		if err := tt.do(); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", what, err, tt.want)
		}
	}
	r.api.passwords.asked.Store(0)
	if err := basic(); err != nil {
		t.Errorf("when it is less: %v", err)
	}
}
