package server

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"
)

const (
	// slowRequest is the default of Config.SlowRequest, as in etcd.
	slowRequest = 300 * time.Millisecond
	// slowEvery is how often a slow request is told of at most: many are slow at once.
	slowEvery = time.Second
)

// slowRequests logs calls that took long. It is safe for concurrent use.
type slowRequests struct {
	log  *slog.Logger
	than time.Duration

	mu   sync.Mutex
	last time.Time // when one was told of
	more int       // that were not, since
}

// waiting are the calls that take long because that is what was asked for.
var waiting = map[string]bool{"/v3lockpb.Lock/Lock": true, "/v3electionpb.Election/Campaign": true}

func (s *slowRequests) options() []grpc.ServerOption {
	if s.than < 0 {
		return nil
	}
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(s.unary)}
}

func (s *slowRequests) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	began := time.Now()
	resp, err := next(ctx, req)
	if took := time.Since(began); took >= s.than && !waiting[info.FullMethod] {
		s.tell(ctx, info.FullMethod, req, took, err)
	}
	return resp, err
}

func (s *slowRequests) tell(ctx context.Context, method string, req any, took time.Duration, err error) {
	s.mu.Lock()
	now := time.Now()
	if now.Sub(s.last) < slowEvery {
		s.more++
		s.mu.Unlock()
		return
	}
	more := s.more
	s.last, s.more = now, 0
	s.mu.Unlock()

	about := []any{"method", method, "took", took.Round(time.Millisecond)}
	if p, ok := peer.FromContext(ctx); ok && p.Addr != nil {
		about = append(about, "addr", p.Addr.String())
	}
	if r, ok := req.(interface{ GetKey() []byte }); ok {
		about = append(about, "key", brief(r.GetKey()))
	}
	if r, ok := req.(interface{ GetRangeEnd() []byte }); ok && len(r.GetRangeEnd()) > 0 {
		about = append(about, "range_end", brief(r.GetRangeEnd()))
	}
	if err != nil {
		about = append(about, "err", err)
	}
	if more > 0 {
		about = append(about, "others", more)
	}
	s.log.Warn("a request took long", about...)
}

// brief is a key for the log.
func brief(key []byte) string {
	if len(key) > 100 {
		return string(key[:100]) + "…"
	}
	return string(key)
}
