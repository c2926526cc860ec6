package etcdapi

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"golang.org/x/crypto/bcrypt"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/kv"
	"github.com/musterhq/muster/statemachine"
)

// behindRig is a member that has applied nothing yet of what its cluster holds:
// the key secret, root, and that authentication is enabled. It catches up when it
// is asked for a linearizable read. came: it was in no cluster when it was started.
func behindRig(t *testing.T, came bool, as ...cluster.Status) *rig {
	t.Helper()
	var node *fakeNode
	var now cluster.Status
	r := newRig(t, func(c *Config) {
		node = c.Proposer.(*fakeNode)
		now = node.status
		if came {
			node.status = cluster.Status{}
		}
		if len(as) > 0 {
			node.status = as[0]
		}
	})
	node.status = now
	hash, err := bcrypt.GenerateFromPassword([]byte("root"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	put, err := kv.EncodePut(&pb.PutRequest{Key: []byte("secret"), Value: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	missing := [][]byte{put}
	for _, m := range []proto.Message{
		&pb.AuthUserAddRequest{Name: "root", HashedPassword: base64.StdEncoding.EncodeToString(hash)},
		&pb.AuthUserGrantRoleRequest{User: "root", Role: "root"},
		&pb.AuthEnableRequest{},
	} {
		cmd, err := kv.EncodeAuth(m)
		if err != nil {
			t.Fatal(err)
		}
		missing = append(missing, cmd)
	}
	node.onRead = func(context.Context, int) error {
		for _, cmd := range missing {
			node.index++
			if _, err := node.store.Apply(node.index, []statemachine.Entry{{Index: node.index, Command: cmd}}); err != nil {
				return err
			}
		}
		missing = nil
		return nil
	}
	return r
}

func firstOf[T any](s grpc.ServerStreamingClient[T], err error) error {
	if err == nil {
		_, err = s.Recv()
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return err
}

// TestNobodyBeforeItHasCaughtUp: a member that doesn't know yet that authentication is
// enabled takes nobody's word that it is not.
func TestNobodyBeforeItHasCaughtUp(t *testing.T) {
	all := []byte{0}
	asked := map[string]func(context.Context, *grpc.ClientConn) error{
		"watch": func(ctx context.Context, c *grpc.ClientConn) error {
			w, err := pb.NewWatchClient(c).Watch(ctx)
			if err != nil {
				return err
			}
			create := &pb.WatchCreateRequest{Key: all, RangeEnd: all, StartRevision: 1}
			if err := w.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}}); err != nil {
				return err
			}
			resp, err := w.Recv()
			if err == nil && resp.Canceled {
				err = errors.New(resp.CancelReason)
			}
			return err
		},
		"remove": func(ctx context.Context, c *grpc.ClientConn) error {
			_, err := pb.NewClusterClient(c).MemberRemove(ctx, &pb.MemberRemoveRequest{ID: 2})
			return err
		},
		"compact": func(ctx context.Context, c *grpc.ClientConn) error {
			_, err := pb.NewKVClient(c).Compact(ctx, &pb.CompactionRequest{Revision: 2})
			return err
		},
		"disarm": func(ctx context.Context, c *grpc.ClientConn) error {
			_, err := pb.NewMaintenanceClient(c).Alarm(ctx, &pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE, Alarm: pb.AlarmType_CORRUPT})
			return err
		},
	}
	onlyIfItCame := map[string]func(context.Context, *grpc.ClientConn) error{
		"read": func(ctx context.Context, c *grpc.ClientConn) error {
			_, err := pb.NewKVClient(c).Range(ctx, &pb.RangeRequest{Key: all, RangeEnd: all, Serializable: true})
			return err
		},
		"stream": func(ctx context.Context, c *grpc.ClientConn) error {
			return firstOf(pb.NewKVClient(c).RangeStream(ctx, &pb.RangeRequest{Key: all, RangeEnd: all, Serializable: true}))
		},
		"snapshot": func(ctx context.Context, c *grpc.ClientConn) error {
			return firstOf(pb.NewMaintenanceClient(c).Snapshot(ctx, &pb.SnapshotRequest{}))
		},
		"leases": func(ctx context.Context, c *grpc.ClientConn) error {
			_, err := pb.NewLeaseClient(c).LeaseLeases(ctx, &pb.LeaseLeasesRequest{})
			return err
		},
	}
	check := func(what string, came bool, ask func(context.Context, *grpc.ClientConn) error, want error) {
		r := behindRig(t, came)
		var text string
		if err := ask(testContext(t), r.conn(t)); err != nil {
			text = status.Convert(err).Message()
		}
		if want == nil && text != "" || want != nil && text != want.Error() && text != status.Convert(want).Message() {
			t.Errorf("%s, by nobody, of a member that came just now: %v: %q, want %v", what, came, text, want)
		}
	}
	for what, ask := range asked {
		check(what, false, ask, rpctypes.ErrGRPCUserEmpty)
		check(what, true, ask, rpctypes.ErrGRPCUserEmpty)
	}
	for what, ask := range onlyIfItCame {
		check(what, false, ask, nil) // as of before the restart, also without a leader
		check(what, true, ask, rpctypes.ErrGRPCUserEmpty)
	}
}

// The same over plain HTTP.
func TestHTTPBeforeItHasCaughtUp(t *testing.T) {
	r := behindRig(t, false)
	req, err := http.NewRequestWithContext(testContext(t), "POST", "http://rig/v1/members/b/remove", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.api.AdmitHTTP(req); !errors.Is(err, kv.ErrUserEmpty) {
		t.Errorf("nobody may change the cluster: %v, want %v", err, kv.ErrUserEmpty)
	}
	r = newRig(t)
	r.node.onRead = func(context.Context, int) error { return errNotMember }
	if err := r.api.AdmitHTTP(req); err != nil {
		t.Errorf("a node without a cluster, which may be asked to abandon its founding: %v", err)
	}
	r.node.onRead = func(context.Context, int) error { return errNotLeader }
	if err := r.api.AdmitHTTP(req); !errors.Is(err, rpctypes.ErrGRPCNoLeader) {
		t.Errorf("a member that can't know who may: %v, want %v", err, rpctypes.ErrGRPCNoLeader)
	}
}

// TestAdmittedAndNoMore: a member that was restarted before it got anything of its
// cluster's has come just now.
func TestAdmittedAndNoMore(t *testing.T) {
	r := behindRig(t, true, cluster.Status{ClusterID: cluster.ClusterID{7: 9}})
	_, err := pb.NewKVClient(r.conn(t)).Range(testContext(t), &pb.RangeRequest{Key: []byte("secret"), Serializable: true})
	if !errors.Is(err, rpctypes.ErrGRPCUserEmpty) {
		t.Errorf("%v, want %v", err, rpctypes.ErrGRPCUserEmpty)
	}
}

// TestStoodStill: with what it held before a restart a member answers without a
// leader; one that came just now has nothing to answer with.
func TestStoodStill(t *testing.T) {
	for _, came := range []bool{false, true} {
		r := behindRig(t, came)
		r.node.onRead = func(context.Context, int) error { return errNotLeader }
		_, err := pb.NewKVClient(r.conn(t)).Range(testContext(t), &pb.RangeRequest{Key: []byte("k"), Serializable: true})
		if (err != nil) != came {
			t.Errorf("came %v: %v", came, err)
		}
		if _, err := pb.NewMaintenanceClient(r.conn(t)).Status(testContext(t), &pb.StatusRequest{}); err != nil {
			t.Errorf("status: %v", err)
		}
	}
}
