package etcdapi

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/metadata"

	"github.com/musterhq/muster/kv"
)

func TestMayWatch(t *testing.T) {
	r := newRig(t)
	r.guard(t)
	r.tokens.Grant("a.1", "ann")
	ann := metadata.NewIncomingContext(testContext(t), metadata.Pairs("token", "a.1"))
	if got := r.api.mayWatch(ann, []byte("a"), []byte("c")); got != "" {
		t.Errorf("refused: %s", got)
	}
	if got, want := r.api.mayWatch(ann, []byte("a"), []byte("d")), rpctypes.ErrGRPCPermissionDenied.Error(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A watch is for who may read what it covers.
func TestWhoMayWatch(t *testing.T) {
	r := newRig(t)
	r.guard(t)
	for i, who := range []string{"root", "ann", "bob", ""} {
		c := r.client(t)
		if who != "" {
			c = r.as(t, who)
		}
		for _, w := range []struct {
			key, end string
			want     [4]error // for those in turn
		}{
			{"a", "", [4]error{nil, nil, rpctypes.ErrGRPCPermissionDenied, rpctypes.ErrGRPCUserEmpty}},
			{"a", "c", [4]error{nil, nil, rpctypes.ErrGRPCPermissionDenied, rpctypes.ErrGRPCUserEmpty}},
			{"", "\x00", [4]error{nil, rpctypes.ErrGRPCPermissionDenied, rpctypes.ErrGRPCPermissionDenied, rpctypes.ErrGRPCUserEmpty}},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			stream, err := pb.NewWatchClient(c.ActiveConnection()).Watch(ctx)
			if err != nil {
				t.Fatal(err)
			}
			req := &pb.WatchCreateRequest{Key: []byte(w.key), RangeEnd: []byte(w.end)}
			err = stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: req}})
			if err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			resp, err := stream.Recv()
			cancel()
			if err != nil {
				t.Fatal(err)
			}
			reason := ""
			if w.want[i] != nil {
				reason = w.want[i].Error()
			}
			if !resp.Created || resp.Canceled != (reason != "") || resp.CancelReason != reason {
				t.Errorf("%q watches [%q,%q): %v, want %q", who, w.key, w.end, resp, reason)
			}
		}
	}
}

// What is asked of leases depends on the keys that hang on them: on 7 one that
// ann may write, on 8 another one, on 9 none.
func TestWhoMayDoWhatWithLeases(t *testing.T) {
	r := newRig(t)
	r.guard(t)
	ctx := testContext(t)
	root := r.as(t, "root")
	for id, key := range map[int64]string{7: "a", 8: "x", 9: ""} {
		cmd, err := kv.EncodeLeaseGrant(&pb.LeaseGrantRequest{ID: id, TTL: 60})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.node.Propose(ctx, cmd); err != nil {
			t.Fatal(err)
		}
		if key == "" {
			continue
		}
		if _, err := root.Put(ctx, key, "", clientv3.WithLease(clientv3.LeaseID(id))); err != nil {
			t.Fatal(err)
		}
	}
	denied, empty := kv.ErrPermissionDenied, kv.ErrUserEmpty
	for who, want := range map[string]struct{ renew7, renew8, renew9, see7, seeAll error }{
		"root": {},
		"ann":  {nil, denied, nil, nil, denied},
		"bob":  {denied, denied, nil, denied, denied},
		"":     {empty, empty, empty, empty, empty},
	} {
		in := ctx
		if who != "" {
			r.tokens.Grant(who+".1", who)
			in = metadata.NewIncomingContext(ctx, metadata.Pairs("token", who+".1"))
		}
		for _, got := range []struct {
			what      string
			err, want error
		}{
			{"renew 7", r.api.mayRenew(in, 7), want.renew7},
			{"renew 8", r.api.mayRenew(in, 8), want.renew8},
			{"renew 9", r.api.mayRenew(in, 9), want.renew9},
			{"see the keys of 7", r.api.maySeeKeys(in, 7), want.see7},
			{"list", r.api.maySeeKeys(in, 7, 8, 9), want.seeAll},
		} {
			if !errors.Is(got.err, got.want) {
				t.Errorf("%s by %q: %v, want %v", got.what, who, got.err, got.want)
			}
		}
	}

	// The same by what is served.
	ann := r.as(t, "ann")
	if _, err := ann.Leases(ctx); !errors.Is(err, rpctypes.ErrPermissionDenied) {
		t.Errorf("list: %v", err)
	}
	if _, err := ann.TimeToLive(ctx, 8, clientv3.WithAttachedKeys()); !errors.Is(err, rpctypes.ErrPermissionDenied) {
		t.Errorf("see the keys of 8: %v", err)
	}
	if _, err := ann.KeepAliveOnce(ctx, 8); !errors.Is(err, rpctypes.ErrPermissionDenied) {
		t.Errorf("renew 8: %v", err)
	}
	if _, err := ann.Revoke(ctx, 8); !errors.Is(err, rpctypes.ErrPermissionDenied) {
		t.Errorf("revoke 8: %v", err)
	}
	if _, err := r.client(t).Grant(ctx, 60); !errors.Is(err, rpctypes.ErrUserEmpty) {
		t.Errorf("grant to nobody: %v", err)
	}
	if _, err := ann.Revoke(ctx, 7); err != nil {
		t.Errorf("revoke 7: %v", err)
	}
}
