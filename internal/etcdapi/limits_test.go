package etcdapi

import (
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/metadata"
)

// TestMetadataIsBounded: gRPC alone takes 16 MiB of it from each request.
func TestMetadataIsBounded(t *testing.T) {
	r := newRig(t)
	put := func(kb int) error {
		ctx := metadata.AppendToOutgoingContext(testContext(t), "note", strings.Repeat("x", kb<<10))
		_, err := pb.NewKVClient(r.conn(t)).Put(ctx, &pb.PutRequest{Key: []byte("k")})
		return err
	}
	if err := put(64); err != nil {
		t.Errorf("a little: %v", err)
	}
	if err := put(2 << 10); err == nil {
		t.Error("2 MiB are taken")
	}
}
