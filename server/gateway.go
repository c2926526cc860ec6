package server

import (
	"context"
	"crypto/tls"
	"math"
	"net"
	"net/http"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"go.etcd.io/etcd/api/v3/etcdserverpb/gw"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/encoding/protojson"
)

// gateway takes the requests under /v3/, in JSON, to the gRPC server of this same
// process, over a connection in memory: so they pass whatever gRPC's do, and
// come without a client's certificate, as in etcd.
type gateway struct {
	inner *bufconn.Listener // for the gRPC server to serve
	conn  *grpc.ClientConn
	mux   *runtime.ServeMux
}

// gatewayBuffer is what the connection holds in each direction, in bytes.
const gatewayBuffer = 256 << 10

func newGateway() *gateway {
	g := &gateway{inner: bufconn.Listen(gatewayBuffer)}
	var err error
	g.conn, err = grpc.NewClient("passthrough:///gateway",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return g.inner.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32)),
	)
	if err != nil {
		panic(err) // only of options that contradict each other
	}
	g.mux = runtime.NewServeMux(runtime.WithMarshalerOption(runtime.MIMEWildcard, marshaler()))
	for _, register := range []func(context.Context, *runtime.ServeMux, *grpc.ClientConn) error{
		gw.RegisterKVHandler, gw.RegisterWatchHandler, gw.RegisterLeaseHandler,
		gw.RegisterClusterHandler, gw.RegisterMaintenanceHandler, gw.RegisterAuthHandler,
		registerConcurrency,
	} {
		if err := register(context.Background(), g.mux, g.conn); err != nil {
			panic(err) // only of a path that is no pattern
		}
	}
	return g
}

// marshaler is etcd's JSON: the names of the .proto files, bytes in base64, 64-bit
// numbers as strings, nothing for what is zero.
func marshaler() runtime.Marshaler {
	return &runtime.HTTPBodyMarshaler{Marshaler: &runtime.JSONPb{
		MarshalOptions:   protojson.MarshalOptions{UseProtoNames: true},
		UnmarshalOptions: protojson.UnmarshalOptions{DiscardUnknown: true},
	}}
}

// ServeHTTP implements http.Handler.
func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) { g.mux.ServeHTTP(w, r) }

// withoutNames refuses what comes with a certificate that names a user, as etcd
// does while users are told apart: over the gateway the name would not count, and
// who shows it might believe that it does.
func (s *Server) withoutNames(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		state, _ := r.Context().Value(connKey{}).(*tls.ConnectionState)
		if s.cfg.TLS.ClientAuth && s.store.Auth().Enabled() && state != nil {
			for _, chain := range state.VerifiedChains {
				if len(chain) > 0 && chain[0].Subject.CommonName != "" {
					http.Error(w, "CommonName of client sending a request against gateway will be ignored and not used as expected", http.StatusBadRequest)
					return
				}
			}
		}
		next.ServeHTTP(w, r)
	})
}

// close ends the requests that are under way.
func (g *gateway) close() {
	_ = g.conn.Close() // nothing is lost with it
	_ = g.inner.Close()
}
