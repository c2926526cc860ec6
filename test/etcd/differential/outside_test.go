package differential

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding/gzip"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
)

// outside are calls that are none of the API's services, or come in no form
// that the programs' calls have.
var outside = []struct {
	name string
	call func(ctx context.Context, conn *grpc.ClientConn) (proto.Message, error)
}{
	{"no such service", invoke("/etcdserverpb.Nonsense/Range", &pb.RangeRequest{Key: []byte("a")})},
	{"no such method", invoke("/etcdserverpb.KV/Nonsense", &pb.RangeRequest{Key: []byte("a")})},
	{"a method without a service", invoke("/Range", &pb.RangeRequest{Key: []byte("a")})},
	{"a path in lower case", invoke("/etcdserverpb.kv/range", &pb.RangeRequest{Key: []byte("a")})},
	{"the API of version 2", invoke("/etcdserverpb.Members/List", &emptypb.Empty{})},
	{"a compressed request", invoke("/etcdserverpb.KV/Range", &pb.RangeRequest{Key: []byte("a")}, grpc.UseCompressor(gzip.Name))},
	{"health", invoke("/grpc.health.v1.Health/Check", &healthpb.HealthCheckRequest{})},
	{"health of a service", invoke("/grpc.health.v1.Health/Check", &healthpb.HealthCheckRequest{Service: "etcdserverpb.KV"})},
	{"health of none", invoke("/grpc.health.v1.Health/Check", &healthpb.HealthCheckRequest{Service: "nonsense"})},
	{"health, watched", func(ctx context.Context, conn *grpc.ClientConn) (proto.Message, error) {
		stream, err := healthpb.NewHealthClient(conn).Watch(ctx, &healthpb.HealthCheckRequest{})
		if err != nil {
			return nil, err
		}
		return stream.Recv()
	}},
	{"a stream of leases without a request", func(ctx context.Context, conn *grpc.ClientConn) (proto.Message, error) {
		stream, err := pb.NewLeaseClient(conn).LeaseKeepAlive(ctx)
		if err != nil {
			return nil, err
		}
		_ = stream.CloseSend() // Recv has the error
		return stream.Recv()
	}},
	{"a request that was tried before", func(ctx context.Context, conn *grpc.ClientConn) (proto.Message, error) {
		return invoke("/etcdserverpb.KV/Range", &pb.RangeRequest{Key: []byte("a")})(
			metadata.AppendToOutgoingContext(ctx, "grpc-previous-rpc-attempts", "3"), conn)
	}},
}

func invoke(path string, req proto.Message, opts ...grpc.CallOption) func(context.Context, *grpc.ClientConn) (proto.Message, error) {
	return func(ctx context.Context, conn *grpc.ClientConn) (proto.Message, error) {
		var resp proto.Message = &pb.RangeResponse{}
		if strings.Contains(path, "Health") {
			resp = &healthpb.HealthCheckResponse{}
		}
		err := conn.Invoke(ctx, path, req, resp, opts...)
		return resp, err
	}
}

// TestOutside compares what the API's programs can't ask for.
func TestOutside(t *testing.T) {
	t.Parallel()
	p := newPair(t, kindOf(t), 1)
	sessions, err := p.begin(false)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range outside {
		var answers [2]Answer
		for i, s := range sessions {
			ctx, cancel := context.WithTimeout(t.Context(), callTimeout)
			resp, err := o.call(ctx, s.conn)
			cancel()
			a := Answer{Err: err}
			if err == nil {
				a.Messages = []proto.Message{resp}
			}
			answers[i] = s.normal(Step{}, a)
		}
		if !equal(answers[0], answers[1]) {
			t.Errorf("%s:\n    etcd: %s\n  %s: %s", o.name, answers[0], *against, answers[1])
		}
	}
}

