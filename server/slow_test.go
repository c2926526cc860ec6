package server

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/musterhq/muster"
)

// A request that took long is told of, with what it was about; many of them are not
// many lines, and those that wait because they were asked to are none.
func TestSlowRequestsAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &logged{}
		s := &slowRequests{log: slog.New(slog.NewTextHandler(out, nil)), than: slowRequest}
		call := func(method string, req any, takes time.Duration, err error) {
			_, got := s.unary(t.Context(), req, &grpc.UnaryServerInfo{FullMethod: method}, func(context.Context, any) (any, error) {
				time.Sleep(takes)
				return nil, err
			})
			if got != err {
				t.Fatal(got)
			}
		}
		key := []byte(strings.Repeat("k", 200))
		call("/etcdserverpb.KV/Range", &pb.RangeRequest{Key: []byte("quick")}, slowRequest-1, nil)
		call("/v3lockpb.Lock/Lock", nil, time.Hour, nil)
		call("/etcdserverpb.KV/Range", &pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte("b")}, slowRequest, nil)
		call("/etcdserverpb.KV/Put", &pb.PutRequest{Key: []byte("one")}, slowRequest, nil)
		call("/etcdserverpb.KV/Put", &pb.PutRequest{Key: []byte("two")}, slowRequest, nil)
		call("/etcdserverpb.KV/Put", &pb.PutRequest{Key: key, Value: []byte("secret")}, slowEvery, context.DeadlineExceeded)
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != 2 || !strings.Contains(lines[0], "method=/etcdserverpb.KV/Range took=300ms key=a range_end=b") ||
			!strings.Contains(lines[1], "took=1s key="+string(key[:100])+"… err=\"context deadline exceeded\" others=2") {
			t.Errorf("%s", out)
		}
	})
}

// It is on unless it is turned off.
func TestSlowRequestsOfAServer(t *testing.T) {
	for _, tt := range []struct {
		than time.Duration
		told bool
	}{{1, true}, {-1, false}} {
		s, out := single(t, func(c *Config) { c.SlowRequest = tt.than })
		if err := putOver(t, s.ClientAddr(), nil, patience); err != nil {
			t.Fatal(err)
		}
		if tt.told {
			out.until(t, "method=/etcdserverpb.KV/Put")
		} else if strings.Contains(out.String(), "took long") {
			t.Errorf("it was turned off: %s", out)
		}
		s.Close()
	}
	if d := (Config{Node: muster.Config{}}).withDefaults().SlowRequest; d != slowRequest {
		t.Errorf("default: %v", d)
	}
}
