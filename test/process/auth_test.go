package process

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// dialAs is etcd's client, for a user whose password is the name.
func dialAs(t *testing.T, user string, ms ...*member) *clientv3.Client {
	t.Helper()
	cfg := clientv3.Config{Username: user, Password: user, DialTimeout: patience, Logger: zap.NewNop()}
	for _, m := range ms {
		cfg.Endpoints = append(cfg.Endpoints, m.client)
	}
	c, err := clientv3.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// A user goes on over killed and restarted members, which know no tokens, and
// over tokens that have ended; and what a member missed of users and roles it
// knows when it is back.
func TestUsersOverRestarts(t *testing.T) {
	const ttl = time.Second
	ms := founders(t, 3)
	for _, m := range ms {
		m.args = append(m.args, "--auth-token-ttl", ttl.String(), "--bcrypt-cost", "4")
		m.start()
	}
	ready(t, ms...)
	open := dial(t, ms...)
	for _, user := range []string{"root", "ann"} {
		ask(t, open, "add a user", func(ctx context.Context) (any, error) { return open.UserAdd(ctx, user, user) })
	}
	ask(t, open, "grant root", func(ctx context.Context) (any, error) { return open.UserGrantRole(ctx, "root", "root") })
	ask(t, open, "add a role", func(ctx context.Context) (any, error) { return open.RoleAdd(ctx, "app") })
	ask(t, open, "grant a permission", func(ctx context.Context) (any, error) {
		return open.RoleGrantPermission(ctx, "app", "app/", "app0", clientv3.PermissionType(clientv3.PermReadWrite))
	})
	ask(t, open, "grant the role", func(ctx context.Context) (any, error) { return open.UserGrantRole(ctx, "ann", "app") })
	ask(t, open, "enable", func(ctx context.Context) (any, error) { return open.AuthEnable(ctx) })

	ann, root := dialAs(t, "ann", ms...), dialAs(t, "root", ms...)
	put := func(what string) {
		t.Helper()
		var err error
		eventually(t, "ann writes "+what, func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			_, err = ann.Put(ctx, "app/x", what)
			if errors.Is(err, rpctypes.ErrPermissionDenied) || errors.Is(err, rpctypes.ErrInvalidAuthToken) || errors.Is(err, rpctypes.ErrUserEmpty) {
				t.Fatalf("ann writes %s: %v", what, err)
			}
			return err == nil
		})
	}
	put("at first")
	time.Sleep(2 * ttl)
	put("after the token has ended")
	for range 3 {
		lead := leader(t, ms)
		lead.Kill()
		put("after the leader was killed")
		lead.start()
		ready(t, lead)
		put("after it came back")
	}
	for _, m := range ms {
		m.Kill()
		m.start()
		ready(t, m)
	}
	put("after all were restarted")

	// What a member misses while it is down holds there when it is back.
	down := follower(ms, leader(t, ms))
	down.Kill()
	ask(t, root, "revoke the role", func(ctx context.Context) (any, error) { return root.UserRevokeRole(ctx, "ann", "app") })
	down.start()
	ready(t, down)
	for _, m := range ms {
		c := dialAs(t, "ann", m)
		eventually(t, m.name+" refuses ann", func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			_, err := c.Get(ctx, "app/x")
			return errors.Is(err, rpctypes.ErrPermissionDenied)
		})
	}
	if _, err := open.Put(t.Context(), "app/x", "by nobody"); !errors.Is(err, rpctypes.ErrUserEmpty) {
		t.Errorf("a put by nobody: %v", err)
	}
}
