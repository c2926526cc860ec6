package server

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
)

// A stop doesn't wait for clients that keep streams open, nor for those that take
// nothing of what they asked for.
func TestStopWaitsForNobodyIdle(t *testing.T) {
	s, _ := single(t, func(c *Config) { c.GRPC.Reflection = true })
	conn := dialGRPC(t, s.ClientAddr())
	reflecting, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := reflecting.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	if _, err := reflecting.Recv(); err != nil {
		t.Fatal(err)
	}
	watching, err := pb.NewWatchClient(dialGRPC(t, s.ClientAddr())).Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	create := &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{Key: []byte("k")}}}
	if err := watching.Send(create); err != nil {
		t.Fatal(err)
	}
	if _, err := watching.Recv(); err != nil { // and nothing after that
		t.Fatal(err)
	}
	const watch = `{"create_request":{"key":"aw=="}}`
	idle := opened(t, "ws://"+s.ClientAddr()+"/v3/watch")
	idle.say(`{"create_request":{"key":"bg=="}}`)
	idle.hear()
	unread := opened(t, "ws://"+s.ClientAddr()+"/v3/watch")
	unread.say(watch)
	unread.hear()
	asJSON := posting(t, s.ClientAddr(), "/v3/watch", len(watch))
	fmt.Fprint(asJSON, watch)
	within(t, "they don't all watch", func() bool { return s.store.WatchStats().Watches == 4 })
	trickling := posting(t, s.ClientAddr(), "/v3/kv/range", 100)
	fmt.Fprint(trickling, "{")
	begun, err := net.Dial("tcp", s.ClientAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer begun.Close()
	fmt.Fprint(begun, "GET /health HTT")

	kv, value := pb.NewKVClient(conn), []byte(strings.Repeat("v", 1<<20))
	for range 24 { // more than what lies between
		if _, err := kv.Put(t.Context(), &pb.PutRequest{Key: []byte("k"), Value: value}); err != nil {
			t.Fatal(err)
		}
	}
	within(t, "they are not stuck", func() bool { return s.store.WatchStats().Behind == 3 })

	const given = 30 * time.Second
	ctx, cancel := context.WithTimeout(t.Context(), given)
	defer cancel()
	heard := make(chan [2]string, 1)
	go func() { heard <- [2]string{idle.hear(), idle.hear()} }()
	start := time.Now()
	if err := s.Stop(ctx); err != nil {
		t.Error(err)
	}
	took := time.Since(start)
	t.Logf("stopped in %v", took)
	if took > given/3 {
		t.Errorf("the stop took %v: it waited for somebody", took)
	}
	if got, want := <-heard, [2]string{`{"error":{"code":14,"message":"etcdserver: server stopped"}}`, "1001"}; got != want {
		t.Errorf("an idle WebSocket heard %q, want %q", got, want)
	}
}

// What is carried out, or on its way, is waited for.
func TestSettle(t *testing.T) {
	for name, tt := range map[string]struct {
		sent    func(after time.Duration) uint64
		working time.Duration // so long
		ends    time.Duration
		want    time.Duration
	}{
		"nothing moves":            {nil, 0, time.Hour, quiet},
		"it ends":                  {nil, 0, quiet / 2, quiet / 2},
		"it is carried out":        {nil, 3 * time.Second, 3*time.Second + 10*time.Millisecond, 3*time.Second + 10*time.Millisecond},
		"an answer is stuck":       {nil, 3 * time.Second, time.Hour, 3*time.Second + quiet},
		"it is on its way":         {func(d time.Duration) uint64 { return uint64(min(d, 2*time.Second)) }, 0, time.Hour, 2*time.Second + quiet},
		"there is no time":         {func(d time.Duration) uint64 { return uint64(d) }, 0, time.Hour, 5 * time.Second},
		"what was sent is no sign": {func(time.Duration) uint64 { return 7 }, 0, time.Hour, quiet},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				ended, forget := context.WithTimeout(t.Context(), tt.ends)
				defer forget()
				settle(ctx, ended.Done(), func() (sent uint64, working bool) {
					d := time.Since(start)
					if tt.sent != nil {
						sent = tt.sent(d)
					}
					return sent, d < tt.working
				})
				if took := time.Since(start); took < tt.want-quiet/10 || took > tt.want+quiet/5 {
					t.Errorf("returned after %v, want %v", took, tt.want)
				}
			})
		})
	}
}
