package etcdapi

import (
	"fmt"
	"math"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
)

// TestWatchInParts: a revision that is too much for the memory of one response
// comes in fragments, also to who asked for none, and nothing comes in between.
// etcd's client makes one response of them.
func TestWatchInParts(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	kvs := pb.NewKVClient(r.conn(t))
	const keys = 300
	name := func(i int) string { return fmt.Sprintf("k/%03d/%s", i, strings.Repeat("x", 64<<10)) }
	for i := range keys {
		if _, err := kvs.Put(ctx, &pb.PutRequest{Key: []byte(name(i))}); err != nil {
			t.Fatal(err)
		}
	}
	watch := r.client(t).Watch(ctx, "k/", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	if resp := <-watch; !resp.Created {
		t.Fatalf("%v, want that it is created", resp)
	}
	del, err := kvs.DeleteRange(ctx, &pb.DeleteRangeRequest{Key: []byte("k/"), RangeEnd: []byte("k0")})
	if err != nil || del.Deleted != keys {
		t.Fatalf("%d deleted, %v", del.GetDeleted(), err)
	}
	resp := <-watch
	if len(resp.Events) != keys || resp.Err() != nil {
		t.Errorf("the client got %d events, %v", len(resp.Events), resp.Err())
	}
	for i, e := range resp.Events {
		if string(e.Kv.Key) != name(i) || e.Kv.ModRevision != del.Header.Revision {
			t.Fatalf("event %d is of %.6q at %d", i, e.Kv.Key, e.Kv.ModRevision)
		}
	}
	for _, fragment := range []bool{false, true} {
		s, err := pb.NewWatchClient(r.conn(t)).Watch(ctx, grpc.MaxCallRecvMsgSize(math.MaxInt32))
		if err != nil {
			t.Fatal(err)
		}
		w := rawWatch{t, s}
		w.create(&pb.WatchCreateRequest{Key: []byte("k/"), RangeEnd: []byte("k0"), StartRevision: del.Header.Revision, Fragment: fragment})
		w.send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{Key: []byte("other")}}})
		got, parts := 0, 0
		for more := true; more; parts++ {
			resp := w.next()
			if resp.Created && got == 0 {
				parts--
				continue
			}
			if resp.WatchId != 0 || len(resp.Events) == 0 {
				t.Fatalf("fragment %v: after %d events: %.100v", fragment, got, resp)
			}
			for _, e := range resp.Events {
				if string(e.Kv.Key) != name(got) {
					t.Fatalf("fragment %v: event %d is of %.6q", fragment, got, e.Kv.Key)
				}
				got++
			}
			more = resp.Fragment
		}
		if want := map[bool]int{false: 2, true: 10}[fragment]; got != keys || parts < want {
			t.Errorf("fragment %v: %d events in %d parts, want %d in %d or more", fragment, got, parts, keys, want)
		}
	}
}
