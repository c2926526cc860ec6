package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/server"
)

// servingAlone is a cluster of one, and its client address.
func servingAlone(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s, err := server.Start(ctx, server.Config{
		Listen: "127.0.0.1:0", Auth: server.Auth{BcryptCost: 4},
		Node: muster.Config{Name: "a", DataDir: t.TempDir(), PeerListen: "127.0.0.1:0", Single: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	return s.ClientAddr()
}

// guard enables authentication at an endpoint, with the users root and ann,
// whose passwords are their names.
func guard(t *testing.T, endpoint string) {
	t.Helper()
	conn, err := grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, auth := t.Context(), pb.NewAuthClient(conn)
	var errs []error
	do := func(_ any, err error) { errs = append(errs, err) }
	for _, name := range []string{"root", "ann"} {
		do(auth.UserAdd(ctx, &pb.AuthUserAddRequest{Name: name, Password: name}))
	}
	do(auth.UserGrantRole(ctx, &pb.AuthUserGrantRoleRequest{User: "root", Role: "root"}))
	do(auth.AuthEnable(ctx, &pb.AuthEnableRequest{}))
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestLogin(t *testing.T) {
	e := servingAlone(t)
	run := func(line string, wantCode exitCode, want string, env ...string) {
		t.Helper()
		code, out, stderr := runMuster(append(env, "MUSTER_ENDPOINT="+e), strings.Fields(line)...)
		if code != wantCode || !strings.Contains(out+stderr, want) || strings.Contains(out+stderr, "secret") {
			t.Errorf("muster %s: exit %d, %s%s; want %d, %q", line, code, out, stderr, wantCode, want)
		}
	}
	run("put k 1", exitOK, "written")
	run("put k 2 --user root:root", exitOK, "written") // there is nobody to tell apart yet
	guard(t, e)
	run("get k", exitFailed, "nobody said who asks\nSay so with --user NAME")
	run("put k 3", exitFailed, "nobody said who asks")
	run("get k --user root:root", exitOK, "2")
	run("get k", exitOK, "2", "MUSTER_USER=root:root")
	run("get k --user ann:ann", exitFailed, "permission denied", "MUSTER_USER=root:root")
	run("get k --user root:secret", exitFailed, "authentication failed")
	run("get k --user root", exitUsage, "no terminal")
	file := filepath.Join(t.TempDir(), "snapshot")
	run("snapshot save "+file, exitFailed, "nobody said who asks")
	run("snapshot save --user ann:ann "+file, exitFailed, "permission denied")
	run("snapshot save --user root:root "+file, exitOK, "")
	run("status", exitOK, "a") // who only asks need not say who
	run("why", exitOK, "")
	run("policy set target-voters=3", exitFailed, "give --user root")
	run("policy set target-voters=3 --user ann:ann", exitFailed, "only root may change the cluster")
	run("policy set target-voters=3 --user root:secret", exitFailed, "authentication failed")
	run("policy set target-voters=3 --user root:root", exitOK, "")
	run("policy", exitOK, "3")
}
