package server

import (
	"context"
	"sync"

	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// healthService is grpc.health.v1.Health whose watches end when the server stops:
// else one client that watches would have it wait for as long as it may.
type healthService struct {
	*health.Server
	stopping context.Context // ends when the server is to stop, after it says so
}

// Watch implements grpc.health.v1.Health. Before it ends for the server's sake the
// client has heard that the server doesn't serve.
func (h *healthService) Watch(r *healthpb.HealthCheckRequest, out healthpb.Health_WatchServer) error {
	w := &healthWatch{Health_WatchServer: out, stopping: h.stopping}
	w.ctx, w.cancel = context.WithCancel(out.Context())
	defer w.cancel()
	defer context.AfterFunc(h.stopping, w.endIfTold)()
	return h.Server.Watch(r, w)
}

type healthWatch struct {
	healthpb.Health_WatchServer
	stopping context.Context
	ctx      context.Context
	cancel   context.CancelFunc

	mu   sync.Mutex
	told healthpb.HealthCheckResponse_ServingStatus // last
}

// Context implements grpc.ServerStream.
func (w *healthWatch) Context() context.Context { return w.ctx }

// Send implements healthpb.Health_WatchServer.
func (w *healthWatch) Send(r *healthpb.HealthCheckResponse) error {
	if err := w.Health_WatchServer.Send(r); err != nil {
		return err
	}
	w.mu.Lock()
	w.told = r.GetStatus()
	w.mu.Unlock()
	if w.stopping.Err() != nil {
		w.endIfTold()
	}
	return nil
}

func (w *healthWatch) endIfTold() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.told != healthpb.HealthCheckResponse_SERVING {
		w.cancel()
	}
}
