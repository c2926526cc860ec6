package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// withKV calls do with the KV service of the first endpoint that can be
// reached. do is called at most once, so that a write is never sent twice.
func (f *clientFlags) withKV(ctx context.Context, do func(pb.KVClient) error) error {
	return anyEndpoint(f, func(endpoint string) error {
		conn, err := connect(ctx, endpoint)
		if err != nil {
			return &unreachable{endpoint, err}
		}
		defer conn.Close()
		return do(pb.NewKVClient(conn))
	})
}

// connect returns a connection that is up.
func connect(ctx context.Context, endpoint string) (*grpc.ClientConn, error) {
	var last atomic.Pointer[error] // of dialling
	dial := func(ctx context.Context, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err != nil {
			last.Store(&err)
		}
		return c, err
	}
	conn, err := grpc.NewClient("passthrough:///"+endpoint,
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(dial),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<31-1)))
	if err != nil {
		return nil, err
	}
	conn.Connect()
	for state := conn.GetState(); state != connectivity.Ready; state = conn.GetState() {
		if state == connectivity.TransientFailure || !conn.WaitForStateChange(ctx, state) {
			_ = conn.Close() // it never came up
			if err := last.Load(); err != nil {
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

// readError puts a failed read into words.
func readError(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(withoutOurName(status.Convert(err)))
}

// writeError tells a write that did not happen from one of which nobody knows.
func writeError(err error) error {
	if err == nil {
		return nil
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