// streamed are requests by JSON that are answered line by line, with how many
// lines are read, and paths and verbs that don't exist.
var streamed = []struct {
	verb, path, body string
	lines            int
}{
	{"POST", "/v3/watch", `{"create_request":{"key":"YQ==","start_revision":"1"}}`, 1},
	{"POST", "/v3/watch", `{"createRequest":{"key":"AA==","rangeEnd":"AA==","startRevision":"BASE","prevKv":true}}`, 2},
	{"POST", "/v3/watch", `{"create_request":{"key":"Yg==","range_end":"YQ=="}}`, 1},
	{"POST", "/v3/watch", `{"create_request":{"key":"YQ==","filters":["NOPUT","nonsense"]}}`, 1},
	{"POST", "/v3/watch", `{"cancel_request":{"watch_id":"7"}}{"create_request":{"key":"YQ==","watch_id":"7"}}{"cancel_request":{"watch_id":"7"}}`, 2},
	{"POST", "/v3/lease/keepalive", `{"ID":"7"}{"ID":"8"}`, 2},
	{"POST", "/v3/lease/keepalive", `{"ID":"7"}nonsense`, 2},
	{"POST", "/v3/lease/keepalive", ``, 1},
	{"GET", "/v3/watch", ``, 1},
	{"POST", "/v3/nonsense", `{}`, 1},
	{"POST", "/v3/kv", `{}`, 1},
	{"POST", "/v3/", `{}`, 1},
	{"POST", "/v3/kv/range/", `{}`, 1},
	{"POST", "/v3//kv/range", `{"key":"YQ=="}`, 1},
	{"POST", "/v3/kv/range?key=YQ==", `{}`, 1},
	{"POST", "/v3alpha/kv/range", `{"key":"YQ=="}`, 1},
	{"POST", "/v2/keys", `{}`, 1},
	{"GET", "/v2/keys/a", ``, 1},
	{"GET", "/v3/cluster/member/list", ``, 1},
	{"POST", "/v3/cluster/member/list", ``, 1},
	{"POST", "/v3/kv/range", ` {"key" : "YQ=="} `, 1},
	{"POST", "/v3/kv/put", `{"key":"YWE","value":"YWE="}`, 1},
	{"POST", "/v3/kv/put", `{"key":"_-8=","value":"_-8="}`, 1},
	{"POST", "/v3/kv/put", `{"key":"YWE=","key":"YWI=","value":"YWE="}`, 1},
	{"POST", "/v3/kv/put", `{"key":"YWE=","value":null}`, 1},
	{"POST", "/v3/kv/range", `{"key":"YWE=","limit":1.0}`, 1},
	{"POST", "/v3/kv/range", `{"key":"YWE=","limit":"1e1"}`, 1},
	{"POST", "/v3/kv/range", `{"key":"YWE=","limit":1e1}`, 1},
	{"POST", "/v3/kv/range", `{"key":"YWE=","sort_order":1,"sort_target":"MOD"}`, 1},
	{"POST", "/v3/kv/range", `{"key":"YWE=","sort_order":"descend"}`, 1},
	{"POST", "/v3/kv/range", `{"key":"YWE=","sort_order":99}`, 1},
	{"POST", "/v3/kv/range", "{\"key\":\"YWE=\",\"x\":\"\xff\"}", 1},
	{"POST", "/v3/kv/txn", `{"compare":[null]}`, 1},
	{"POST", "/v3/kv/txn", `{"success":[{}]}`, 1},
	{"POST", "/v3/kv/txn", `{"success":[{"request_range":{},"request_put":{}}]}`, 1},
	{"POST", "/v3/kv/txn", `{"success":[{"requestRange":{"key":"YWE="}}]}`, 1},
	{"POST", "/v3/maintenance/status", `{}`, 1},
	{"POST", "/v3/auth/user/add", `{"name":"\ud800"}`, 1},
}

// TestJSONByHand sends JSON that no library writes.
func TestJSONByHand(t *testing.T) {
	t.Parallel()
	p := newPair(t, kindOf(t), 1)
	sessions, err := p.begin(false)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sessions {
		s.play(Step{Method: "KV/Put", Req: &pb.PutRequest{Key: []byte("a"), Value: []byte("1")}})
		s.play(Step{Method: "KV/Put", Req: &pb.PutRequest{Key: []byte("a"), Value: []byte("2")}})
		s.play(Step{Method: "Lease/LeaseGrant", Req: &pb.LeaseGrantRequest{ID: 7, TTL: 1000}})
	}
	for _, r := range streamed {
		got, err := both(sessions, func(ctx context.Context, s *session) (string, error) {
			return s.lines(ctx, r.verb, r.path, strings.ReplaceAll(r.body, "BASE", fmt.Sprint(s.base+1)), r.lines)
		})
		if err != nil {
			t.Fatalf("%s %s %s: %v", r.verb, r.path, r.body, err)
		}
		if got[0] != got[1] {
			t.Errorf("%s %s %s:\n    etcd: %s\n  %s: %s", r.verb, r.path, r.body, got[0], *against, got[1])
		}
	}
}

// silence is how long both servers may take to begin to differ.
const silence = 3 * time.Second

// both asks two at the same time. When neither has come to an end after a while,
// both are silent; when one has, the other has more time, for it may be slow.
func both(sessions [2]*session, ask func(context.Context, *session) (string, error)) (texts [2]string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	ended := make(chan error, len(sessions))
	for i, s := range sessions {
		go func() {
			var err error
			texts[i], err = ask(ctx, s)
			ended <- err
		}()
	}
	left := len(sessions)
	select {
	case err = <-ended:
		left--
	case <-time.After(silence):
		cancel()
	}
	for range left {
		err = errors.Join(err, <-ended)
	}
	return texts, err
}

func givenUp(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// lines is the status, what of the head is the gateway's, and the first lines.
func (s *session) lines(ctx context.Context, verb, path, body string, n int) (string, error) {
	host := strings.TrimPrefix(s.conn.Target(), "passthrough:///")
	req, err := http.NewRequestWithContext(ctx, verb, "http://"+host+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if givenUp(err) {
		return "silence", nil
	}
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	out := []string{fmt.Sprint(resp.StatusCode)}
	for _, name := range []string{"Content-Type", "Grpc-Metadata-Content-Type", "Trailer", "Access-Control-Allow-Origin", "Location", "Allow"} {
		out = append(out, fmt.Sprintf("%s=%q", name, resp.Header.Values(name)))
	}
	text := bufio.NewReader(resp.Body)
	for range n {
		line, err := text.ReadString('\n')
		out = append(out, s.normalJSON([]byte(line)))
		if err == io.EOF {
			break
		}
		if givenUp(err) {
			return strings.Join(append(out, "silence"), " "), nil
		}
		if err != nil {
			return "", err
		}
	}
	return strings.Join(out, " "), nil
}
