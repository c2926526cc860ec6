package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// withKV calls do with the KV service of the first endpoint that can be
// reached. do is called at most once, so that a write is never sent twice.
func (f *clientFlags) withKV(ctx context.Context, do func(pb.KVClient) error) error {
	return f.withConn(ctx, func(c grpc.ClientConnInterface) error { return do(pb.NewKVClient(c)) })
}

// withConn is withKV with the connection itself. ctx is for connecting alone.
func (f *clientFlags) withConn(ctx context.Context, do func(grpc.ClientConnInterface) error) error {
	return anyEndpoint(f, func(endpoint string) error {
		conn, err := f.connect(ctx, endpoint)
		var trouble *hinted
		if errors.As(err, &trouble) {
			return err
		}
		if err != nil {
			return &unreachable{endpoint, err}
		}
		defer conn.Close()
		as, err := f.login.on(ctx, conn)
		if err != nil {
			return err
		}
		return do(as)
	})
}

// connect returns a connection that is up.
func (f *clientFlags) connect(ctx context.Context, endpoint string) (*grpc.ClientConn, error) {
	var last atomic.Pointer[error] // of dialling, or of the handshake
	addr, secure := isSecure(endpoint)
	creds := insecure.NewCredentials()
	if secure {
		creds = &noting{credentials.NewTLS(f.secret), &last}
	}
	dial := func(ctx context.Context, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err != nil {
			last.Store(&err)
		}
		return c, err
	}
	conn, err := grpc.NewClient("passthrough:///"+addr,
		grpc.WithTransportCredentials(creds), grpc.WithContextDialer(dial),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<31-1)))
	if err != nil {
		return nil, err
	}
	conn.Connect()
	for state := conn.GetState(); state != connectivity.Ready; state = conn.GetState() {
		if state == connectivity.TransientFailure || !conn.WaitForStateChange(ctx, state) {
			_ = conn.Close() // it never came up
			if err := last.Load(); err != nil {
				if trouble := tlsTrouble(endpoint, *err); trouble != nil {
					return nil, trouble
				}
				return nil, *err
			}
			if ctx.Err() != nil {
				return nil, errors.New("no answer in time")
			}
			return nil, errors.New("it doesn't speak gRPC")
		}
	}
	return conn, nil
}

// noting keeps why a handshake failed, which gRPC tells nobody.
type noting struct {
	credentials.TransportCredentials
	last *atomic.Pointer[error]
}

// ClientHandshake implements credentials.TransportCredentials.
func (n *noting) ClientHandshake(ctx context.Context, authority string, c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := n.TransportCredentials.ClientHandshake(ctx, authority, c)
	if err != nil {
		n.last.Store(&err)
		return nil, nil, err
	}
	return &notingConn{Conn: conn, last: n.last, readEnded: make(chan struct{})}, info, nil
}

// notingConn: in TLS 1.3 it is the first Read that says whether the other side
// takes this side's certificate.
type notingConn struct {
	net.Conn
	last      *atomic.Pointer[error]
	readEnded chan struct{}
	ending    sync.Once
}

// Read implements net.Conn. Its first error is the other side's word; what
// follows is about a connection that has been closed for it.
func (c *notingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		c.ending.Do(func() {
			c.last.Store(&err)
			close(c.readEnded)
		})
	}
	return n, err
}

// Write implements net.Conn. When it fails, the other side's word may have come
// and not been read yet; gRPC would close the connection over it.
func (c *notingConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if err != nil {
		select {
		case <-c.readEnded:
		case <-time.After(lastWord):
		}
	}
	return n, err
}

// lastWord is how long a connection that takes nothing any more is read to its end.
const lastWord = time.Second

// Clone implements credentials.TransportCredentials.
func (n *noting) Clone() credentials.TransportCredentials {
	return &noting{n.TransportCredentials.Clone(), n.last}
}

// readError puts a failed read into words.
func readError(err error) error {
	if err == nil {
		return nil
	}
	if who := whoAsks(err); who != nil {
		return who
	}
	return errors.New(withoutOurName(status.Convert(err)))
}

// writeError tells a write that did not happen from one of which nobody knows.
func writeError(err error) error {
	if err == nil {
		return nil
	}
	if who := whoAsks(err); who != nil {
		return who
	}
	st := status.Convert(err)
	if happened, text := certainlyNot(st); happened {
		return errors.New(text)
	}
	return &coded{exitUnknown, fmt.Errorf("nobody knows whether it was written: %s", st.Message())}
}

// withoutOurName is what was said, for a line that begins with our name anyway.
func withoutOurName(st *status.Status) string { return strings.TrimPrefix(st.Message(), "muster: ") }

// certainlyNot says whether the write did surely not happen. Unavailable
// stands for both, so that the words decide: "request timed out" and what gRPC
// itself says of a broken connection leave it open.
func certainlyNot(st *status.Status) (bool, string) {
	text := st.Message()
	switch st.Code() {
	case codes.DeadlineExceeded, codes.Canceled, codes.Unknown, codes.Internal:
		return false, text
	case codes.Unavailable:
		ours := strings.HasPrefix(text, "muster: ") || text == "etcdserver: no leader" || text == "etcdserver: server stopped"
		return ours, withoutOurName(st)
	}
	return true, withoutOurName(st)
}

// keyValue is a pair as JSON. Bytes that are no UTF-8 go to the base64 field.
type keyValue struct {
	Key            string `json:"key"`
	KeyBytes       []byte `json:"key_base64,omitempty"`
	Value          string `json:"value"`
	ValueBytes     []byte `json:"value_base64,omitempty"`
	CreateRevision int64  `json:"create_revision"`
	ModRevision    int64  `json:"mod_revision"`
	Version        int64  `json:"version"`
	Lease          int64  `json:"lease,omitempty"`
}

func toKeyValue(p *mvccpb.KeyValue) keyValue {
	kv := keyValue{
		CreateRevision: p.GetCreateRevision(), ModRevision: p.GetModRevision(),
		Version: p.GetVersion(), Lease: p.GetLease(),
	}
	kv.Key, kv.KeyBytes = textOrBytes(p.GetKey())
	kv.Value, kv.ValueBytes = textOrBytes(p.GetValue())
	return kv
}

func textOrBytes(b []byte) (string, []byte) {
	if utf8.Valid(b) {
		return string(b), nil
	}
	return "", b
}

// cell shows bytes in a table: as they are if that is one line of text, else quoted.
func cell(b []byte) string {
	s := string(b)
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// prefixEnd is the first key after all that begin with the prefix; every key
// begins with the empty one.
func prefixEnd(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] < 0xff {
			end[i]++
			return end[:i+1]
		}
	}
	return []byte{0}
}
