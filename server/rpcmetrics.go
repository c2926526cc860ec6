package server

import (
	"context"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// rpcMetrics count the calls of each method under the names that etcd has from
// go-grpc-middleware. A call costs some additions: what a method counts with is
// found in a map that nobody writes to any more.
type rpcMetrics struct {
	methods  map[string]*rpcCounts // by full name; written by know, before the server serves
	latency  bool                  // also how long each took
	started  *prometheus.Desc
	handled  *prometheus.Desc
	received *prometheus.Desc
	sent     *prometheus.Desc
}

// rpcCounts are those of one method.
type rpcCounts struct {
	labels                  []string // kind, service, method
	started, received, sent atomic.Uint64
	handled                 [int(codes.Unauthenticated) + 1]atomic.Uint64
	took                    prometheus.Histogram // nil: not asked for
}

func newRPCMetrics(latency bool) *rpcMetrics {
	labels := []string{"grpc_type", "grpc_service", "grpc_method"}
	desc := func(name, help string, more ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, slices.Concat(labels, more), nil)
	}
	return &rpcMetrics{
		methods: map[string]*rpcCounts{}, latency: latency,
		started:  desc("grpc_server_started_total", "Total number of RPCs started on the server."),
		handled:  desc("grpc_server_handled_total", "Total number of RPCs completed on the server, regardless of success or failure.", "grpc_code"),
		received: desc("grpc_server_msg_received_total", "Total number of RPC stream messages received on the server."),
		sent:     desc("grpc_server_msg_sent_total", "Total number of gRPC stream messages sent by the server."),
	}
}

// know makes counts for all methods of a server. It is called once, after they
// were registered.
func (m *rpcMetrics) know(g *grpc.Server) {
	for service, info := range g.GetServiceInfo() {
		for _, method := range info.Methods {
			c := &rpcCounts{labels: []string{kindOf(method), service, method.Name}}
			if m.latency {
				c.took = prometheus.NewHistogram(prometheus.HistogramOpts{
					Name: "grpc_server_handling_seconds", Buckets: prometheus.DefBuckets,
					Help:        "Histogram of response latency (seconds) of gRPC that had been application-level handled by the server.",
					ConstLabels: prometheus.Labels{"grpc_type": c.labels[0], "grpc_service": service, "grpc_method": method.Name},
				})
			}
			m.methods["/"+service+"/"+method.Name] = c
		}
	}
}

func kindOf(m grpc.MethodInfo) string {
	switch {
	case m.IsClientStream && m.IsServerStream:
		return "bidi_stream"
	case m.IsClientStream:
		return "client_stream"
	case m.IsServerStream:
		return "server_stream"
	}
	return "unary"
}

func (m *rpcMetrics) options() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(m.unary), grpc.ChainStreamInterceptor(m.stream)}
}

func (m *rpcMetrics) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	c := m.methods[info.FullMethod]
	if c == nil {
		return next(ctx, req)
	}
	began := c.begin()
	c.received.Add(1)
	resp, err := next(ctx, req)
	if err == nil {
		c.sent.Add(1)
	}
	c.end(began, err)
	return resp, err
}

func (m *rpcMetrics) stream(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	c := m.methods[info.FullMethod]
	if c == nil {
		return next(srv, s)
	}
	began := c.begin()
	err := next(srv, &countedStream{s, c})
	c.end(began, err)
	return err
}

// begin counts a call, and returns when it began if that is asked for.
func (c *rpcCounts) begin() (began time.Time) {
	c.started.Add(1)
	if c.took != nil {
		began = time.Now()
	}
	return began
}

func (c *rpcCounts) end(began time.Time, err error) {
	code := int(status.Code(err))
	if code >= len(c.handled) {
		code = int(codes.Unknown)
	}
	c.handled[code].Add(1)
	if c.took != nil {
		c.took.Observe(time.Since(began).Seconds())
	}
}

type countedStream struct {
	grpc.ServerStream
	c *rpcCounts
}

// SendMsg implements grpc.ServerStream.
func (s *countedStream) SendMsg(m any) error {
	err := s.ServerStream.SendMsg(m)
	if err == nil {
		s.c.sent.Add(1)
	}
	return err
}

// RecvMsg implements grpc.ServerStream.
func (s *countedStream) RecvMsg(m any) error {
	err := s.ServerStream.RecvMsg(m)
	if err == nil {
		s.c.received.Add(1)
	}
	return err
}

// Describe implements prometheus.Collector.
func (m *rpcMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.started, m.handled, m.received, m.sent} {
		out <- d
	}
}

// Collect implements prometheus.Collector. Every code is there from the start,
// as in etcd, so that a first failure shows as a rise.
func (m *rpcMetrics) Collect(out chan<- prometheus.Metric) {
	for _, name := range slices.Sorted(maps.Keys(m.methods)) {
		c := m.methods[name]
		one := func(d *prometheus.Desc, n uint64, more ...string) {
			out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), slices.Concat(c.labels, more)...)
		}
		one(m.started, c.started.Load())
		one(m.received, c.received.Load())
		one(m.sent, c.sent.Load())
		for code := range c.handled {
			one(m.handled, c.handled[code].Load(), codes.Code(code).String())
		}
		if c.took != nil {
			out <- c.took
		}
	}
}
