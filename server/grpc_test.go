package server

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
)

func dialGRPC(t *testing.T, addr string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestGRPCHealth(t *testing.T) {
	s, _ := single(t, nil)
	c := healthpb.NewHealthClient(dialGRPC(t, s.ClientAddr()))
	w, err := c.Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var seen []healthpb.HealthCheckResponse_ServingStatus
	next := func() healthpb.HealthCheckResponse_ServingStatus {
		r, err := w.Recv()
		if err != nil {
			t.Fatalf("after %v: %v", seen, err)
		}
		seen = append(seen, r.Status)
		return r.Status
	}
	for next() != healthpb.HealthCheckResponse_SERVING {
	}
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop(context.WithoutCancel(t.Context())) }()
	if got := next(); got != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Errorf("while it stops: %v", got)
	}
	select { // though the client watches on
	case err := <-stopped:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("a client that watches keeps the server from stopping")
	}
}

func TestReflection(t *testing.T) {
	services := func(on bool) ([]string, error) {
		s, _ := single(t, func(c *Config) { c.GRPC.Reflection = on })
		c, err := reflectionpb.NewServerReflectionClient(dialGRPC(t, s.ClientAddr())).ServerReflectionInfo(t.Context())
		if err != nil {
			return nil, err
		}
		if err := c.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}); err != nil && err != io.EOF { // of which Recv knows why
			return nil, err
		}
		r, err := c.Recv()
		var names []string
		for _, s := range r.GetListServicesResponse().GetService() {
			names = append(names, s.Name)
		}
		return names, err
	}
	if names, err := services(true); err != nil || !slices.Contains(names, "etcdserverpb.KV") {
		t.Errorf("%v, %v", names, err)
	}
	if _, err := services(false); status.Code(err) != codes.Unimplemented {
		t.Errorf("not asked for: %v", err)
	}
}

// What a client compresses with gzip is understood. (The test doesn't import
// gzip: that the server does is what lets the client.)
func TestCompressedRequest(t *testing.T) {
	s, _ := single(t, nil)
	c := healthpb.NewHealthClient(dialGRPC(t, s.ClientAddr()))
	if _, err := c.Check(t.Context(), &healthpb.HealthCheckRequest{}, grpc.UseCompressor("gzip")); err != nil {
		t.Error(err)
	}
}

// The settings get to gRPC.
func TestStreamsOfAConnectionAreBounded(t *testing.T) {
	s, _ := single(t, func(c *Config) { c.GRPC.MaxConcurrentStreams = 1 })
	c := healthpb.NewHealthClient(dialGRPC(t, s.ClientAddr()))
	w, err := c.Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Recv(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := c.Check(ctx, &healthpb.HealthCheckRequest{}); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("a second stream of one connection: %v", err)
	}
}

func TestListenMetrics(t *testing.T) {
	s, log := single(t, func(c *Config) { c.ListenMetrics = "127.0.0.1:0" })
	_, rest, _ := strings.Cut(log.String(), `msg="serving metrics" addr=`)
	addr, _, _ := strings.Cut(rest, "\n")
	for path, want := range map[string]int{"/metrics": 200, "/health": 200, "/readyz": 200, "/livez": 200, "/version": 404, "/v1/status": 404} {
		if code, body, err := getOver(t, "http://"+addr+path, nil, false); err != nil || code != want {
			t.Errorf("%s: %d %s %v", path, code, body, err)
		}
	}
	s.Close()
	c := http.Client{Timeout: patience}
	if resp, err := c.Get("http://" + addr + "/health"); err == nil {
		resp.Body.Close()
		t.Error("it is served after Close")
	}
}
