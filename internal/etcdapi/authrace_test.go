package etcdapi

import (
	"context"
	"sync/atomic"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc/metadata"

	"github.com/musterhq/muster/kv"
)

// turningStore changes something right before somebody looks at the users for
// the n-th time.
type turningStore struct {
	Store
	left atomic.Int32
	turn func()
}

func (s *turningStore) Auth() *kv.Auth {
	if s.left.Add(-1) == 0 {
		s.turn()
	}
	return s.Store.Auth()
}

// TestSecretsStayHidden: wherever in a read it falls that somebody loses a
// permission, or the token, what is written after that is not read.
func TestSecretsStayHidden(t *testing.T) {
	for lost, lose := range map[string]func(*testing.T, *rig){
		"permission": func(t *testing.T, r *rig) {
			if _, err := r.as(t, "root").UserRevokeRole(testContext(t), "ann", "ab"); err != nil {
				t.Error(err)
			}
		},
		"token": func(t *testing.T, r *rig) {
			if _, err := r.as(t, "root").UserChangePassword(testContext(t), "ann", "other"); err != nil {
				t.Error(err)
			}
		},
	} {
		for _, streams := range []bool{false, true} {
			for n := int32(1); ; n++ {
				if !stayHidden(t, lost, lose, streams, n) {
					if n < 3 {
						t.Errorf("users were looked at %d times", n)
					}
					break
				}
			}
		}
	}
}

// stayHidden is false when the read was over before n looks at the users.
func stayHidden(t *testing.T, lost string, lose func(*testing.T, *rig), streams bool, n int32) (turned bool) {
	r := newRig(t)
	r.guard(t)
	root, ctx := r.as(t, "root"), testContext(t)
	if _, err := root.Put(ctx, "a", "public"); err != nil {
		t.Fatal(err)
	}
	r.tokens.Grant("abc.1", "ann")
	ctx = metadata.AppendToOutgoingContext(ctx, "token", "abc.1")
	c := pb.NewKVClient(r.conn(t))
	s := &turningStore{Store: r.node.store}
	s.turn = func() {
		turned = true
		lose(t, r)
		if _, err := root.Put(testContext(t), "a", "secret"); err != nil {
			t.Error(err)
		}
	}
	s.left.Store(n)
	r.api.cfg.Store = s
	for _, kv := range readAll(ctx, c, streams) {
		if string(kv.Value) == "secret" {
			t.Errorf("the %s was lost before look %d at the users, stream %v: the secret is read", lost, n, streams)
		}
	}
	return turned
}

// readAll returns all that is given, also before an error.
func readAll(ctx context.Context, c pb.KVClient, streams bool) (kvs []*mvccpb.KeyValue) {
	req := &pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte("b"), Serializable: true}
	if !streams {
		resp, err := c.Range(ctx, req)
		if err != nil {
			return nil
		}
		return resp.Kvs
	}
	stream, err := c.RangeStream(ctx, req)
	for err == nil {
		var part *pb.RangeStreamResponse
		if part, err = stream.Recv(); err == nil {
			kvs = append(kvs, part.RangeResponse.Kvs...)
		}
	}
	return kvs
}
