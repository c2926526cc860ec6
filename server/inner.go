package server

import (
	"context"
	"math"
	"net"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
)

// inner is a connection to the gRPC server of this same process, in memory: what
// comes by it passes whatever clients' requests do, and without a certificate.
type inner struct {
	listener *bufconn.Listener // for the gRPC server to serve
	conn     *grpc.ClientConn
	calls    atomic.Int64 // under way, but for streams
}

// innerBuffer is what the connection holds in each direction, in bytes.
const innerBuffer = 256 << 10

func newInner() *inner {
	i := &inner{listener: bufconn.Listen(innerBuffer)}
	var err error
	i.conn, err = grpc.NewClient("passthrough:///inner",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return i.listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithUnaryInterceptor(i.count),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32)),
	)
	if err != nil {
		panic(err) // only of options that contradict each other
	}
	return i
}

func (i *inner) count(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, call grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	defer counting(&i.calls)()
	return call(ctx, method, req, reply, conn, opts...)
}

// close ends the requests that are under way.
func (i *inner) close() {
	_ = i.conn.Close() // nothing is lost with it
	_ = i.listener.Close()
}
